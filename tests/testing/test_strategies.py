"""What hypothesis is given: values of C types, packets with right lengths, contexts."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import osmia
from osmia.captures.summary import summary
from osmia.errors import NotSupportedError
from osmia.object.uapi import ProgramType
from osmia.testing.strategies import contexts, packets, values
from osmia.values.from_btf import codec

TYPES = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum colour { RED = 1, GREEN = 7, BLUE = -3 };
struct point { __s16 x, y; };
struct flow {
	__u64 bytes;
	__u8 protocol;
	_Bool seen;
	enum colour colour;
	char comm[16];
	struct point path[3];
	union { __u32 v4; __u8 v6[16]; } address;
	void *socket;
};
struct bits { __u32 low : 3, high : 29; };
union both { __u64 number; struct { enum colour colour; __u32 rest; } tagged; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");
struct bits bits;
union both both;

SEC("tc") int passes(struct __sk_buff *skb) { return 0; }
SEC("xdp") int counts(struct xdp_md *ctx) { return XDP_PASS; }
"""
OBJECT = osmia.compile(TYPES)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_values_are_what_a_map_takes_and_gives_back(data: Any) -> None:
    flow = data.draw(values("struct flow", OBJECT))
    assert flow.colour in (1, 7, -3)
    assert flow.seen in (True, False)
    with OBJECT.load(engine="vm") as bpf:
        bpf.maps["flows"][1] = flow
        assert bpf.maps["flows"][1] == flow


@given(values("struct bits", OBJECT), values("enum colour", OBJECT), values("__u32", OBJECT))
def test_bit_fields_enumerations_and_numbers(bits: Any, colour: Any, number: Any) -> None:
    assert bits.low < 8 and bits.high < 1 << 29
    assert colour in (1, 7, -3)
    assert 0 <= number < 1 << 32


def test_a_name_of_no_type_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="flaw"):
        values("struct flaw", OBJECT)


def test_without_hypothesis_the_extra_is_named() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import osmia.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "this needs hypothesis: pip install 'osmia[test]'" in done.stderr


def test_types_are_found_in_loaded_objects_and_plain_btf() -> None:
    assert OBJECT.btf is not None
    with OBJECT.load(engine="vm") as bpf:
        values("struct flow", bpf)
    size = codec(OBJECT.btf, OBJECT.btf.find("point")).size
    assert size == 4
    values("struct point", OBJECT.btf)


@given(packets())
def test_packets_say_their_lengths(packet: bytes) -> None:
    told = summary(packet)
    assert "says" not in " ".join(told) and "cut off" not in " ".join(told)
    assert told[-1].startswith(("TCP ", "UDP ", "ICMP ", "ICMPv6 "))


@given(packets(versions=[4], protocols=["udp"], vlan=False))
def test_ipv4_has_a_right_checksum(packet: bytes) -> None:
    total = sum(struct.unpack("!10H", packet[14:34]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


@given(packets(vlan=True, cut=True))
def test_packets_that_are_cut_have_an_ethernet_header(packet: bytes) -> None:
    assert len(packet) >= 14 and packet[12:14] == b"\x81\0"


@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_contexts_are_taken(engine: str) -> None:
    with OBJECT.load(engine=engine) as bpf:

        @given(contexts(ProgramType.SCHED_CLS))
        @settings(max_examples=20, deadline=None)
        def check(context: Any) -> None:
            result = bpf.programs["passes"].run(bytes(64), context)
            assert result.verdict == "TC_ACT_OK"
            assert result.ctx.mark == context.get("mark", 0)

        check()


@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_contexts_of_xdp_are_taken(engine: str) -> None:
    with OBJECT.load(engine=engine) as bpf:

        @given(contexts(bpf.programs["counts"]))
        @settings(max_examples=10, deadline=None)
        def check(context: Any) -> None:
            assert bpf.programs["counts"].run(bytes(64), context).verdict == "XDP_PASS"

        check()


TRACING = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
__u64 first, second, seen;
SEC("kprobe/do_unlinkat") int BPF_KPROBE(probes, int dfd, void *name)
{
	first = PT_REGS_PARM1(ctx);
	second = (__u64)name;
	return 0;
}
SEC("tracepoint/sched/sched_switch") int switches(struct trace_event_raw_sched_switch *ctx)
{
	seen = ctx->next_prio;
	return 0;
}
SEC("cgroup/connect4") int connects(struct bpf_sock_addr *ctx)
{
	seen = ctx->user_port;
	return 1;
}
SEC("sockops") int operates(struct bpf_sock_ops *ctx) { seen = ctx->op; return 1; }
SEC("sk_lookup") int looks(struct bpf_sk_lookup *ctx) { seen = ctx->local_port; return 1; }
SEC("iter/task") int tasks(struct bpf_iter__task *ctx)
{
	if (ctx->task)
		seen += ctx->task->pid;
	return 0;
}
SEC("fentry/do_unlinkat") int BPF_PROG(enters) { return 0; }
"""


@pytest.fixture(scope="module")
def tracing() -> Any:
    with osmia.compile(TRACING).load("vm") as bpf:
        yield bpf


@pytest.mark.parametrize(
    ("program", "struct_name", "field"),
    [
        ("switches", "trace_event_raw_sched_switch", "next_prio"),
        ("connects", "bpf_sock_addr", "user_port"),
        ("operates", "bpf_sock_ops", "op"),
        ("looks", "bpf_sk_lookup", "local_port"),
    ],
)
def test_contexts_are_structs_that_btf_tells(
    tracing: Any, program: str, struct_name: str, field: str
) -> None:
    btf = tracing.object.btf
    decoded = codec(btf, btf.find(struct_name))

    @given(contexts(tracing.programs[program], tracing))
    @settings(max_examples=5, deadline=None, phases=[Phase.generate])
    def check(context: bytes) -> None:
        tracing.programs[program].run(ctx=context)
        assert tracing.data["seen"] & 0xFFFF_FFFF == decoded.decode(context)[field] & 0xFFFF_FFFF

    check()


def test_a_kprobe_finds_arguments_and_an_iterator_objects(tracing: Any) -> None:
    btf = tracing.object.btf
    regs = codec(btf, btf.find("pt_regs"))

    @given(contexts(tracing.programs["probes"], tracing))
    @settings(max_examples=5, deadline=None, phases=[Phase.generate])
    def check(context: bytes) -> None:
        tracing.programs["probes"].run(ctx=context)
        given_regs = regs.decode(context)
        assert tracing.data["first"] == given_regs["di"]
        assert tracing.data["second"] == given_regs["si"]

    check()
    fields = contexts(tracing.programs["tasks"], tracing)

    @given(st.lists(fields, max_size=3))
    @settings(max_examples=5, deadline=None, phases=[Phase.generate])
    def iterates(objects: Any) -> None:
        tracing.data["seen"] = 0
        tracing.programs["tasks"].run(objects=objects)
        assert tracing.data["seen"] == sum(each["task"].get("pid", 0) for each in objects)

    iterates()


def test_contexts_that_nobody_tells_are_refused(tracing: Any) -> None:
    with pytest.raises(NotSupportedError, match="TRACING"):
        contexts(tracing.programs["enters"], tracing)
    with pytest.raises(NotSupportedError, match="no struct bpf_sock_ops"):
        contexts(ProgramType.SOCK_OPS, OBJECT)


def test_bitfields_and_unions_have_values_of_their_own() -> None:
    bits = find(values("struct bits", OBJECT), lambda each: each.low == 5 and each.high > 1 << 20)
    assert bits.high < 1 << 29
    both = values("union both", OBJECT)
    assert find(both, lambda each: each.tagged.colour == 7 and not each.tagged.rest)
    assert find(both, lambda each: each.number > 1 << 60)
