"""Source and instructions around a place, as a debugger lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.isa.disassembler import format_instruction
from osmia.isa.forms import Form
from osmia.isa.opcodes import CallKind, LoadKind
from osmia.named_tuples import NamedTuple
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.debugger.frames import Frame
    from osmia.isa.instruction import Instruction
    from osmia.vm.code import Code
    from osmia.vm.programs import VmProgram


class ListedLine(NamedTuple):
    """A line of source; `current` where the frame is."""

    number: int
    text: str
    current: bool


class ListedInstruction(NamedTuple):
    """An instruction; `line` is that of its source, 0 where none is known."""

    slot: int
    text: str
    current: bool
    line: int


class Sources:
    """Source files by the names that objects have for them: from disk, else the lines that the
    object itself has."""

    def __init__(self) -> None:
        self._files: dict[str, list[str] | None] = {}

    def whole(self, file: str) -> list[str] | None:
        """A file's lines; None where it is not there."""
        if file not in self._files:
            try:
                text = Path(file).read_text(errors="replace")
                self._files[file] = text.splitlines()
            except (OSError, ValueError):
                self._files[file] = None
        return self._files[file]

    def around(
        self, code: Code, file: str, line: int, current: int, around: int
    ) -> list[ListedLine]:
        """The lines from `around` before to `around` after one."""
        first, last = max(line - around, 1), line + around
        known = self.whole(file)
        if known is not None:
            found = list(enumerate(known[first - 1 : last], first))
        else:
            texts = {each.line: each.text for each in code.lines.values() if each.file == file}
            found = sorted((n, text) for n, text in texts.items() if first <= n <= last)
        return [ListedLine(number, text, number == current) for number, text in found]


def disassembly(frame: Frame, around: int) -> list[ListedInstruction]:
    """The instructions around that of a frame, of its function alone."""
    function = frame.code.function_at(frame.slot)
    instructions = frame.code.instructions
    slots = [slot for slot in range(function.start, function.end) if instructions[slot]]
    here = slots.index(frame.slot)
    found = []
    for slot in slots[max(here - around, 0) : here + around + 1]:
        line = frame.code.line_at(slot)
        text = instruction_text(frame.program, slot)
        found.append(ListedInstruction(slot, text, slot == frame.slot, line.line if line else 0))
    return found


def instruction_text(program: VmProgram, slot: int) -> str:
    """An instruction with the names of what it loads and calls."""
    i = program.code.instructions[slot]
    assert i is not None
    return format_instruction(i, _symbol(program, slot, i))


def _symbol(program: VmProgram, slot: int, i: Instruction) -> str | None:
    """What it names; of jumps the slot that they go to."""
    if i.is_call and i.src == CallKind.SUBPROGRAM:
        function = program.code.functions.get(slot + 1 + i.imm)
        return function.name if function else None
    form = program.code.forms[slot]
    if form in (Form.BRANCH, Form.GOTO, Form.MAY_GOTO):
        return str(slot + 1 + i.offset)
    if form is Form.GOTO_LONG:
        return str(slot + 1 + i.imm)
    if i.is_call and i.src == CallKind.KFUNC:
        return program.vm.resolve(i, program.type).name
    if i.slots == 2 and i.src in (LoadKind.MAP_FD, LoadKind.MAP_VALUE):
        body = program.vm.lifetimes.maps.get(i.imm)
        return None if body is None else body.name or None
    if i.slots == 2 and i.src == LoadKind.FUNCTION:
        function = program.code.functions.get(slot + 1 + i.imm)
        return function.name if function else None
    return None
