"""Counts of what runs in compiled code: in memory, and within loops in variables.

LLVM keeps a variable in a register, or sees that it goes on with the loop and adds the whole at its
end; a count in memory would keep a loop from being made a faster one. Variables are added to
memory where the function ends, however it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from osmia.isa.cfg import BasicBlock
from osmia.vm.jit.emitter import Emitter

if TYPE_CHECKING:
    from osmia.vm.counting import Counters

MOST = 32
"""Variables of one function: each is code wherever the function ends."""


class Counts:
    """The counts of one function; none without `counters`."""

    def __init__(
        self, body: Emitter, blocks: Iterable[BasicBlock], counters: Counters | None
    ) -> None:
        self._body = body
        self.starts: Mapping[int, int] = counters.starts if counters is not None else {}
        self.ways: Mapping[tuple[int, int], int] = counters.ways if counters is not None else {}
        loops = [(s, b.end) for b in blocks for s in b.successors if s <= b.start]
        inside = {
            *(at for slot, at in self.starts.items() if _is_in(slot, loops)),
            *(at for (slot, _), at in self.ways.items() if _is_in(slot, loops)),
        }
        self._variables = dict.fromkeys(sorted(inside)[:MOST], "") if loops else {}

    def begin(self) -> None:
        """Make the variables, where the function begins."""
        for address in self._variables:
            name = self._variables[address] = self._body.value("alloca i64")
            self._body.line(f"store i64 0, ptr {name}")

    def add(self, address: int) -> None:
        """The code got to where this counts."""
        variable = self._variables.get(address)
        if variable is None:
            place = self._body.pointer(address)
            self._body.store(place, 8, self._body.binary("add", self._body.load(place, 8), 1))
            return
        count = self._body.value(f"load i64, ptr {variable}")
        self._body.line(f"store i64 {self._body.binary('add', count, 1)}, ptr {variable}")

    def save(self) -> None:
        """Add the variables to memory: the function ends."""
        for address, variable in self._variables.items():
            place = self._body.pointer(address)
            count = self._body.value(f"load i64, ptr {variable}")
            known = self._body.load(place, 8)
            self._body.store(place, 8, self._body.binary("add", known, count))


def _is_in(slot: int, loops: Iterable[tuple[int, int]]) -> bool:
    return any(start <= slot < end for start, end in loops)
