/* Everything that the reader tells apart: section kinds, bindings, relocations. */
#define SEC(name) __attribute__((section(name), used))

struct {
	int (*type)[1];
	int (*max_entries)[10];
	unsigned *key;
	unsigned long *value;
} counts SEC(".maps");

int uninitialised;
int initialised = 7;
const volatile int constant = 3;
extern int elsewhere;

static void *(*lookup)(void *map, const void *key) = (void *)1;

__attribute__((noinline)) int sub(int x)
{
	uninitialised += x;
	return uninitialised + initialised + constant + elsewhere;
}

__attribute__((weak, visibility("hidden"))) int weak_hidden(int a)
{
	return a;
}

SEC("xdp") int entry(void *ctx)
{
	unsigned key = 1;
	unsigned long *value = lookup(&counts, &key);

	return value ? *value : sub(key);
}

char license_text[] SEC("license") = "GPL";
