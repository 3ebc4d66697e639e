"""LRU maps: what programs look up stays; what the control plane looks up is as it was before.

The kernel does so since 5.2 (per-CPU lists, BPF_F_NO_COMMON_LRU: four go at a time, from one
CPU's list, and as many are looked at); here `lookup(key, mark=True)` does as a program's lookup.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapFlag, MapType, ProgramType
from osmia.vm.engine import Vm

ENTRIES = 16
USED = 4
LOOK = (
    "r6 = r1\nr2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr4 = r2\nr4 += 14\nr0 = 0\n"
    "if r4 > r3 goto out\nr5 = *(u8 *)(r2 +0)\n*(u32 *)(r10 -4) = r5\nr2 = r10\nr2 += -4\n"
    "r1 = map[fd:{map}]\ncall bpf_map_lookup_elem\nr0 = 0\nout: exit"
)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def lru(request: pytest.FixtureRequest, vm: Vm, one_cpu: None) -> Iterator[tuple[Any, Any]]:
    """A full LRU map and a program that looks its packet's first byte up."""
    held: Any
    if request.param == "vm":
        held = vm.create_map(MapType.LRU_HASH, key_size=4, value_size=4, max_entries=ENTRIES)
        code = assemble(LOOK.format(map=held.id))
        yield held, vm.load_program(code, type=ProgramType.XDP)
        return
    from osmia.engine.maps import Map
    from osmia.kernel.programs.program import KernelProgram

    with ExitStack() as stack:
        possible = os.cpu_count() or 1
        made = Map.create(
            MapType.LRU_HASH,
            key_size=4,
            value_size=4,
            max_entries=ENTRIES * possible,
            flags=MapFlag.NO_COMMON_LRU,
        )
        held = stack.enter_context(made)
        code = assemble(LOOK.format(map=held.fileno()))
        yield held, stack.enter_context(KernelProgram.load(ProgramType.XDP, code, license="GPL"))


def survivors(held: Any, use: Callable[[int], object]) -> set[int]:
    """Which of the oldest entries are left when one more came after they were used."""
    for key in range(ENTRIES):
        held[key] = key
    for key in range(USED):
        use(key)
    held[100] = 1
    return set(range(USED)) & set(held.keys())


def test_entries_that_the_control_plane_looks_up_are_no_younger(lru: tuple[Any, Any]) -> None:
    held, _ = lru
    assert survivors(held, lambda key: held[key]) < set(range(USED))


def test_entries_that_a_program_looks_up_stay(lru: tuple[Any, Any]) -> None:
    held, program = lru
    assert survivors(held, lambda key: program.run(bytes([key]) + bytes(63))) == set(range(USED))


def test_marked_lookups_count_as_a_programs(vm: Vm) -> None:
    held: Any = vm.create_map(MapType.LRU_HASH, key_size=4, value_size=4, max_entries=ENTRIES)
    assert survivors(held, lambda key: held.lookup(key, mark=True)) == set(range(USED))
