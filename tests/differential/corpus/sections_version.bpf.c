// Sections: an old object's `version`, and a license that is no GPL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Proprietary";
__u32 VERSION SEC("version") = KERNEL_VERSION(4, 19, 7);

SEC("kprobe/vfs_read")
int probe(void *ctx)
{
	return 0;
}

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	return XDP_PASS;
}
