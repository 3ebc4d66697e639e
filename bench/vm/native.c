/* The same work as native functions, each repeated here so that the call costs nothing. */
#include "work.h"

static u8 composite[SIEVE];
static u64 left[SIDE * SIDE], right[SIDE * SIDE], product[SIDE * SIDE];

#define REPEAT(name, expression)                                     \
	u64 name(const u8 *data, u64 size, u64 times)                  \
	{                                                             \
		u64 result = 0;                                       \
		while (times--) {                                     \
			__asm__ volatile("" : "+r"(data) : : "memory"); \
			result = expression;                          \
			__asm__ volatile("" : : "r"(result));         \
		}                                                     \
		return result;                                        \
	}

REPEAT(empty, 2)
REPEAT(alu, alu_loop(88172645463325252ull))
REPEAT(sum, checksum(data))
REPEAT(parser, (u64)parse(data, data + size))
REPEAT(primes, sieve(composite))
REPEAT(multiply, matrix(left, right, product))
