// Addresses of static variables in data.
//// first
static volatile int here = 3;
int padding = 1;
int *to_here = (int *)&here;
SEC("xdp") int one(struct xdp_md *ctx) { return to_here != 0 && padding; }
//// second
int before = 9;
static volatile const char words[] = "words";
const volatile char *text = words;
SEC("xdp") int two(struct xdp_md *ctx) { return text != 0 && before; }
