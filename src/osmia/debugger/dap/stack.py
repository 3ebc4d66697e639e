"""The stack as an editor shows it: frames, with the functions that were inlined into each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.debugger.dap.sources import SourceFiles
from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import Frame
from osmia.debugger.local_variables import LocalVariables
from osmia.debugger.values import Variable
from osmia.debugger.variables import Level
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from osmia.debugger.session import Session
    from osmia.vm.programs import VmProgram

_CODE = 1 << 48
_PROGRAM_SHIFT = 24
_SLOT_SHIFT = 3


def code_address(number: int, slot: int) -> int:
    """What editors take for the address of an instruction: of a program, by its slot."""
    return _CODE | number << _PROGRAM_SHIFT | slot << _SLOT_SHIFT


def code_place(address: int) -> tuple[int, int] | None:
    """The program's number and the slot that such an address means; None for another address."""
    if address & ~((1 << _PROGRAM_SHIFT) - 1) < _CODE or address >= _CODE << 1:
        return None
    return (address ^ _CODE) >> _PROGRAM_SHIFT, address % (1 << _PROGRAM_SHIFT) >> _SLOT_SHIFT


class Place(NamedTuple):
    """A line of the stack: a function of a frame, which may be inlined into the next one."""

    frame: Frame
    number: int
    level: Level


class Stack:
    """The stack of a session where it stands still. Its lines have numbers from 1."""

    def __init__(self, session: Session, sources: SourceFiles) -> None:
        self._session = session
        self._sources = sources
        self._places: list[Place] | None = None

    def clear(self) -> None:
        """The program moves."""
        self._places = None

    @property
    def variables(self) -> LocalVariables | None:
        """What knows local variables."""
        found = self._session.variables
        return found if isinstance(found, LocalVariables) else None

    @property
    def places(self) -> list[Place]:
        """The lines, innermost first."""
        if self._places is None:
            self._places = [
                Place(frame, number, level)
                for frame in self._session.frames
                for number, level in enumerate(self.levels(frame))
            ]
        return self._places

    def levels(self, frame: Frame) -> list[Level]:
        """The functions that a frame is in."""
        if self.variables is None:
            return [Level(frame.function, False, None)]
        return self.variables.levels(frame)

    def __getitem__(self, number: int) -> Place:
        if not 1 <= number <= len(self.places):
            raise DebuggerError("the program has moved: that frame is not known any more")
        return self.places[number - 1]

    def locals(self, place: Place) -> list[Variable]:
        """The variables of a line's function."""
        if self.variables is None:
            return []
        return self.variables.variables(place.frame, place.number)

    def shown(self, start: int, count: int) -> list[dict[str, Any]]:
        """Some of the lines, as the protocol has them."""
        places = self.places[start : start + count if count else None]
        return [self._shown(number, each) for number, each in enumerate(places, start + 1)]

    def _shown(self, number: int, place: Place) -> dict[str, Any]:
        frame, level = place.frame, place.level
        line = frame.source_line
        if level.place is not None:
            file, row, column = level.place.file, level.place.line, 0
        else:
            file, row, column = frame.file, frame.line, line.column if line else 0
        name = f"{level.function} [inlined]" if level.inlined else level.function
        if frame.called_by and place.number == len(self.levels(frame)) - 1:
            name += f" [{frame.called_by}]"
        found: dict[str, Any] = {
            "id": number,
            "name": name,
            "line": row,
            "column": column,
            "instructionPointerReference": hex(code_address(frame.program.number, frame.slot)),
        }
        if file:
            found["source"] = self._sources.shown(file)
        else:
            found["presentationHint"] = "subtle"
        return found


def program_of(session: Session, number: int) -> VmProgram:
    """A program of the vm by its number. DebuggerError."""
    found = session.vm.lifetimes.programs.get(number)
    if found is None:
        raise DebuggerError(f"there is no program {number}")
    return found
