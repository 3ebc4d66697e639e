/* Each program calls helpers with a to d for arguments, good and bad ones, and leaves what they
   gave in `results`, and in `out` what a buffer of Zs is afterwards. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char L[] SEC("license") = "GPL";

__u64 a, b, c, d;
long results[4];
char out[64], in[64];
static const char other[] = "abcd";

#define MAP(NAME, TYPE) struct { __uint(type, BPF_MAP_TYPE_##TYPE); __type(key, __u32); \
	__type(value, __u32); __uint(max_entries, 4); } NAME SEC(".maps")
MAP(devices, DEVMAP);
MAP(hashed_devices, DEVMAP_HASH);
MAP(cpus, CPUMAP);
MAP(sockets, XSKMAP);
MAP(hash, HASH);
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __uint(value_size, 8192);
	__uint(max_entries, 1); } large SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_USER_RINGBUF); __uint(max_entries, 4096); } orders SEC(".maps");

int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

static char *large_value(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&large, &zero);
}

static void use_dynptr(struct bpf_dynptr *ptr, __u64 flags)
{
	char buffer[32];
	__builtin_memset(buffer, 'Z', sizeof(buffer));
	results[1] = bpf_dynptr_read(buffer, c & 31, ptr, d, flags);
	__builtin_memcpy(out, buffer, sizeof(buffer));
	results[2] = bpf_dynptr_write(ptr, d, buffer, c & 31, flags);
	results[3] = !!bpf_dynptr_data(ptr, d, 8);
}

SEC("xdp") int dynptr_of_memory(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	char *value = large_value();
	if (value) {
		results[0] = bpf_dynptr_from_mem(value, a & 8191, b, &ptr);
		use_dynptr(&ptr, 0);
	}
	return 0;
}

SEC("xdp") int dynptr_flags(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	char *value = large_value();
	if (value) {
		bpf_dynptr_from_mem(value, 64, 0, &ptr);
		use_dynptr(&ptr, b);
	}
	return 0;
}

SEC("xdp") int dynptr_of_ring(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	char zeros[32] = {};
	results[0] = bpf_ringbuf_reserve_dynptr(&ring, a, b, &ptr);
	results[1] = bpf_dynptr_write(&ptr, d, zeros, c & 31, 0);
	results[2] = bpf_dynptr_read(zeros, c & 31, &ptr, d, 0);
	results[3] = !!bpf_dynptr_data(&ptr, d, 8);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("xdp") int ring_output(struct xdp_md *ctx)
{
	char *value = large_value();
	if (value)
		results[0] = bpf_ringbuf_output(&ring, value, a & 8191, b);
	results[1] = bpf_ringbuf_query(&ring, c);
	return 0;
}

#define RESERVE(NAME, SIZE) SEC("xdp") int NAME(struct xdp_md *ctx) \
{ \
	void *record = bpf_ringbuf_reserve(&ring, SIZE, a); \
	results[0] = !!record; \
	if (record) \
		bpf_ringbuf_discard(record, 0); \
	return 0; \
}
RESERVE(reserve_1, 1)
RESERVE(reserve_all, 4088)
RESERVE(reserve_more, 4089)
RESERVE(reserve_much, 0x3fffffff)

SEC("xdp") int xdp_bytes(struct xdp_md *ctx)
{
	char buffer[64];
	__builtin_memset(buffer, 'Z', sizeof(buffer));
	results[0] = bpf_xdp_load_bytes(ctx, a, buffer, (b & 63) + 1);
	__builtin_memcpy(out, buffer, sizeof(buffer));
	results[1] = bpf_xdp_store_bytes(ctx, a, in, (b & 63) + 1);
	return 0;
}

SEC("xdp") int xdp_redirects(struct xdp_md *ctx)
{
	results[0] = bpf_redirect(a, b);
	results[1] = bpf_redirect_map(&devices, a, b);
	results[2] = bpf_redirect_map(&hashed_devices, a, b);
	results[3] = bpf_redirect_map(&cpus, a, b) * 100 + bpf_redirect_map(&sockets, a, b);
	return 0;
}

SEC("tc") int redirects(struct __sk_buff *skb)
{
	struct bpf_redir_neigh neighbour = {};
	results[0] = bpf_redirect(a, b);
	results[1] = bpf_redirect_peer(a, b);
	results[2] = bpf_redirect_neigh(a, c & 15 ? &neighbour : 0, c & 15, b);
	return 0;
}

SEC("tc") int checksums(struct __sk_buff *skb)
{
	char one[64], two[64];
	__builtin_memcpy(one, in, sizeof(one));
	__builtin_memcpy(two, in, sizeof(two));
	two[3] = 9;
	results[0] = bpf_csum_diff((void *)one, a & 63, (void *)two, b & 63, c);
	results[1] = bpf_csum_diff(0, 0, (void *)two, b & 63, c);
	results[2] = bpf_csum_diff((void *)one, a & 63, 0, 0, c);
	return 0;
}

SEC("tc") int compared(struct __sk_buff *skb)
{
	results[0] = bpf_strncmp(in, (a & 31) + 1, other);
	return 0;
}

SEC("tc") int name_of_task(struct __sk_buff *skb)
{
	char buffer[32];
	__builtin_memset(buffer, 'Z', sizeof(buffer));
	results[0] = bpf_get_current_comm(buffer, (a & 31) + 1);
	__builtin_memcpy(out, buffer, sizeof(buffer));
	return 0;
}

SEC("tc") int text(struct __sk_buff *skb)
{
	static const char format[] = "n=%d %s|", plain[] = "plain";
	__u64 values[] = {b, (__u64)other};
	char buffer[32];
	__builtin_memset(buffer, 'Z', sizeof(buffer));
	results[0] = bpf_snprintf(buffer, a & 31, format, values, sizeof(values));
	__builtin_memcpy(out, buffer, sizeof(buffer));
	results[1] = bpf_snprintf(buffer, a & 31, plain, 0, 0);
	return 0;
}

static int step(__u32 index, void *unused)
{
	results[1]++;
	return index == c;
}

SEC("tc") int loops(struct __sk_buff *skb)
{
	__u32 times = a;
	results[1] = 0;
	if (times > 1000 && times <= 1 << 23)
		times = 1000;
	results[0] = bpf_loop(times, step, 0, b);
	return 0;
}

SEC("tc") int numbers(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *number;
	results[1] = 0;
	results[0] = bpf_iter_num_new(&it, a, b);
	while ((number = bpf_iter_num_next(&it))) {
		results[2] = *number;
		if (++results[1] > 20)
			break;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

static long each(void *map, __u32 *key, __u32 *value, void *unused)
{
	return ++results[1] == c;
}

SEC("tc") int elements(struct __sk_buff *skb)
{
	results[1] = 0;
	results[0] = bpf_for_each_map_elem(&hash, each, 0, a);
	return 0;
}

static long sample(struct bpf_dynptr *ptr, void *unused)
{
	return 0;
}

SEC("tc") int drained(struct __sk_buff *skb)
{
	results[0] = bpf_user_ringbuf_drain(&orders, sample, 0, a);
	return 0;
}
