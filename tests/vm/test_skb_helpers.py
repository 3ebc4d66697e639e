"""skb helpers: results, packets and contexts as in the kernel, errors included."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.isa.helper_functions import HELPERS
from osmia.kernel.probes import features
from osmia.object.uapi import ProgramType
from osmia.vm.engine import Vm
from osmia.vm.helpers import supported

from .everywhere import everywhere
from .packets import IPV4, PACKETS
from .skb_programs import BODIES, program

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

ALL = 2**32 - 1
FAR = (ALL, 2**31, 2**32, -1)
BYTES = (
    int.from_bytes(b"abcdefgh", "little"),
    *(0x1122334455667788, 0xF1E2D3C4B5A69788, 2**64 - 1, 2**63 + 1),
)
NUMBERS = (
    *((0, 0), (0, 0xFFFF), (0, ALL), (1, 2), (0x1234, 0x4321), (0xFFFF, 0)),
    *((0x0A000001, 0x0A010203), (ALL, 0), (2**32, 1)),
)
VLAN, SERVICE_VLAN, IP, IP6 = 0x0081, 0xA888, 0x0008, 0xDD86
NET, MAC = 0, 1
FIXED_GSO, ENCAP4, ENCAP6, GRE, UDP, KEEP_CHECKSUM = 1, 2, 4, 8, 16, 32
ETHERNET, DECAP4, DECAP6 = 64, 128, 256
LINK = 1 << 56  # a byte of inner link-layer header

Cases = Iterable[Sequence[int]]
product = itertools.product


def room() -> Cases:
    """Every difference in both modes, and every flag with a difference that it goes with."""
    differences = (0, 4, 8, 20, 40, 50, -4, -8, -20, -24, -28, -40, 4095, 4096, -4095, 2**31)
    yield from product(differences, (NET, MAC, 2), (0,))
    flags = (
        *(FIXED_GSO, ENCAP4, ENCAP6, ENCAP4 | ENCAP6, ENCAP4 | GRE, ENCAP4 | UDP, GRE, UDP),
        *(ENCAP4 | GRE | UDP, ENCAP6 | UDP, KEEP_CHECKSUM, ETHERNET, ENCAP4 | ETHERNET),
        *(ENCAP4 | ETHERNET | 14 * LINK, ENCAP4 | ETHERNET | 13 * LINK, 14 * LINK),
        *(ENCAP6 | ETHERNET | 200 * LINK, DECAP4, DECAP6, DECAP4 | DECAP6, 512, 1 << 40),
    )
    yield from product((20, 34, 40, -20, -24), (NET, MAC), flags)


CASES: dict[str, Cases] = {
    "skb_load_bytes": product((0, 1, 14, 42, 43, 44, 57, 58, 59, *FAR), (1, 4, 16, 48, 0, 49)),
    "skb_load_bytes_relative": product(
        (0, 1, 20, 43, 44, 0xFFFF, 0x10000, ALL), (1, 8, 40), (0, 1, 2, ALL, 2**32)
    ),
    "skb_store_bytes": (
        (offset, size, flags, *BYTES[:3])
        for offset, size, flags in product(
            (0, 1, 14, 42, 57, 58, *FAR), (1, 4, 24), (0, 1, 2, 3, 4, 1 << 32)
        )
    ),
    "csum_diff": (
        (old, new, seed, *BYTES)
        for old, new, seed in product(
            (0, 1, 4, 8, 12, 28, 3), (0, 4, 8, 20, 28, 2), (0, 1, 0xFFFF, ALL, 0x12345678, 2**32)
        )
    ),
    "l3_csum_replace": (
        (offset, *numbers, flags)
        for offset, numbers, flags in product(
            (24, 0, 25, 57, 58, 0xFFFE, 0x10000, ALL), NUMBERS, (0, 2, 4, 3, 8, 16)
        )
    ),
    "l4_csum_replace": (
        (offset, *numbers, flags)
        for offset, numbers, flags in product(
            (24, 40, 25, 57, 0x10000),
            NUMBERS,
            (0, 2, 4, 3, 18, 20, 32, 34, 36, 64, 96, 132, 148, 256),
        )
    ),
    "csum_update": ((0,), (ALL,)),
    "csum_level": (
        *((1, 0, 0), (1, 1, 1), (1, 1, 2), (2, 2, 1), (1, 3, 0), (1, 2, 0)),
        *((4, 1, 9), (ALL, 0, 2**32), (1, 1, 0)),
    ),
    "skb_pull_data": ((size,) for size in (0, 1, 14, 58, 59, 1000, ALL, 2**32 + 4)),
    "skb_change_head": product(
        (0, 1, 14, 100, 256, 257, 1000, 5000, 16000, 16006, 16007, 2**31, ALL, 2**32 + 4), (0, 1)
    ),
    "skb_change_tail": product(
        (0, 1, 13, 14, 33, 34, 58, 59, 100, 1000, 16000, 16064, 16065, ALL, 2**32 + 40), (0, 1)
    ),
    "skb_change_proto": product((IP, IP6, VLAN, 0, 0x10000 | IP), (0, 1)),
    "skb_change_type": ((kind,) for kind in (0, 1, 2, 3, 4, 7, ALL, 2**32)),
    "skb_adjust_room": room(),
    "skb_adjust_room twice": (
        *((20, MAC, ENCAP4, 20, MAC, ENCAP4, 100, 0), (20, MAC, ENCAP4, 20, MAC, 0, 30, 0)),
        *((40, MAC, ENCAP6, -20, MAC, 0, 20, 0), (20, MAC, ENCAP4, -20, MAC, 0, 34, 0)),
        *((8, NET, 0, -8, NET, 0, 20, 0), (40, MAC, ENCAP6, -40, MAC, DECAP4, 60, 0)),
        *((40, MAC, ENCAP6, -40, MAC, DECAP6, 60, 0), (20, MAC, 2 | GRE, 8, NET, 0, 10, 0)),
    ),
    "skb_vlan_push": product((VLAN, SERVICE_VLAN, IP, 0, 0x10081), (0, 5, 0x1FFF, 0xFFFF, 1 << 16)),
    "skb_vlan_push twice": (
        *((VLAN, 5, VLAN, 6), (SERVICE_VLAN, 0xFFFF, VLAN, 0), (VLAN, 0, SERVICE_VLAN, 9)),
    ),
    "skb_vlan_pop": ((),),
    "skb_vlan_push and pop": ((VLAN, 5, VLAN, 6), (SERVICE_VLAN, 0xFFFF, VLAN, 0)),
    "head, tail and bytes": (
        *((14, 0, 72, 0, 20, MAC, ENCAP4), (14, 0, 20, 0, 0, NET, 0), (14, 0, 28, 0, 0, MAC, 0)),
        *((14, 0, 27, 0, 4, MAC, 0), (300, 0, 1000, 0, 20, NET, 0), (0, 0, 14, 0, 0, NET, 0)),
        (100, 0, 114, 0, -4, NET, 0),
    ),
    "skb_ecn_set_ce": ((),),
    "skb_set_tstamp": product((0, 1, 2**63), (0, 1, 2, 3, ALL, 2**32)),
    "set_hash": ((1,), (0x12345,), (ALL,), (2**32 + 7,)),
    "get_cgroup_classid": ((),),
    "get_route_realm": ((),),
    "redirect": ((1, 0), (1, 1), (1, 2), (99999, 0), (0, 0), (1, 1 << 32), (1, 4), (1, 8)),
    "redirect_peer": ((1, 0), (1, 1), (0, 0)),
    "redirect_neigh": ((1, 0), (1, 1)),
    "redirect_neigh with a hop": ((1, f, n, 2) for f, n in product((0, 1), (1, 19, 20, 40))),
    "clone_redirect": ((1, 2), (1, 1 << 63), (0, 0)),  # what does not send anything
}
assert CASES.keys() == BODIES.keys()

LINK_TYPES = (ProgramType.SCHED_CLS, ProgramType.SCHED_ACT)
LWT_TYPES = (ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT)
SKB_TYPES = (*LINK_TYPES, ProgramType.SOCKET_FILTER, ProgramType.CGROUP_SKB, *LWT_TYPES)
SEGMENTED = {"gso_size": 100, "gso_segs": 2}


@pytest.mark.parametrize("name", BODIES)
def test_a_helper_does_what_it_does_in_the_kernel(name: str) -> None:
    """On IPv4 with every argument, on other packets with every third, for every type."""
    cases = list(CASES[name])
    contexts = [None, SEGMENTED] if "room" in name or "change" in name else [None]
    for program_type in LINK_TYPES:
        with everywhere(program(program_type, *BODIES[name]), program_type) as programs:
            for number, (label, packet) in enumerate(PACKETS.items()):
                first = program_type is ProgramType.SCHED_CLS and label == "IPv4"
                few = max(3, len(cases) // 16)
                for given in cases if first else cases[number % few :: few] or cases[:1]:
                    for context in contexts:
                        assert programs.agree(packet, context, given).error == 0
    called = [line.split()[1].removeprefix("bpf_") for line in BODIES[name] if "call" in line]
    allowed = set(SKB_TYPES).intersection(*(supported()[one].types or SKB_TYPES for one in called))
    for program_type in sorted(allowed - set(LINK_TYPES)):
        with everywhere(program(program_type, *BODIES[name]), program_type) as programs:
            for label in ("IPv4", "IPv6", "tagged"):
                for given in cases[:: max(1, len(cases) // 32)]:
                    assert programs.agree(PACKETS[label], None, given).error == 0


def test_the_hash_of_a_flow_is_the_flow_s() -> None:
    """The kernel's key is random, so only what it depends on is the same."""
    text = program(
        ProgramType.SCHED_CLS,
        *("r1 = r6", "call bpf_get_hash_recalc", "*(u64 *)(r8 +8) = r0", "r1 = r6"),
        "call bpf_get_hash_recalc",
    )
    with everywhere(text, ProgramType.SCHED_CLS) as programs:
        other = bytearray(IPV4)
        other[33] += 1  # the destination's last byte
        longer = IPV4 + b"more"
        for name in ("kernel", "interpreter", "jit"):
            found = []
            for packet in (IPV4, bytes(other), longer):
                held = programs.run(packet)[name].found
                assert held[:8] == held[8:16] != bytes(8)
                found.append(held[:8])
            assert found[0] == found[2] != found[1]
        assert programs.run(PACKETS["header only"])["interpreter"].found[:8] == bytes(8)


def test_the_helpers_of_a_program_type_are_the_kernel_s() -> None:
    numbers = {known.name.removeprefix("bpf_"): number for number, known in HELPERS.items()}
    with Vm(memory=1 << 23) as vm:
        for name, held in supported().items():
            for program_type in (*SKB_TYPES, ProgramType.XDP) if held.types else ():
                code = assemble(f"call {numbers[name]}\nexit")
                try:
                    vm.load_program(code, type=program_type)
                    allowed = True
                except NotSupportedError as error:
                    assert f"{program_type.name} programs cannot call bpf_{name}" in str(error)
                    allowed = False
                assert allowed == features.has_helper(program_type, f"bpf_{name}"), (
                    f"bpf_{name} of {program_type.name}"
                )
