// Variables: of all sections, custom ones too; statics of one name; strong, weak, extern, hidden.
//// first
extern int counter;
extern const int limit;
extern long zeroed[4];
extern int custom SEC(".data.own");
static volatile int local = 1;
static volatile const char text[] = "first";
char odd[3] = "ab";
__weak int weak_one = 5;
int unused_by_others = 0x1234;
SEC("xdp") int one(struct xdp_md *ctx)
{
	counter += limit + zeroed[ctx->rx_queue_index & 3] + custom;
	odd[0]++;
	return local++ + text[ctx->rx_queue_index & 3] + weak_one + unused_by_others;
}
//// second
int counter = 7;
const volatile int limit = 99;
long zeroed[4];
int custom SEC(".data.own") = 3;
static volatile int local = 2;
static volatile const char text[] = "second text";
char odd2 = 'x';
int weak_one = 6;
long aligned __attribute__((aligned(64))) = 8;
static volatile int none SEC(".bss.own");
__hidden int not_for_others = 11;
SEC("xdp") int two(struct xdp_md *ctx)
{
	not_for_others++;
	counter += aligned + odd2 + none++;
	return local++ + text[ctx->rx_queue_index & 7] + weak_one;
}
//// third
extern int counter __attribute__((visibility("hidden")));
const volatile struct { char c; long l; } pair SEC(".rodata.own") = { 'q', 77 };
const volatile struct { char c; long l; } pair2 SEC(".rodata.own") = { 'r', 78 };
int custom2 SEC(".data.own") = 4;
static volatile int local;
__weak int weak_one = 8;
SEC("xdp") int three(struct xdp_md *ctx)
{
	const char *message = "a literal of the third";
	bpf_printk("%s %d", message, counter);
	return local++ + pair.l + pair2.l + custom2 + weak_one;
}
