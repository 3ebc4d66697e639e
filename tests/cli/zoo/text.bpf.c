/* Text: printable, not printable, without an end, empty, of other one-byte types. */
#include "zoo.h"

typedef char letter_t;
struct text {
	char name[8];
	const char constant[4];
	signed char bytes[4];
	unsigned char raw[4];
	letter_t typed[4];
	char lines[2][4];
	char one[1];
	char single;
	signed char tiny;
	unsigned char octet;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, char[8]);
	__type(value, struct text);
} text SEC(".maps");
