// Declarations that agree though they are written otherwise: typedefs, qualifiers, lengths, names.
//// first
typedef int number;
struct point { int x, y; };
struct unknown;
extern volatile number counter;
extern const long table[];
extern number compute(const number, struct unknown *, const char *text);
extern enum mode { SLOW, FAST } mode;
extern unsigned unsigned_here;
extern struct point corner;
SEC("xdp") int one(struct xdp_md *ctx)
{
	return counter + table[1] + compute(1, 0, 0) + mode + unsigned_here + corner.y;
}
//// second
struct point { int x, y; };
struct unknown { long known; };
int counter = 1;
const volatile long table[4] = { 1, 2, 3, 4 };
__noinline int compute(int other, struct unknown *pointer, const char *name) { return other; }
enum mode { SLOW, FAST } mode = FAST;
int unsigned_here = 3;
struct point corner = { 4, 5 };
