"""Verdicts: the kernel's names for what packet programs return."""

from __future__ import annotations

import pickle

import pytest

import osmia
from osmia.object.uapi import ProgramType
from osmia.object.verdicts import LwtAction, SkAction, TcAction, XdpAction, verdict

PROGRAMS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int drops(struct xdp_md *ctx) { return XDP_DROP; }
SEC("xdp") int lies(struct xdp_md *ctx) { return 77; }
SEC("tc") int unspecific(struct __sk_buff *skb) { return -1; }
SEC("socket") int filters(struct __sk_buff *skb) { return 64; }
"""


def test_a_verdict_is_its_name_and_has_a_number() -> None:
    assert verdict(ProgramType.XDP, 1) is XdpAction.XDP_DROP
    assert XdpAction.XDP_DROP == "XDP_DROP" and hash(XdpAction.XDP_DROP) == hash("XDP_DROP")
    assert XdpAction.XDP_DROP.number == 1
    assert XdpAction("XDP_TX") is XdpAction.XDP_TX
    assert repr(TcAction.TC_ACT_SHOT) == "'TC_ACT_SHOT'"
    assert pickle.loads(pickle.dumps(SkAction.SK_PASS)) is SkAction.SK_PASS


def test_types_have_enumerations_of_their_own() -> None:
    assert verdict(ProgramType.SCHED_CLS, 0xFFFF_FFFF) is TcAction.TC_ACT_UNSPEC
    assert verdict(ProgramType.LWT_XMIT, 128) is LwtAction.BPF_LWT_REROUTE
    assert verdict(ProgramType.SK_LOOKUP, 1) is SkAction.SK_PASS
    assert verdict(ProgramType.NETFILTER, 1) == "NF_ACCEPT"


def test_what_has_no_name_is_its_digits() -> None:
    assert verdict(ProgramType.XDP, 77) == "77"
    assert verdict(ProgramType.SOCKET_FILTER, 1) == "1"
    assert verdict(None, 1 << 40) == str(1 << 40)


@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_runs_tell_their_verdict(engine: str) -> None:
    with osmia.compile(PROGRAMS).load(engine=engine) as bpf:
        told = {name: each.run(bytes(64)).verdict for name, each in bpf.programs.items()}
    assert told == {
        "drops": "XDP_DROP",
        "lies": "77",
        "unspecific": "TC_ACT_UNSPEC",
        "filters": "64",
    }
