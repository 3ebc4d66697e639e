"""Programs to verify, and logs of several kernels' formats."""

from __future__ import annotations

SOURCE = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} flows SEC(".maps");

static __noinline int sum(struct xdp_md *ctx, int most)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    int found = 0;
    if (data + 64 > end)
        return 0;
    for (int i = 0; i < 40; i++) {
        found += ((volatile unsigned char *)data)[i];
        if (found > most)
            break;
    }
    return found;
}

__noinline int triple(int x)
{
    return x * 3 + 1;
}

SEC("xdp")
int accepted(struct xdp_md *ctx)
{
    __u32 key = sum(ctx, ctx->ingress_ifindex);
    __u64 *value = bpf_map_lookup_elem(&flows, &key);
    if (!value)
        return XDP_PASS;
    *value += triple(key);
    return XDP_DROP;
}

SEC("xdp")
int refused(struct xdp_md *ctx)
{
    __u32 key = ctx->ingress_ifindex;
    __u64 *value = bpf_map_lookup_elem(&flows, &key);
    if (key > 5)
        key = 3;
    if (key == 3)
        *value += sum(ctx, 3);  // may be NULL
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
"""


def line_of(text: str) -> int:
    """The number of the first line that has this text."""
    return next(n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line)


#: As Linux 6.18 writes it, level 2 and statistics: a branch of which both ways end in `exit`.
NEW = """\
func#0 @0
Live regs before insn:
      0: .1........ (61) r1 = *(u32 *)(r1 +12)
      1: .1........ (b7) r0 = 1
0: R1=ctx() R10=fp0
; __u32 key = ctx->ingress_ifindex; @ a.bpf.c:3
0: (61) r1 = *(u32 *)(r1 +12)         ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xff))
; return key == 5 ? 1 : 2; @ a.bpf.c:4
1: (b7) r0 = 1                        ; R0=1
2: (15) if r1 == 0x5 goto pc+1        ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xff))
3: (b7) r0 = 2                        ; R0=2
4: (95) exit

from 2 to 4: R0=1 R1=5 R10=fp0
4: (95) exit
verification time 120 usec
stack depth 0
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
"""

#: The same as Linux 5.10 writes it: whole states, and no word of where the other way begins.
OLD = """\
func#0 @0
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
; __u32 key = ctx->ingress_ifindex;
0: (61) r1 = *(u32 *)(r1 +12)
1: R1_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
; return key == 5 ? 1 : 2;
1: (b7) r0 = 1
2: R0_w=inv1 R1_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
2: (15) if r1 == 0x5 goto pc+1
 R0_w=inv1 R1_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
3: R0_w=inv1 R1_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
3: (b7) r0 = 2
4: R0_w=inv2 R1_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
4: (95) exit
4: R0_w=inv1 R1_w=inv5 R10=fp0
4: (95) exit
verification time 120 usec
stack depth 0
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
"""

#: Pasted from libbpf's output: level 1, a number used as a pointer that came by the stack.
PASTED = """\
libbpf: prog 'main': BPF program load failed: Permission denied
libbpf: prog 'main': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
; int key = ctx->ingress_ifindex; @ b.bpf.c:7
0: (61) r2 = *(u32 *)(r1 +12)         ; R1=ctx() R2_w=scalar(umax=4294967295)
1: (7b) *(u64 *)(r10 -8) = r2         ; R2_w=scalar(id=1) R10=fp0 fp-8_w=scalar(id=1)
; call(); @ b.bpf.c:8
2: (85) call bpf_get_smp_processor_id#8       ; R0_w=scalar()
; *(int *)key = 1; @ b.bpf.c:9
3: (79) r3 = *(u64 *)(r10 -8)         ; R3_w=scalar(id=1,umax=4294967295) R10=fp0
4: (07) r3 += 4                       ; R3_w=scalar(umin=4,umax=4294967299)
5: (61) r0 = *(u32 *)(r3 +0)
R3 invalid mem access 'scalar'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'main': failed to load: -13
libbpf: failed to load object 'b.bpf.o'
"""
