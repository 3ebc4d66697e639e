"""What runs in the userspace engine, from one time on: every executor counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from osmia.coverage.functions import function_counts
from osmia.coverage.model import FunctionCounts, Way

if TYPE_CHECKING:
    from osmia.vm.code import Code, CodeFunction
    from osmia.vm.counting import Counters
    from osmia.vm.loaded import VmObject

_Counts = tuple[Mapping[int, int], Mapping[Way, int]]


class VmCounts:
    """Counts the programs of a loaded object until `stop`."""

    def __init__(self, loaded: VmObject) -> None:
        self._vm = loaded.vm
        programs = [program for program in loaded.programs.values() if not program.closed]
        self._counters = self._vm.need_counting().begin(programs)
        self._parts: list[tuple[Code, Counters, _Counts]] = [
            (program.code, each, each.read())
            for program, each in zip(programs, self._counters, strict=True)
        ]

    def functions(self) -> Iterator[FunctionCounts]:
        """What ran until now."""
        for code, counters, before in self._parts:
            yield from _functions(code, counters.read(), before)

    def stop(self) -> None:
        """Count no longer."""
        if not self._vm.closed:
            self._vm.need_counting().end(self._counters)


def _functions(code: Code, now: _Counts, before: _Counts) -> Iterator[FunctionCounts]:
    slots = {slot: count - before[0][slot] for slot, count in now[0].items()}
    ways = {way: count - before[1][way] for way, count in now[1].items()}
    for function in code.functions.values():
        yield _function(code, function, slots, ways)


def _function(
    code: Code, function: CodeFunction, slots: Mapping[int, int], ways: Mapping[Way, int]
) -> FunctionCounts:
    start, end = function.start, function.end
    return function_counts(
        function.name,
        [(slot, i) for slot, i in enumerate(code.instructions[start:end]) if i is not None],
        {slot - start: line for slot, line in code.lines.items() if start <= slot < end},
        {slot - start: count for slot, count in slots.items() if start <= slot < end},
        {
            (slot - start, target - start): count
            for (slot, target), count in ways.items()
            if start <= slot < end
        },
    )
