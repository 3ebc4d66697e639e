"""Contexts that are given and left: the same values and the same errors on both engines."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.errors import CodecError

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int on_skb(struct __sk_buff *s) { s->cb[0] = 9; return s->mark; }
SEC("xdp") int on_xdp(struct xdp_md *x) { return XDP_PASS; }
char L[] SEC("license") = "GPL";
"""
GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("on_skb", {"mark": 3, "cb": [1, 2, 3, 4, 5]}),
    ("on_skb", {"mark": 3, "priority": 6, "tstamp": 1 << 40}),
    ("on_xdp", {}),
]
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("on_skb", {"mark": 1 << 40}),
    ("on_skb", {"mark": -1}),
    ("on_skb", {"mark": "x"}),
    ("on_skb", {"cb": [1, 2]}),
    ("on_skb", {"cb": [1, 2, 3, 4, 1 << 32]}),
    ("on_skb", {"nonsense": 1}),
    ("on_xdp", {"data_end": 1 << 32}),
]


def test_results_have_the_same_contexts() -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for name, ctx in GIVEN:
            wanted = kernel.programs[name].run(bytes(64), ctx=ctx)
            found = vm.programs[name].run(bytes(64), ctx=ctx)
            assert found.retval == wanted.retval
            assert found.ctx_data == wanted.ctx_data
            assert list(found.ctx.keys())[:17] == list(wanted.ctx.keys())[:17]
            for field in set(found.ctx.keys()) - {"flow_keys", "sk"}:
                assert found.ctx[field] == wanted.ctx[field]


def test_what_does_not_fit_is_refused_in_the_same_words() -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for name, ctx in WRONG:
            told = []
            for bpf in (kernel, vm):
                with pytest.raises(CodecError) as error:
                    bpf.programs[name].run(bytes(64), ctx=ctx)
                told.append(str(error.value))
            assert told[0] == told[1]
