/* Numbers of all widths, pointers of all kinds, 128 bits. */
#include "zoo.h"

struct node;
struct numbers {
	__u8 u8; __s8 s8; __u16 u16; __s16 s16; __u32 u32; __s32 s32; __u64 u64; __s64 s64;
	__int128 wide;
	unsigned __int128 unsigned_wide;
	void *anything;
	struct node *node;
	int (*call)(struct node *, int);
	const char *text;
	long number;
	unsigned long long longest;
	__be16 port;
	__be32 address;
	int *volatile moving;
};
ARRAY_OF(numbers, struct numbers, 3);
ARRAY_OF(wide, __int128, 1);
ARRAY_OF(pointer, void *, 1);
