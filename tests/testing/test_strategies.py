"""What hypothesis is given: values of C types, packets with right lengths, contexts."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");
struct bits bits;

SEC("tc") int passes(struct __sk_buff *skb) { return 0; }
SEC("xdp") int counts(struct xdp_md *ctx) { return XDP_PASS; }
"""
OBJECT = osmia.compile(TYPES)


@given(st.data())
@settings(max_examples=50)
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


def test_contexts_that_nobody_may_choose_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="XDP"):
        contexts(ProgramType.XDP)
