/* Bit fields: unsigned, signed, bool, enum, over byte borders, with padding, of 64 bits. */
#include "zoo.h"

enum colour { RED, GREEN, BLUE };
struct bits {
	__u32 a : 1, b : 3, c : 12, d : 16;
	__s32 e : 5, f : 27;
	_Bool g : 1;
	__u8 h : 7;
	enum colour colour : 2;
	__u32 : 0;
	__u64 wide : 40;
	__s64 signed_wide : 20;
	__u16 plain;
};
ARRAY_OF(bits, struct bits, 4);
