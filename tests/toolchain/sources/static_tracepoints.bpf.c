/* Marks that programs carry in their code, with arguments. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

long count, sizes[3], cookie, last;
char text[16];

SEC("usdt")
int BPF_USDT(on_mark, int number, const char *name, long third)
{
	count = bpf_usdt_arg_cnt(ctx);
	cookie = bpf_usdt_cookie(ctx);
	sizes[0] = bpf_usdt_arg_size(ctx, 0);
	sizes[1] = number + third;
	bpf_probe_read_user_str(text, sizeof(text), name);
	return 0;
}

SEC("usdt")
int each_argument(struct pt_regs *ctx)
{
	long value;

	if (bpf_usdt_arg(ctx, 5, &value) == 0)
		last = value;
	return 0;
}

SEC("usdt")
int BPF_USDT(without_arguments)
{
	count++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
