/* Enumerations: unsigned, signed, of 8 bits and 64 bits, with values that have no name; bool, char. */
#include "zoo.h"

enum plain { PLAIN_NONE, PLAIN_ONE, PLAIN_BIG = 1u << 31 };
enum minus { MINUS_ONE = -1, MINUS_ZERO, MINUS_FAR = -100 };
enum small { SMALL_A, SMALL_B } __attribute__((packed));
enum wide { WIDE_ZERO, WIDE_BIG = 1ull << 40 };
enum wide_minus { WIDE_MINUS = -(1ll << 40), WIDE_PLUS = 5 };
typedef enum plain plain_t;

struct enums {
	enum plain plain;
	enum minus minus;
	enum small small;
	enum wide wide;
	enum wide_minus wide_minus;
	plain_t typed;
	const volatile _Bool yes;
	char letter;
	enum plain list[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, enum minus);
	__type(value, struct enums);
} enums SEC(".maps");
ARRAY_OF(one_enum, enum plain, 2);
