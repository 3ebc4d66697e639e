"""struct __sk_buff and struct xdp_md: access rules, contents and test runs as in the kernel."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.engine.maps import Map
from osmia.errors import VerifierError
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault
from osmia.vm.skb_contexts import SKB_FIELDS

from .everywhere import everywhere
from .packets import IPV4, IPV6, PACKETS, ethernet
from .skb_programs import program

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SKB_TYPES = (
    ProgramType.SCHED_CLS,
    ProgramType.SCHED_ACT,
    ProgramType.SOCKET_FILTER,
    ProgramType.CGROUP_SKB,
    ProgramType.LWT_IN,
    ProgramType.LWT_OUT,
    ProgramType.LWT_XMIT,
)
WIDTHS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
ALL = 2**32 - 1


def kernel_takes(program_type: ProgramType, code: bytes, attach_type: AttachType | None) -> bool:
    try:
        KernelProgram.load(
            program_type, code, license="GPL", expected_attach_type=attach_type
        ).close()
    except VerifierError:
        return False
    return True


def strict_mode_takes(
    vm: Vm, program_type: ProgramType, code: bytes, attach_type: AttachType | None
) -> bool:
    loaded = vm.load_program(code, type=program_type, expected_attach_type=attach_type)
    try:
        loaded.execute(IPV4, executor="interpreter")  # of devices' programs there is no other run
    except ProgramFault:
        return False
    return True


@pytest.mark.parametrize(
    ("program_type", "size", "attach_type"),
    [
        *((program_type, 192, None) for program_type in SKB_TYPES),
        (ProgramType.XDP, 24, None),
        (ProgramType.XDP, 24, AttachType.XDP_DEVMAP),
    ],
)
def test_strict_mode_allows_the_accesses_that_the_verifier_allows(
    vm: Vm, program_type: ProgramType, size: int, attach_type: AttachType | None
) -> None:
    """Every width at every offset, reads and writes."""
    accesses = {
        f"r0 = *({name} *)(r1 +{at})\nr0 = 1\nexit"
        for name in WIDTHS.values()
        for at in range(size)
    } | {
        f"r0 = 1\nr2 = 0\n*({name} *)(r1 +{at}) = r2\nexit"
        for name in WIDTHS.values()
        for at in range(size)
    }
    different = []
    for text in sorted(accesses):
        code = assemble(text)
        if kernel_takes(program_type, code, attach_type) != strict_mode_takes(
            vm, program_type, code, attach_type
        ):
            different.append(text)
        vm.forget_programs()
    assert not different


@pytest.mark.parametrize("program_type", [*SKB_TYPES, ProgramType.XDP])
@pytest.mark.parametrize("access", ["r0 = *(u8 *)(r2 +4)", "*(u8 *)(r2 +4) = 1"])
def test_packets_are_read_and_written_where_the_verifier_allows_it(
    vm: Vm, program_type: ProgramType, access: str
) -> None:
    data, end = (0, 4) if program_type is ProgramType.XDP else (76, 80)
    code = assemble(
        f"r2 = *(u32 *)(r1 +{data})\nr3 = *(u32 *)(r1 +{end})\nr4 = r2\nr4 += 8\n"
        f"if r4 > r3 goto out\n{access}\nout: r0 = 1\nexit"
    )
    taken = kernel_takes(program_type, code, None)
    assert strict_mode_takes(vm, program_type, code, None) == taken


CONTEXTS: list[dict[str, Any] | None] = [
    None,
    {},
    {"ifindex": 1, "cb": [1, 2, 3, 4, 5]},
    {
        "mark": 5,
        "priority": 6,
        "ingress_ifindex": 7,
        "tstamp": 1 << 40,
        "wire_len": 100,
        "gso_segs": 3,
        "gso_size": 9,
        "hwtstamp": 77,
    },
]


@pytest.mark.parametrize("program_type", SKB_TYPES)
def test_every_readable_field_holds_what_it_holds_in_the_kernel(
    program_type: ProgramType,
) -> None:
    with everywhere(program(program_type), program_type) as programs:
        for packet in PACKETS.values():
            for context in CONTEXTS:
                assert programs.agree(packet, context).error == 0


@pytest.mark.parametrize("program_type", [ProgramType.SCHED_CLS, ProgramType.SOCKET_FILTER])
def test_the_kernel_and_the_vm_refuse_the_same_input(program_type: ProgramType) -> None:
    errors = set()
    with everywhere(program(program_type), program_type) as programs:
        for at in range(192):
            if not 41 <= at < 44:  # there are no interfaces here: none is missing
                given = bytearray(192)
                given[at] = 1
                errors.add(programs.agree(IPV4, bytes(given)).error)
        for size in (0, 1, 20, 191, 192, 193, 200):
            for last in (b"", b"\0", b"\5"):
                errors.add(programs.agree(IPV4, bytes(size) + last).error)
        for wire_len in (1, 43, 44, 45, 57, 58, 59, 65535, 65536, 65537, ALL):
            errors.add(programs.agree(IPV4, {"wire_len": wire_len}).error)
        for gso_segs in (65535, 65536, ALL):
            errors.add(programs.agree(IPV4, {"gso_segs": gso_segs, "gso_size": ALL}).error)
        for kind in (b"\x08\0", b"\x86\xdd", b"\x81\0", b"\0\x10"):
            for size in (0, 1, 2, 4, 19, 20, 39, 40):
                errors.add(programs.agree(ethernet(kind, bytes(size))).error)
        for size in (0, 1, 13):
            errors.add(programs.agree(bytes(size)).error)
    assert errors == {0, 7, 22}


WRITES = {
    ProgramType.SCHED_CLS: (
        *("mark", "queue_mapping", "priority", "tc_index", "cb", "tc_classid", "tstamp"),
    ),
    ProgramType.SOCKET_FILTER: ("cb",),
    ProgramType.CGROUP_SKB: ("mark", "priority", "cb", "tstamp"),
    ProgramType.LWT_XMIT: ("mark", "priority", "cb"),
}


@pytest.mark.parametrize("program_type", WRITES)
def test_what_a_program_writes_is_in_the_context_afterwards(program_type: ProgramType) -> None:
    lines = []
    for number, name in enumerate(WRITES[program_type], start=1):
        place = SKB_FIELDS[name]
        width = "u64" if place.size == 8 else "u32"
        lines += [f"r1 = {1000 + number}", f"*({width} *)(r6 +{place.offset}) = r1"]
    lines += ["r1 = 7", f"*(u8 *)(r6 +{SKB_FIELDS['cb'].offset + 6}) = r1"]
    with everywhere(program(program_type, *lines), program_type) as programs:
        outcome = programs.agree(IPV6, {"mark": 1, "priority": 2, "cb": [9] * 5})
        assert outcome.context != programs.agree(IPV6, {"mark": 3}).context


@pytest.mark.parametrize("program_type", [ProgramType.SOCKET_FILTER, ProgramType.SCHED_CLS])
def test_legacy_loads_find_the_same_bytes(program_type: ProgramType) -> None:
    """At offsets into the packet, from its network header and from its link-layer header."""
    offsets = [0, 1, 12, 14, 30, 41, 43, 44, 55, 57, 58, 1000, 2**31 - 1]
    offsets += [base + more for base in (-0x100000, -0x200000) for more in (0, 1, 13, 40, 57, 70)]
    offsets += [-1, -4, -0x1000, -0x100000 - 1, -0x200000 - 1, -(2**31)]
    for width in ("u8", "u16", "u32"):
        text = (
            "\n".join(
                [
                    *("r6 = r1", "r8 = {found}", "r7 = {given}", "*(u64 *)(r8 +0) = 5"),
                    *("r7 = *(u64 *)(r7 +0)", f"r0 = *({width} *)skb[r7 + 0]"),
                    *("*(u64 *)(r8 +0) = r0", f"r0 = *({width} *)skb[r7 + 13]"),
                    *("*(u64 *)(r8 +8) = r0", f"r0 = *({width} *)skb[r7 + -4]"),
                    *("*(u64 *)(r8 +16) = r0", f"r0 = *({width} *)skb[15]"),
                    *("*(u64 *)(r8 +24) = r0", f"r0 = *({width} *)skb[-0x100000 + 2]"),
                    *("*(u64 *)(r8 +32) = r0", f"r0 = *({width} *)skb[-0x200000 + 2]"),
                    *("*(u64 *)(r8 +40) = r0", "r0 = 1", "exit"),
                ]
            )
            .replace("-0x100000 + 2", str(-0x100000 + 2))
            .replace("-0x200000 + 2", str(-0x200000 + 2))
        )
        with everywhere(text, program_type) as programs:
            for offset in offsets:
                programs.agree(IPV4, None, [offset])


def test_metadata_of_xdp_packets_takes_head_room() -> None:
    text = "\n".join(
        [
            *("r6 = r1", "r7 = {given}", "r8 = {found}"),
            *("r2 = *(u64 *)(r7 +0)", "call bpf_xdp_adjust_head", "*(u64 *)(r8 +0) = r0"),
            *("r2 = *(u64 *)(r7 +8)", "r1 = r6", "call bpf_xdp_adjust_meta"),
            *("*(u64 *)(r8 +8) = r0", "r2 = *(u64 *)(r7 +16)", "r1 = r6"),
            *("call bpf_xdp_adjust_tail", "*(u64 *)(r8 +16) = r0", "r1 = r6"),
            *("call bpf_xdp_get_buff_len", "*(u64 *)(r8 +24) = r0"),
            *("r1 = *(u32 *)(r6 +12)", "*(u64 *)(r8 +32) = r1"),
            *("r1 = *(u32 *)(r6 +16)", "*(u64 *)(r8 +40) = r1", "r0 = 2", "exit"),
        ]
    )
    errors = set()
    with everywhere(text, ProgramType.XDP) as programs:
        for meta in (0, 4, 6, 8, 32, 56, 60, 248, 252, 256):
            for head in (0, 14, 44, 45, -4, -200, -216, -217, -250, ALL, 2**32 + 2):
                for tail in (0, -20, 3000, 3462, 3463, 4000):
                    given = [head, -8, tail]
                    errors.add(programs.agree(IPV4, {"data": meta}, given).error)
        for more in (1, 2, 4, -4, -8, -252, -256, -260, 0):
            programs.agree(IPV4, {"data": 8}, [0, more, 0])
        for context in (
            *({"data_meta": 4}, {"data_end": 59}, {"data": 60}, {"data": 48}),
            *({"egress_ifindex": 1}, {"rx_queue_index": 1}),
        ):
            errors.add(programs.agree(IPV4, context, [0, 0, 0]).error)
    assert errors == {0, 22}


@pytest.mark.parametrize("helper", ["xdp_load_bytes", "xdp_store_bytes"])
def test_bytes_of_xdp_packets(helper: str) -> None:
    text = "\n".join(
        [
            *("r7 = {given}", "r8 = {found}", "r0 = 77", "r4 = *(u64 *)(r7 +8)"),
            *("if r4 > 40 goto out", "if r4 < 1 goto out", "r2 = *(u64 *)(r7 +0)"),
            "r3 = r8" if helper == "xdp_load_bytes" else "r3 = r7",
            *("r3 += 8", f"call bpf_{helper}", "out: *(u64 *)(r8 +0) = r0", "r0 = 2", "exit"),
        ]
    )
    with everywhere(text, ProgramType.XDP) as programs:
        for offset in (0, 1, 14, 18, 40, 57, 58, 59, 0xFFFF, 0x10000, 2**31, ALL, 2**32, -1):
            for size in (1, 2, 4, 16, 40):
                programs.agree(IPV4, None, [offset, size, 0x1122334455667788])


@pytest.mark.parametrize("program_type", [ProgramType.XDP, ProgramType.SCHED_CLS])
def test_events_take_bytes_of_the_packet_along(
    vm: Vm, program_type: ProgramType, executor: Any
) -> None:
    text = """
        r2 = map[fd:{events}]
        r3 = {flags:#x} ll
        r4 = r10
        r4 += -8
        r5 = 8
        *(u64 *)(r10 -8) = 99
        call bpf_perf_event_output
        exit
    """
    mine: Any = vm.create_map(MapType.PERF_EVENT_ARRAY, max_entries=1024)
    theirs: Any
    with Map.create(MapType.PERF_EVENT_ARRAY, key_size=4, value_size=4, max_entries=1024) as theirs:
        theirs.events.poll(0)  # opens the buffers
        mine.events.poll(0)
        for flags in (ALL, 5 << 32 | ALL, 58 << 32 | ALL, 59 << 32 | ALL, 1024, 1 << 52 | ALL):
            code = assemble(text.format(events=theirs.fileno(), flags=flags))
            with KernelProgram.load(program_type, code, license="GPL") as program:
                expected = program.run(IPV4).retval, [data for _, data in theirs.events.read()]
            code = assemble(text.format(events=mine.id, flags=flags))
            result = vm.load_program(code, type=program_type).run(IPV4, executor=executor)
            found = result.retval, [data for _, data in mine.read()]
            # The kernel pads its records: with their size, of four bytes, by eight.
            padded = [data.ljust((len(data) + 11) // 8 * 8 - 4, b"\0") for data in found[1]]
            assert (found[0], padded) == expected, hex(flags)


def test_a_packet_of_a_batch_is_what_it_is_alone() -> None:
    text = program(ProgramType.CGROUP_SKB, "r0 = 1")
    with everywhere(text, ProgramType.CGROUP_SKB) as programs:
        found = programs.maps["vm"][1]
        for packet in PACKETS.values():
            programs.vm.run(packet)
            alone, found[0] = bytes(found[0]), bytes(len(bytes(found[0])))
            programs.vm.run_batch([packet])
            assert bytes(found[0]) == alone
        with pytest.raises(ProgramFault, match="whole header"):
            programs.vm.run_batch([ethernet(b"\x08\0", bytes(19))])
