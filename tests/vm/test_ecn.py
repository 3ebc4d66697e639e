"""bpf_skb_ecn_set_ce does to checksums and tagged frames what the kernel does."""

from __future__ import annotations

from typing import Any

import pytest

import osmia

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
SEC("tc") int marked(struct __sk_buff *s) { return bpf_skb_ecn_set_ce(s); }
SEC("tc") int longer(struct __sk_buff *s)
{ bpf_skb_change_head(s, 14, 0); return bpf_skb_ecn_set_ce(s); }
SEC("tc") int stored(struct __sk_buff *s)
{ __u16 t = 0x4788; bpf_skb_store_bytes(s, 12, &t, 2, 0); return bpf_skb_ecn_set_ce(s); }
"""


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
@pytest.mark.parametrize("tags", [0, 1, 2])
def test_packets_are_marked_as_by_the_kernel(tags: int, executor: Any) -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for check in (0, 1, 2, 0xFF, 0x100, 0xFBFF, 0xFCFF, 0xFDFF, 0xFEFF, 0xFFFE, 0xFFFF):
            for tos in range(4):
                header = bytes([0x45, tos]) + bytes.fromhex("0040 0000 0000 4011")
                header += check.to_bytes(2, "little") + bytes.fromhex("0a000001 0a000002")
                packet = bytes(12) + b"\x81\0\0\1" * tags + b"\x08\0" + header + bytes(60)
                for name in vm.programs:
                    wanted = kernel.programs[name].run(packet)
                    found = vm.programs[name].run(packet, executor=executor)
                    assert (found.retval, found.data) == (wanted.retval, wanted.data)
