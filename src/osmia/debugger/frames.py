"""Frames: the active functions of a run that stands still, their registers and variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from osmia.debugger.errors import DebuggerError
from osmia.debugger.pointers import Pointer
from osmia.isa.alu import M64
from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents
    from osmia.debugger.dwarf.c_types import CType
    from osmia.vm.interpreter import Frame as Activation
    from osmia.vm.programs import VmProgram

NAMES = tuple(f"r{number}" for number in range(11))


class Call(NamedTuple):
    """A function that a frame is in, and where it is there."""

    function: str
    file: str
    line: int


class NoValue:
    """Stands for the value of a variable that has none here: `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<{self.reason}>"

    def __bool__(self) -> bool:
        return False


class VariableReader(Protocol):
    """What knows the local variables of functions, and what was inlined into them."""

    def locals(self, frame: Frame) -> Mapping[str, Any]:
        """The variables that a frame has where it is, by name, with their values."""

    def assign(self, frame: Frame, name: str, value: Any) -> None:
        """Change one. DebuggerError where that cannot be."""

    def type_named(self, tag: str, name: str) -> CType | None:
        """The C type of a name, of DWARF's kind `tag` ("structure_type"); None for none."""

    def calls(self, frame: Frame) -> Sequence[Call]:
        """The functions that a frame is in, innermost first: what was inlined there, then that
        which has the frame."""

    def inlined_slots(self, program: VmProgram, name: str) -> Sequence[int]:
        """Where the code of functions of a name begins that were inlined into a program."""


@dataclass(frozen=True, slots=True)
class Register:
    """A register: its value as an unsigned number, None when nothing was written to it yet, and
    what it points to, if it is a pointer."""

    name: str
    value: int | None
    pointer: Pointer | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "not written"
        if self.pointer is not None:
            return f"{self.value:#x} ({self.pointer})"
        return f"{self.value} ({self.value:#x})" if self.value > 9 else str(self.value)


class Registers(MutableMapping[str, Register]):
    """The registers of a frame, "r0" to "r10", to read and to assign numbers to; `depth` is the
    frame's number from the outermost at 0."""

    def __init__(self, session: Contents, activation: Activation, depth: int) -> None:
        self._session = session
        self._activation = activation
        self._depth = depth

    def __getitem__(self, name: str) -> Register:
        number = NAMES.index(name) if name in NAMES else _unknown(name)
        value = self._activation.registers[number]
        pointed = self._session.machine.tracking.has(self._depth, number)
        return Register(name, value, self._session.pointers.find(value) if pointed else None)

    def __setitem__(self, name: str, value: Any) -> None:
        self._session.check_still()
        if name == "r10":
            raise DebuggerError("r10 is the frame pointer, which nothing changes")
        number = NAMES.index(name) if name in NAMES else _unknown(name)
        self._activation.registers[number] = int(value) & M64
        tracking = self._session.machine.tracking
        tracking.set(self._depth, number, tracking.leads(int(value) & M64))

    def __delitem__(self, name: str) -> None:
        raise DebuggerError("registers are always there")

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


def _unknown(name: str) -> int:
    raise KeyError(f"there is no register {name!r}")


class Frame:
    """An active function of a run that stands still: `index` 0 is the innermost. `slot` is the
    instruction about to run, in outer frames the call; `number` no other frame of the run has."""

    def __init__(self, session: Contents, index: int, activation: Activation, number: int) -> None:
        self.session = session
        self.index = index
        self.number = number
        self.slot = activation.slot if index == 0 else activation.slot - 1
        self.code = activation.code
        self.program: VmProgram = session.vm.lifetimes.programs[activation.program]
        depth = len(session.machine.frames) - 1 - index
        self.registers = Registers(session, activation, depth)
        self.pointer = activation.pointer
        """Its r10: the stack's 512 bytes are below it."""

    @property
    def called_by(self) -> str:
        """What called it where no function did: "timer of entries[7]"; else ""."""
        machine = self.session.machine
        outermost = self.index == len(machine.frames) - 1
        return machine.callbacks.described() if outermost else ""

    @property
    def function(self) -> str:
        """The function's name."""
        return self.code.function_at(self.slot).name

    @cached_property
    def source_line(self) -> SourceLine | None:
        """Where it is in its source; None where the object does not say."""
        return self.code.line_at(self.slot)

    @property
    def file(self) -> str:
        """The source file, as the object names it; "" where it does not."""
        return self.source_line.file if self.source_line else ""

    @property
    def line(self) -> int:
        """The line's number; 0 where none is known."""
        return self.source_line.line if self.source_line else 0

    @cached_property
    def locals(self) -> Mapping[str, Any]:
        """Its local variables and arguments by name, as far as somebody knows them."""
        reader = self.session.variables
        return {} if reader is None else reader.locals(self)

    @cached_property
    def calls(self) -> Sequence[Call]:
        """The functions that it is in, innermost first: those that were inlined there, then its
        own."""
        reader = self.session.variables
        if reader is None:
            return (Call(self.function, self.file, self.line),)
        return reader.calls(self)

    def __repr__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.line else ""
        return f"<Frame {self.index}: {self.function}{where}, instruction {self.slot}>"
