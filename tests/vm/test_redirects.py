"""Redirects of XDP programs: the verdict is the kernel's, the target is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.engine.maps import Map
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm

from .packets import IPV4

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
LOOPBACK = 1
ABORTED, PASS, REDIRECT = 0, 2, 4


def verdicts(vm: Vm, executor: Any, text: str, numbers: tuple[Any, Any]) -> tuple[Any, Any]:
    """What the kernel and the vm say, and where the vm would send the packet."""
    theirs, mine = numbers
    with KernelProgram.load(
        ProgramType.XDP, assemble(text.format(map=theirs)), license="GPL"
    ) as program:
        expected = program.run(IPV4).retval
    loaded = vm.load_program(assemble(text.format(map=mine)), type=ProgramType.XDP)
    result = loaded.run(IPV4, executor=executor)
    assert result.retval == expected
    return expected, result.redirect


@pytest.mark.parametrize("flags", [0, 1, 2, 8])
def test_to_an_interface(vm: Vm, executor: Any, flags: int) -> None:
    text = f"r1 = 7\nr2 = {flags}\ncall bpf_redirect\nexit"
    expected = (ABORTED, None) if flags else (REDIRECT, (7, None, 0))
    assert verdicts(vm, executor, text, (0, 0)) == expected


@pytest.mark.parametrize("kind", [MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP])
def test_through_a_map(vm: Vm, executor: Any, kind: MapType) -> None:
    """Of an entry that is missing the verdict is in the flags; others of them are an error."""
    mine: Any = vm.create_map(kind, max_entries=4)
    theirs: Any
    with Map.create(kind, key_size=4, value_size=4, max_entries=4) as theirs:
        if kind is not MapType.CPUMAP:  # an entry of a CPU map is a thread of the kernel
            theirs[1] = mine[1] = LOOPBACK
        for key in (0, 1, 9):
            for flags in (0, 1, 2, 3, 4, 8, 16, 24, 26, 32, 64):
                text = (
                    f"r1 = map[fd:{{map}}]\nr2 = {key}\nr3 = {flags}\ncall bpf_redirect_map\nexit"
                )
                numbers = (theirs.fileno(), mine.id)
                verdict, target = verdicts(vm, executor, text, numbers)
                assert target == ((key, mine.id, flags) if verdict == REDIRECT else None)
