"""How far a step goes: plans that are asked after each instruction whether it ends there.

Lines are those of the object's line records: without them a step is an instruction. Frames are
told apart by their number (`Machine.entries`), since a depth alone is many calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine

Plan = Callable[[], bool]
"""Whether the run, where it is now, did what it was asked to."""

Line = tuple[int, str, int]
"""A frame's number, a file and a line."""


def line_of(machine: Machine) -> Line | None:
    """The line that the innermost function is in; None where the code has no lines."""
    frame = machine.frames[-1]
    found = frame.code.line_at(frame.slot)
    return None if found is None else (machine.entries[len(machine.frames) - 1], *found[1:3])


def begins_line(machine: Machine) -> bool:
    """Whether the code of a line begins here."""
    frame = machine.frames[-1]
    return frame.slot in frame.code.lines


def frames_of(machine: Machine) -> list[int]:
    """The numbers of the active frames."""
    return machine.entries[: len(machine.frames)]


def one_instruction(machine: Machine, *, over: bool) -> Plan:
    """An instruction; `over` runs what it calls to its end."""
    here = frames_of(machine)
    return lambda: not over or not _is_below(machine, here)


def one_line(machine: Machine, *, over: bool) -> Plan:
    """Until another line begins: `over` what is called, or there too. What has no lines is run
    over."""
    if line_of(machine) is None:
        return one_instruction(machine, over=over)
    here, last = frames_of(machine), line_of(machine)

    def ends() -> bool:
        nonlocal last
        if _is_below(machine, here) and (over or line_of(machine) is None):
            return False
        now = line_of(machine)
        if now == last:
            return False
        if begins_line(machine) or now is None:
            return True
        last = now  # back in the middle of a line: it is gone to the end of
        return False

    return ends


def until_returned(machine: Machine, index: int) -> Plan:
    """Until the function at `index`, from the outermost at 0, has returned."""
    number = machine.entries[index]
    return lambda: len(machine.frames) <= index or machine.entries[index] != number


def until_line(machine: Machine, file: str, line: int | None) -> Plan:
    """Until a line of the function, or behind the one that it is in; or until it returned."""
    index = len(machine.frames) - 1
    returned, now = until_returned(machine, index), line_of(machine)
    first = now[2] if now else 0

    def ends() -> bool:
        if returned():
            return True
        here = line_of(machine) if len(machine.frames) == index + 1 else None
        if here is None or not begins_line(machine) or (file and here[1] != file):
            return False
        return here[2] == line if line is not None else here[2] > first

    return ends


def _is_below(machine: Machine, frames: list[int]) -> bool:
    """Whether the innermost function was called by the last of these frames."""
    depth = len(frames)
    return len(machine.frames) > depth and machine.entries[depth - 1] == frames[-1]


class LineStarts:
    """Looks, while the past is gone through forwards, for the last place before now at which a
    line, or with `instruction` an instruction, begins; without `into` only in functions that are
    active now."""

    def __init__(self, machine: Machine, *, into: bool, instruction: bool) -> None:
        self._machine = machine
        self._into = into
        self._instruction = instruction
        self._frames = frames_of(machine) or [machine.entries[0]]

    def last_of(self, positions: Iterable[int]) -> int | None:
        """The last such position; None without one. Of the first it is not known what was before
        it, unless it is the run's."""
        machine, found = self._machine, None
        previous: Line | None = None
        known = False
        for position in positions:
            if not self._into and machine.entries[len(machine.frames) - 1] not in self._frames:
                continue
            line = line_of(machine)
            begins = begins_line(machine) and line != previous and (known or not position)
            if begins or self._instruction or line is None:
                found = position
            previous, known = line, True
        return found
