"""Which instruction of the object as it was opened an instruction of the loaded one comes from.

Passes move line records with the code that they belong to, through the editing model, into other
functions too. So for the time of a load every instruction has a record of its own, with its
number: a pass puts them there before all others, one behind all others reads them and gives the
functions their lines back.

    origins = Origins()
    loaded = obj.load("vm", passes=origins.passes, prune=True)
    origins.of("prog", 17)      # Origin(function="helper", slot=3)
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from osmia.isa.jumps import second_slots
from osmia.named_tuples import NamedTuple
from osmia.object.editing.line_records import LineRecords
from osmia.object.model import Function, Object
from osmia.passes.stages import Pass, Stage
from osmia.records import replace

_LOAD, _STORES = 1, (2, 3)  # classes of instructions


class Origin(NamedTuple):
    """An instruction of the object as it was: a key of its functions, and a slot there."""

    function: str
    slot: int


class Origins:
    """Of one load: where its instructions come from. Until it was loaded with `passes`, and for
    functions that did not go through it, every instruction is where it was."""

    def __init__(self) -> None:
        self._functions: list[tuple[str, Function]] = []
        self._starts: list[int] = []  # the number of each one's first slot; the first is 1
        self._slots: dict[str, list[int]] = {}  # of functions as they are loaded
        self._numbers: dict[str, list[int]] = {}
        self._lines: dict[str, LineRecords] = {}
        self._originals: dict[str, Function] = {}
        self._codes: dict[str, bytes] = {}  # of functions as they are loaded
        self._byteorder = "little"
        self._followed = False
        self.passes: Sequence[Pass] = (
            Pass("number_instructions", Stage.LINK, lambda obj, _: self._number(obj)),
            Pass("follow_instructions", Stage.REWRITE, lambda obj, _: self._read(obj), last=True),
        )

    def of(self, function: str, slot: int) -> Origin | None:
        """Where an instruction comes from; None for one that a pass made."""
        if not self._followed:
            return Origin(function, slot)
        slots = self._slots.get(function)
        if slots is None:
            return None
        at = bisect_right(slots, slot) - 1
        return self._origin(self._numbers[function][at]) if at >= 0 else None

    def frame_shift(self, function: str, callee: str) -> int | None:
        """How many bytes below the frame of `function` that of a function begins which a pass
        inlined into it; None where no instruction tells."""
        shifts = set()
        layout = struct.Struct("<BBh" if self._byteorder == "little" else ">BBh")
        base = (0xF0, 0xA0) if self._byteorder == "little" else (0x0F, 0x0A)  # of a load
        for slot, number in zip(
            self._slots.get(function, ()), self._numbers.get(function, ()), strict=True
        ):
            origin = self._origin(number)
            if origin is None or origin.function != callee:
                continue
            old = layout.unpack_from(self._originals[callee].code, 8 * origin.slot)
            new = layout.unpack_from(self._codes[function], 8 * slot)
            kind = old[0] & 7
            mask, r10 = base if kind == _LOAD else (0xFF ^ base[0], 0xAA & ~base[0])
            if kind in (_LOAD, *_STORES) and old[:2] == new[:2] and old[1] & mask == r10:
                shifts.add(old[2] - new[2])
        return shifts.pop() if len(shifts) == 1 else None

    def _origin(self, number: int) -> Origin | None:
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number == 0:
            return None
        return Origin(self._functions[at][0], number - self._starts[at])

    def _number(self, obj: Object) -> Object:
        self._functions, self._starts, self._lines = [], [], {}
        self._originals, self._byteorder = dict(obj.functions), obj.byteorder
        number, made = 1, {}
        for key, function in obj.functions.items():
            self._functions.append((key, function))
            self._starts.append(number)
            self._lines[key] = LineRecords(function.line_info, obj.byteorder)
            made[key] = replace(function, line_info=_numbered(function, number, obj.byteorder))
            number += function.instruction_count
        return obj.copy(functions=made)

    def _read(self, obj: Object) -> Object:
        self._slots, self._numbers, self._followed = {}, {}, True
        made = {}
        for key, function in obj.functions.items():
            records = LineRecords(function.line_info, obj.byteorder)
            # What was copied from other objects later has its own lines.
            numbers = [0 if file else place for file, _text, place in records.lines]
            self._slots[key], self._numbers[key] = records.slots, numbers
            self._codes[key] = function.code
            lines = LineRecords()
            for slot, line, always in self._real_lines(records, numbers):
                if always:
                    lines.extend([slot], [line])
                else:
                    lines.append(slot, line)
            made[key] = replace(function, line_info=lines.pack(obj.byteorder))
        return obj.copy(functions=made)

    def _real_lines(
        self, records: LineRecords, numbers: Sequence[int]
    ) -> Iterator[tuple[int, tuple[int, int, int], bool]]:
        """Slot and line of each record, and whether it had one of its own before."""
        for slot, line, number in zip(records.slots, records.lines, numbers, strict=True):
            origin = self._origin(number)
            if origin is None:
                if line[0]:
                    yield slot, line, True
                continue
            known = self._lines[origin.function]
            real = known.at(origin.slot)
            if real is not None:
                at = bisect_right(known.slots, origin.slot) - 1
                yield slot, real, known.slots[at] == origin.slot


def _numbered(function: Function, first: int, byteorder: str) -> bytes:
    """Line records that have the number of each instruction in the place of line and column."""
    layout = struct.Struct("<IIII" if byteorder == "little" else ">IIII")
    second = second_slots(function.code)
    return b"".join(
        layout.pack(slot, 0, 0, first + slot)
        for slot in range(function.instruction_count)
        if not second[slot]
    )
