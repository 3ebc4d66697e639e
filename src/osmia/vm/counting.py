"""Counts of what runs in a vm's programs, by every executor: where code begins, where jumps go.

Each count is a word of control memory. Generated and compiled code adds to it where a piece begins:
a block, or what follows a call or a legacy load in it, so that what a run leaves half done is not
counted. A piece that ends in a jump with two ways runs as often as they are taken, and needs no
count where nothing ends a run in between. Interpreted runs say where they ended. Runs at the same
time on several CPUs may lose counts to each other; what ran is never 0 for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from osmia.isa.forms import Form
from osmia.vm.budgets import SPLIT
from osmia.vm.code import Code
from osmia.vm.jit.blocks import function_flow, instructions

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.interpreter import Hook, Interpreter
    from osmia.vm.memory import Memory
    from osmia.vm.programs import VmProgram

Way = tuple[int, int]
"""A jump's slot, and the slot that it goes on at."""

_LEAVES = frozenset((Form.CALL, Form.CALL_REGISTER, Form.LOAD_ABSOLUTE, Form.LOAD_INDIRECT))
"""What may end a run, or the function, in the middle of a block."""


def pieces(code: Code) -> dict[int, int]:
    """Code that runs from its first slot to its last, or not at all: where each begins and ends
    (exclusive)."""
    found: dict[int, int] = {}
    for function in code.functions.values():
        for block in function_flow(code, function).blocks:
            start = block.start
            for slot, i, form in instructions(code, block.start, block.end):
                if form in _LEAVES and slot + i.slots < block.end:
                    found[start] = start = slot + i.slots
            found[start] = block.end
    return found


def ways(code: Code) -> list[Way]:
    """The ways of all jumps that have several, in order; the one that falls through first."""
    found: list[Way] = []
    for slot, i, form in instructions(code, 0, len(code.instructions)):
        if form in (Form.BRANCH, Form.MAY_GOTO) and i.offset:
            found += ((slot, slot + 1), (slot, slot + 1 + i.offset))
        elif form is Form.GOTO_REGISTER:
            found += ((slot, target) for target in dict.fromkeys(code.jumps[slot]))
    return found


def sole_ways(code: Code, found: Iterable[Way]) -> set[Way]:
    """Those of the ways that alone lead to where they go: they are taken as often as that runs."""
    into: Counter[int] = Counter()
    for function in code.functions.values():
        into[function.start] += 1
        for block in function_flow(code, function).blocks:
            into.update(block.successors)
    return {way for way in found if into[way[1]] == 1}


def told_by_ways(code: Code, found: Mapping[int, int]) -> dict[int, tuple[Way, Way]]:
    """Those of the pieces that run as often as the two ways at their end are taken, by where they
    begin. Loops pay at their jumps, and long code on its way: the budget may end a run there."""
    told: dict[int, tuple[Way, Way]] = {}
    starts = {end: start for start, end in found.items()}
    for function in code.functions.values():
        blocks = function_flow(code, function).blocks
        loops = any(s <= block.start for block in blocks for s in block.successors)
        if loops or function.end - function.start > SPLIT:
            continue
        for end in (block.end for block in blocks):
            i, form = code.instructions[end - 1], code.forms[end - 1]
            if i is not None and form is Form.BRANCH and i.offset:
                told[starts[end]] = (end - 1, end), (end - 1, end + i.offset)
    return told


class Counters:
    """The counts of one program: `starts` has the address of each piece's, but for those that their
    ways tell, `ways` of each way's that has one of its own; a way that alone leads to a piece has
    that one's (`sole`)."""

    def __init__(self, memory: Memory, code: Code) -> None:
        self._memory = memory
        self.pieces = pieces(code)
        everything = ways(code)
        self.sole = sole_ways(code, everything)
        self._told = told_by_ways(code, self.pieces)
        found = [way for way in everything if way not in self.sole]
        counted = [start for start in self.pieces if start not in self._told]
        self.base = memory.control.allocate(8 * (len(counted) + len(found)))
        self.starts = {start: self.base + 8 * n for n, start in enumerate(counted)}
        behind = self.base + 8 * len(counted)
        self.ways = {way: behind + 8 * n for n, way in enumerate(found)}
        self.jumps = frozenset(slot for slot, _ in everything)
        self.ends: Counter[int] = Counter()
        """How many interpreted runs ended right behind a slot in the middle of a piece."""
        self.users = 0
        self._last: tuple[Mapping[int, int], Mapping[Way, int]] | None = None

    def read(self) -> tuple[Mapping[int, int], Mapping[Way, int]]:
        """How often each slot ran until now, and each way was taken; also of a program that is no
        more."""
        if self._last is not None:
            return self._last
        load = self._memory.load64
        taken = {way: load(address) for way, address in self.ways.items()}
        counts = {start: load(address) for start, address in self.starts.items()}
        for start in sorted(self._told, reverse=True):  # ways go forward
            onward = (taken[way] if way in taken else counts[way[1]] for way in self._told[start])
            ended = sum(self.ends[slot] for slot in range(start, self.pieces[start]))
            counts[start] = sum(onward) + ended
        slots: dict[int, int] = {}
        for start, end in self.pieces.items():
            count = counts[start]
            for slot in range(start, end):
                slots[slot] = max(count, 0)
                count -= self.ends[slot]
        taken |= {way: counts[way[1]] for way in self.sole}
        return slots, taken

    def free(self) -> None:
        """Give the memory back; nothing that counts may run any more. What was counted stays."""
        self._last = self.read()
        self._memory.control.free(self.base)


class Counting:
    """The programs of a vm that are counted now, by number."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._kept: dict[int, Counters] = {}  # code that counts may go on running
        self.active: dict[int, Counters] = {}

    def begin(self, programs: Iterable[VmProgram]) -> Sequence[Counters]:
        """Count what runs of programs, until `end` was called as often; their code is made anew."""
        chosen = []
        with self._vm.lock:
            for program in programs:
                number = program.number
                if number not in self._kept:
                    self._kept[number] = Counters(self._vm.memory, program.code)
                counters = self.active[number] = self._kept[number]
                counters.users += 1
                chosen.append(counters)
        self._vm.recompile()
        return chosen

    def end(self, chosen: Sequence[Counters]) -> None:
        """Count no longer what `begin` gave."""
        with self._vm.lock:
            for counters in chosen:
                counters.users -= 1
            self.active = {n: each for n, each in self.active.items() if each.users > 0}
        self._vm.recompile()

    def drop(self, number: int) -> None:
        """A program is no more."""
        self.active.pop(number, None)
        counters = self._kept.pop(number, None)
        if counters is not None:
            counters.free()

    def close(self) -> None:
        """The vm is no more."""
        for number in list(self._kept):
            self.drop(number)

    def hook(self, hook: Hook | None) -> CountedRun:
        """What counts one interpreted run, and calls its own hook."""
        return CountedRun(self._vm.memory, self.active, hook)


class CountedRun:
    """A hook that counts one interpreted run. `end` says that it was ended by an exception."""

    def __init__(self, memory: Memory, active: Mapping[int, Counters], hook: Hook | None) -> None:
        self._memory = memory
        self._active = active
        self._hook = hook
        self._last: tuple[Counters, int] | None = None

    def __call__(self, interpreter: Interpreter) -> None:
        if self._hook is not None:
            self._hook(interpreter)
        frame = interpreter.frames[-1]
        slot = frame.slot
        last = self._last
        if last is not None and last[1] in last[0].jumps:
            self._add(last[0].ways.get((last[1], slot)))
        counters = self._active.get(frame.program)
        if counters is None:
            self._last = None
            return
        self._add(counters.starts.get(slot))
        self._last = counters, slot

    def end(self) -> None:
        """What follows the last instruction in its piece did not run."""
        if self._last is not None:
            counters, slot = self._last
            counters.ends[slot] += 1

    def _add(self, address: int | None) -> None:
        if address is not None:
            memory = self._memory
            memory.store(address, 8, memory.load64(address) + 1)
