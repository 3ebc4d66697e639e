// since: 6.4
struct bpf_dynptr;
int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;

SEC("tc") int program(struct __sk_buff *ctx)
{
	struct bpf_dynptr pointer;
	__u8 buffer[14], *bytes;

	if (bpf_dynptr_from_skb(ctx, 0, &pointer))
		return 0;
	bytes = bpf_dynptr_slice(&pointer, 0, buffer, sizeof(buffer));
	if (!bytes)
		return 0;
#ifdef FIXED
	return bytes[0];
#else
	bytes[0] = 1;
	return 0;
#endif
}
