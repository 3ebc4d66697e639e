/* Arrays: of structs, of arrays, of pointers, empty ones, as a whole value. */
#include "zoo.h"

struct point { __s16 x, y; };
struct shapes {
	struct point corners[3];
	__u8 grid[2][3];
	void *places[2];
	struct { __u8 tag; struct point at[2]; } cells[2];
	__u32 none[0];
	_Bool flags[3];
	__s8 small[4];
};
typedef __u16 row_t[4];
ARRAY_OF(shapes, struct shapes, 2);
ARRAY_OF(rows, row_t, 2);
