/* Maps and variables whose types the stubs must tell. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

enum verdict { DROP = 1, PASS };

struct endpoint {
	u8 mac[6];
	u16 port;
};

struct flow {
	u32 saddr;
	enum verdict verdict;
	char comm[16];
	struct endpoint ends[2];
	u16 grid[2][3];
	_Bool yes;
	double ratio;
	u64 bytes;
	struct endpoint endpoint;
	u8 raw[4];
	u32 class;
	u32 keys;
};

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, struct endpoint);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, 6);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct flow last;
u32 limit = 5;
const volatile char bytes[8] = "abc";
char LICENSE[] SEC("license") = "GPL";
