/* Anonymous members: of structs, of unions, several, nested, in keys too. */
#include "zoo.h"

struct address {
	__u8 family;
	union {
		__u32 v4;
		__u8 v6[16];
		struct { __u16 low, high; } halves;
	};
	struct { __u16 port; union { __u8 flags; __s8 sign; }; };
	__u32 last;
};
struct named { union { __u32 a; __s16 b; } choice; struct { __u8 x; } only; };
struct anonymous_key { union { __u32 number; __u8 bytes[4]; }; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct anonymous_key);
	__type(value, struct address);
} addresses SEC(".maps");
ARRAY_OF(choices, struct named, 1);
