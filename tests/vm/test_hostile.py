"""Hostile programs end in a result or an exception of ours, and stay in the region."""

from __future__ import annotations

import importlib
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from osmia.errors import OsmiaError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm import layout
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

pytestmark = pytest.mark.slow

SEED = 500_000
PROGRAMS = 300


@pytest.fixture(scope="module")
def hostile() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fuzz"))
    yield importlib.import_module("vm_hostile")
    monkeypatch.undo()


def test_hostile_programs_do_no_harm(hostile: ModuleType) -> None:
    print(f"seeds {SEED} to {SEED + PROGRAMS}")
    target = hostile.Target()
    with target.vm:
        outcomes = [target.attempt(seed) for seed in range(SEED, SEED + PROGRAMS)]
    assert sum(len(outcome) == len(hostile.WAYS) for outcome in outcomes) > PROGRAMS / 5


#: A program that writes where its packet starts and ends, then has a helper use that.
FORGED = (
    "r6 = r1\nw7 = {start}\n*(u32 *)(r1 +{data}) = r7\nw7 = {end}\n*(u32 *)(r1 +{data_end}) = r7\n"
)
SKB = {"data": 76, "data_end": 80}
XDP = {"data": 0, "data_end": 4}


@pytest.mark.parametrize("start,end", [(0, 0xFFFFFFFF), (0xF0000000, 0xFFFFFFFF), (0, 0), (8, 4)])
@pytest.mark.parametrize(
    "kind,call",
    [
        (ProgramType.SCHED_CLS, "r2 = 0xfffffff0 ll\nr3 = 0\ncall bpf_skb_change_head"),
        (ProgramType.SCHED_CLS, "r2 = 0xfffffff0 ll\nr3 = 0\ncall bpf_skb_change_tail"),
        (ProgramType.SCHED_CLS, "r2 = 129\nr3 = 7\ncall bpf_skb_vlan_push"),
        (
            ProgramType.SCHED_CLS,
            "r2 = 0x0ffffff0 ll\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 0\ncall bpf_skb_store_bytes",
        ),
        (ProgramType.SCHED_CLS, "r0 = *(u32 *)skb[0xffffff0]"),
        (ProgramType.XDP, "r2 = -20\ncall bpf_xdp_adjust_head"),
        (ProgramType.XDP, "r2 = 0x7fffffff ll\ncall bpf_xdp_adjust_tail"),
        (
            ProgramType.XDP,
            "r2 = 0xfffffff0 ll\nr3 = r10\nr3 += -8\nr4 = 8\ncall bpf_xdp_store_bytes",
        ),
    ],
)
def test_forged_packet_bounds_lead_nowhere(
    vm: Vm, kind: ProgramType, call: str, start: int, end: int
) -> None:
    fields = XDP if kind is ProgramType.XDP else SKB
    forge = FORGED.format(start=start, end=end, **fields)
    program = vm.load_program(assemble(f"{forge}r1 = r6\n{call}\nr0 = 0\nexit"), type=kind)
    control = vm.memory.read(vm.map_table, 4096)
    for options in ({"executor": "jit"}, {"executor": "interpreter", "strict": False}):
        try:
            program.run(bytes(64), **options)
        except OsmiaError:
            continue
    assert vm.memory.read(vm.map_table, 4096) == control


@pytest.mark.alone
def test_a_deadlock_in_a_loop_ends_the_run_at_its_first_round(vm: Vm) -> None:
    table: Any = vm.create_map(MapType.ARRAY, value_size=8, max_entries=1)
    again = f"again: r1 = map[fd:{table.id}][0]+0\ncall bpf_spin_lock\ngoto again"
    program = vm.load_program(assemble(again))
    begin = time.monotonic()
    with pytest.raises(ProgramFault, match="never released"):
        program.run(executor="jit", budget=1_000_000)
    assert time.monotonic() - begin < 30  # one round of waiting, not 200,000


@pytest.mark.parametrize(
    "call",
    ["call bpf_get_current_comm", "r3 = 0\ncall bpf_probe_read_kernel"],
    ids=["get_current_comm", "probe_read_kernel"],
)
def test_a_size_that_a_program_makes_up_allocates_nothing(vm: Vm, executor: Any, call: str) -> None:
    text = f"r1 = r10\nr1 += -8\nr2 = 0xffffffff ll\n{call}\nr0 = 0\nexit"
    program = vm.load_program(assemble(text))
    tracemalloc.start()
    try:
        with pytest.raises(ProgramFault, match="outside the region"):
            program.run(executor=executor, strict=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 26


@pytest.mark.parametrize("template", ["%99999999999d", "%9999999d"])
def test_a_width_that_a_program_makes_up_is_refused(vm: Vm, executor: Any, template: str) -> None:
    table: Any = vm.create_map(MapType.ARRAY, value_size=64)
    table[0] = template.encode().ljust(64, b"\0")
    printing = f"r1 = map[fd:{table.id}][0]+0\nr2 = 64\nr3 = 1\ncall bpf_trace_printk\nexit"
    result = vm.load_program(assemble(printing)).run(executor=executor)
    assert result.retval == 2**64 - 22
    assert not vm.trace


@pytest.mark.parametrize("length", [4, 104, 0xFFFF_FFF8])
def test_more_arguments_than_the_kernel_prints_are_refused(
    vm: Vm, executor: Any, length: int
) -> None:
    table: Any = vm.create_map(MapType.ARRAY, value_size=256)
    table[0] = b"%d".ljust(256, b"\0")
    printing = (
        f"r1 = map[fd:{table.id}][0]+0\nr2 = 64\nr3 = r1\nr4 = {length:#x} ll\n"
        "call bpf_trace_vprintk\nexit"
    )
    result = vm.load_program(assemble(printing)).run(executor=executor, strict=False)
    assert result.retval == 2**64 - 22


def test_strings_are_read_as_far_as_they_go(vm: Vm, executor: Any) -> None:
    """Not as far as the program says, in a loop."""
    table: Any = vm.create_map(MapType.ARRAY, value_size=64)
    table[0] = b"text".ljust(64, b"\0")
    again = (
        f"r6 = 300\nagain: r1 = r10\nr1 += -8\nr2 = 8\nr3 = map[fd:{table.id}][0]+0\n"
        "call bpf_probe_read_kernel_str\nr7 = r0\n"
        f"r1 = map[fd:{table.id}][0]+0\nr2 = 0xffffffff ll\nr3 = r1\ncall bpf_strncmp\n"
        "r7 += r0\nr6 += -1\nif r6 != 0 goto again\nr0 = r7\nexit"
    )
    program = vm.load_program(assemble(again))
    assert program.run(executor=executor, strict=False).retval == 5


def test_a_string_may_be_longer_than_a_page(vm: Vm, executor: Any) -> None:
    table: Any = vm.create_map(MapType.ARRAY, value_size=8192)
    table[0] = b"x" * 5000 + bytes(3192)
    copied = (
        f"r1 = map[fd:{table.id}][0]+5096\nr2 = 3000\nr3 = map[fd:{table.id}][0]+0\n"
        "r3 += 1000\ncall bpf_probe_read_kernel_str\nexit"
    )
    program = vm.load_program(assemble(copied))
    assert program.run(executor=executor, strict=False).retval == 3000


#: A TC program that says where its packet lies, then asks for room there, again and again.
DRIVEN = """
    r6 = r1
    r7 = {times}
    again:
    w2 = {data}
    *(u32 *)(r6 +76) = r2
    w2 += 1000
    *(u32 *)(r6 +80) = r2
    w2 = 8
    *(u32 *)(r6 +16) = r2
    r1 = r6
    {shift}
    r7 += -1
    if r7 != 0 goto again
    w2 = {data}
    *(u32 *)(r6 +76) = r2
    w2 += 1000
    *(u32 *)(r6 +80) = r2
    {use}
    exit
"""
SHIFTS = {
    "grow": "r2 = 4000\nr3 = 1\nr4 = 0\ncall bpf_skb_adjust_room",
    "tag": "r2 = 129\nr3 = 7\ncall bpf_skb_vlan_push",
}
HEADER_USES = {
    "relative": "r1 = r6\nr2 = 0\nr3 = 0x300000\nr4 = 0x4000\nr5 = {header}\n"
    "call bpf_skb_load_bytes_relative",
    "legacy": "r0 = *(u32 *)skb[{legacy}]",
    "hash": "w2 = 0\n*(u32 *)(r6 +44) = r2\nr1 = r6\ncall bpf_get_hash_recalc",
    "congestion": "r1 = r6\ncall bpf_skb_ecn_set_ce",
}


@pytest.mark.parametrize("header", [0, 1], ids=["link", "network"])
@pytest.mark.parametrize("use", HEADER_USES)
@pytest.mark.parametrize("shift", SHIFTS)
def test_headers_stay_where_packets_lie(vm: Vm, shift: str, use: str, header: int) -> None:
    """Driven out of the region, they would have helpers read what is before it: as far as a
    size reaches, for the sum wraps in compiled code."""
    lease = vm.cpus.lease()
    with lease.token:
        cpu = lease.take()
        data, state = cpu.packet + 8192, cpu.state
        low, high = cpu.packet - layout.PACKET_HEADROOM, cpu.block + layout.CPU_BLOCK
    uses = HEADER_USES[use].format(header=header, legacy=-0x200000 + header * 0x100000)
    text = DRIVEN.format(times=600, data=data, shift=SHIFTS[shift], use=uses)
    program = vm.load_program(assemble(text), type=ProgramType.SCHED_CLS)
    seen = []
    for options in ({"executor": "jit"}, {"executor": "interpreter", "strict": False}):
        result = program.run(bytes(12) + b"\x08\x00" + bytes(60), **options)
        places = [vm.memory.load64(state + n) for n in (layout.STATE_MAC, layout.STATE_NETWORK)]
        assert all(low <= place <= high for place in places)
        seen.append((result.retval, result.data, *places))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("use", HEADER_USES)
def test_headers_outside_of_the_region_are_not_read(vm: Vm, executor: Any, use: str) -> None:
    """Whatever brings them there."""
    uses = HEADER_USES[use].format(header=1, legacy=-0x100000)
    text = f"r6 = r1\ncall bpf_ktime_get_ns\n{uses}\nexit"
    state = vm.cpus.state_of(vm.cpus.first_block)

    def drive() -> int:
        vm.memory.store64(state + layout.STATE_NETWORK, 2**64 - 64)
        return 0

    vm.helpers["ktime_get_ns"] = drive
    program = vm.load_program(assemble(text), type=ProgramType.SCHED_CLS)
    packet = bytes(12) + b"\x08\x00" + bytes(60)
    result = program.run(packet, executor=executor, strict=False)
    assert result.retval in ((-14 & 0xFFFF_FFFF,) if use == "relative" else (0, 1))
    assert result.data == packet
