/* One initialised value of every sort of type: the compiler's own bytes are what decoding and
 * encoding are checked against, in both byte orders. */
typedef signed char s8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

enum verdict { DROP = 1, PASS, REDIRECT = 7, FAILED = -1 };
enum big { HUGE = 0x123456789abcdefULL, SMALL = 1 };

struct flow {
	u32 saddr;
	u32 daddr;
	u16 sport;
	u16 dport;
	u32 bytes;
};

struct pair {
	u8 first;
	u16 second;
};

struct event {
	s8 tiny;
	s64 wide;
	_Bool yes;
	enum verdict verdict;
	enum big big;
	double ratio;
	float share;
	char comm[16];
	u8 mac[6];
	struct pair pair;
	struct pair pairs[2];
	u16 grid[2][3];
	char names[2][4];
	enum verdict verdicts[2];
	__int128 enormous;
};

struct bits {
	u32 a : 3;
	u32 b : 7;
	int c : 5;
	u64 d : 40;
	_Bool e : 1;
	enum verdict f : 4;
	u8 g : 8;
	u16 plain;
};

struct __attribute__((packed)) packed {
	u8 a;
	u32 b : 17;
	u64 c : 60;
	u32 d;
};

struct choice {
	u8 kind;
	union {
		u32 v4;
		u8 v6[16];
		struct {
			u16 port;
			u16 zone;
		};
	};
};

struct record {
	u32 id;
	u16 count;
	u16 values[];
};

struct clash {
	u32 keys;
	u32 class;
	u32 values;
	u32 values_;
};

#define KEEP __attribute__((section(".data.values")))

struct flow flow KEEP = { 0x0a000001, 0x0a000002, 40000, 443, 1500 };
struct event event KEEP = {
	.tiny = -2, .wide = -3000000000LL, .yes = 1, .verdict = FAILED, .big = HUGE,
	.ratio = 0.5, .share = 0.25f, .comm = "systemd", .mac = { 2, 0, 0, 0, 0, 9 },
	.pair = { 1, 2 }, .pairs = { { 3, 4 }, { 5, 6 } },
	.grid = { { 1, 2, 3 }, { 4, 5, 6 } }, .names = { "ab", "wxyz" },
	.verdicts = { PASS, REDIRECT }, .enormous = -5,
};
struct bits bits KEEP = { 5, 100, -9, 0xabcdef1234ULL, 1, REDIRECT, 200, 777 };
struct packed packed KEEP = { 1, 0x1abcd, 0x987654321fedcbaULL, 0xdeadbeef };
struct choice choice KEEP = { .kind = 4, .v4 = 0xc0a80001 };
struct clash clash KEEP = { 1, 2, 3, 4 };
struct record record KEEP = { 9, 0 };
volatile u32 number KEEP = 42;
