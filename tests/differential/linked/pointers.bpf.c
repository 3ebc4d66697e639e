// Addresses in data: of variables, functions and externs, in objects whose data moves.
//// first
extern int there;
int here = 3;
int *to_there = &there, *to_here = &here;
SEC("xdp") int one(struct xdp_md *ctx) { return to_there != 0 && to_here != 0; }
//// second
int before = 9;
int there = 4;
const volatile char words[] = "words";
const volatile char *text = words;
SEC("xdp") int two(struct xdp_md *ctx) { return text != 0 && there + before; }
