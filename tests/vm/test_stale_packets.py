"""No run finds bytes of an earlier packet: neither in the room that it grows into, nor beyond the
packet, where no verifier keeps compiled code of raw instructions from looking."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.isa import assemble
from osmia.object.uapi import ProgramType
from osmia.vm.engine import Vm

from .packets import IPV4, IPV6

SHORT, LONG = 64, 3000
TYPES = [ProgramType.XDP, ProgramType.SCHED_CLS, ProgramType.LWT_XMIT, ProgramType.CGROUP_SKB, None]

#: Counts the bytes behind the packet (r4) and before it (r3) that are not 0.
COUNT = """
    r0 = 0
    r5 = 4000
behind: r6 = *(u8 *)(r4 +0)
    if r6 == 0 goto next_behind
    r0 += 1
next_behind: r4 += 1
    r5 += -1
    if r5 != 0 goto behind
    r5 = 200
before: r6 = *(u8 *)(r3 +0)
    if r6 == 0 goto next_before
    r0 += 10000
next_before: r3 += -1
    r5 += -1
    if r5 != 0 goto before
    exit
"""
FILL = """
    r6 = r1
    r2 = -200
    call bpf_xdp_adjust_head
    r1 = r6
    r2 = 300
    call bpf_xdp_adjust_tail
    r1 = *(u32 *)(r6 +0)
    r2 = *(u32 *)(r6 +4)
fill: *(u8 *)(r1 +0) = 0xbb
    r1 += 1
    if r2 > r1 goto fill
    r1 = r6
    r2 = -300
    call bpf_xdp_adjust_tail
    r1 = r6
    r2 = 200
    call bpf_xdp_adjust_head
    r0 = 2
    exit
"""


def packet(size: int) -> bytes:
    return (bytes(12) + b"\x08\0\x45\0").ljust(size, b"\xaa")


def counting(vm: Vm, kind: ProgramType | None) -> Any:
    """A program that counts around the packet, the Ethernet header of it apart."""
    if kind is None:
        bounds = "r4 = r1\nr4 += r2\nr3 = r1\nr3 += -1\n"
    elif kind is ProgramType.XDP:
        bounds = "r4 = *(u32 *)(r1 +4)\nr3 = *(u32 *)(r1 +0)\nr3 += -1\n"
    else:
        hidden = -1 if kind is ProgramType.SCHED_CLS else -15
        bounds = f"r4 = *(u32 *)(r1 +80)\nr3 = *(u32 *)(r1 +76)\nr3 += {hidden}\n"
    return vm.load_program(assemble(bounds + COUNT), type=kind)


@pytest.mark.parametrize("kind", TYPES)
def test_nothing_is_left_of_a_longer_packet(vm: Vm, kind: ProgramType | None) -> None:
    program = counting(vm, kind)
    for options in ({"executor": "jit"}, {"executor": "interpreter", "strict": False}):
        assert program.run(packet(LONG), **options).retval == 0
        assert program.run(packet(SHORT), **options).retval == 0
    assert list(program.run_batch([packet(LONG), packet(SHORT), packet(LONG)])) == [0, 0, 0]
    assert program.run(packet(SHORT), executor="jit").retval == 0


def test_nothing_is_left_of_what_a_packet_grew_into(vm: Vm) -> None:
    program = counting(vm, ProgramType.XDP)
    fill = vm.load_program(assemble(FILL), type=ProgramType.XDP)
    for executor in ("jit", "interpreter"):
        assert fill.run(packet(SHORT), executor=executor).retval == 2
        assert program.run(packet(SHORT), executor="jit").retval == 0
        assert fill.run(packet(SHORT), executor=executor).retval == 2
        assert list(program.run_batch([packet(SHORT)])) == [0]
        fill.run_batch([packet(SHORT)])
        assert list(program.run_batch([packet(SHORT)])) == [0]
        fill.run_batch([packet(SHORT)])
        assert program.run(packet(SHORT), executor="jit").retval == 0


def test_metadata_leaves_no_second_copy_of_the_packets_end(vm: Vm) -> None:
    program = counting(vm, ProgramType.XDP)
    context = {"data": 16, "data_end": SHORT}
    given = bytes(16) + packet(SHORT - 16)
    assert program.run(given, context, executor="jit").retval == 0


GROW = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int dirty(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_head(ctx, -200) || bpf_xdp_adjust_tail(ctx, 300))
		return 0;
	char ones[64];
	__builtin_memset(ones, 0xff, sizeof(ones));
	for (int at = 0; at < 64; at++)
		bpf_xdp_store_bytes(ctx, at * 8, ones, 8);
	return bpf_xdp_adjust_tail(ctx, -300) || bpf_xdp_adjust_head(ctx, 200) ? 0 : 2;
}
SEC("xdp") int grow(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_head(ctx, -100) || bpf_xdp_adjust_tail(ctx, 300))
		return 0;
	return bpf_xdp_adjust_meta(ctx, -16) ? 0 : 2;
}
SEC("tc") int dirty_skb(struct __sk_buff *skb)
{
	char ones[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
	if (bpf_skb_change_tail(skb, 500, 0) || bpf_skb_change_head(skb, 100, 0))
		return 0;
	for (int at = 0; at < 70; at++)
		bpf_skb_store_bytes(skb, at * 8, ones, 8, 0);
	return 2;
}
SEC("tc") int grow_skb(struct __sk_buff *skb)
{
	if (bpf_skb_change_tail(skb, 500, 0) || bpf_skb_change_head(skb, 100, 0))
		return 0;
	return bpf_skb_adjust_room(skb, 40, BPF_ADJ_ROOM_MAC, 0) ? 0 : 2;
}
char L[] SEC("license") = "GPL";
"""


@pytest.mark.kernel
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_room_that_a_packet_grows_into_is_as_in_the_kernel(executor: Any) -> None:
    obj = osmia.compile(GROW)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for first, then in (("dirty", "grow"), ("dirty_skb", "grow_skb")):
            vm.programs[first].run(packet(SHORT), executor=executor)
            theirs = kernel.programs[then].run(packet(SHORT))
            mine = vm.programs[then].run(packet(SHORT), executor=executor)
            assert (mine.retval, mine.data) == (theirs.retval, theirs.data)
            vm.programs[first].run_batch([packet(SHORT)] * 2)
            assert vm.programs[then].run(packet(SHORT), executor=executor).data == theirs.data


#: Tells of what it finds, then changes the context, the packet and its room, as that says.
CHANGE = """
    r6 = r1
    r7 = *(u32 *)(r6 +8)
    r8 = *(u32 *)(r6 +16)
    r9 = *(u32 *)(r6 +40)
    r8 += r9
    r7 += r8
    *(u32 *)(r6 +8) = r7
    r2 = *(u32 *)(r6 +76)
    r3 = *(u32 *)(r6 +80)
    r4 = r2
    r4 += 14
    if r4 > r3 goto end
    r5 = *(u8 *)(r2 +5)
    *(u8 *)(r2 +0) = 2
    if r5 != 1 goto end
    r1 = r6
    r2 = 0x0081
    r3 = 7
    call bpf_skb_vlan_push
end: r0 = r7
    exit
"""


@pytest.mark.parametrize("executor", ["interpreter", "jit"])
def test_a_packet_like_the_one_before_is_placed_as_a_new_one(executor: Any) -> None:
    """Contexts that nobody gives are the last one's again where they would not differ."""
    tagged = IPV4[:5] + b"\1" + IPV4[6:]
    arp = IPV4[:12] + b"\x08\6" + IPV4[14:]
    packets = (IPV4, IPV4, arp, arp, tagged, tagged, IPV4, bytes(len(IPV4)), IPV6, IPV6, IPV4)
    inputs: list[tuple[bytes, Any]] = [(packet, None) for packet in packets]
    inputs += [(IPV4, {"mark": 5}), (IPV4, None), (tagged, None), (tagged, {"mark": 2})]
    code = assemble(CHANGE)

    def told(vm: Vm, packet: bytes, ctx: Any) -> tuple[Any, ...]:
        program = vm.load_program(code, type=ProgramType.SCHED_CLS)
        one = program.run(packet, ctx, executor=executor)
        two = program.run(packet, ctx, executor=executor)
        assert (one.retval, one.data, one.ctx_data) == (two.retval, two.data, two.ctx_data)
        return one.retval, one.data, one.ctx_data

    with Vm(memory=1 << 23, cpus=1) as vm:
        program = vm.load_program(code, type=ProgramType.SCHED_CLS)
        found = []
        for packet, ctx in inputs:
            result = program.run(packet, ctx, executor=executor)
            found.append((result.retval, result.data, result.ctx_data))
    for (packet, ctx), each in zip(inputs, found, strict=True):
        with Vm(memory=1 << 23, cpus=1) as vm:
            assert each == told(vm, packet, ctx)
