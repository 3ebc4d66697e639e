"""The local variables of a session's frames, for expressions, the terminal and editors."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.frames import NAMES, Call, Frame, NoValue
from osmia.debugger.loading import information_of
from osmia.debugger.values import UnknownValueError, Variable
from osmia.debugger.variables import DebugInformation, Level

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents
    from osmia.vm.programs import VmProgram


class LocalVariables:
    """The `VariableReader` of a session."""

    def __init__(self, session: Contents, information: DebugInformation) -> None:
        self.session = session
        self.information = information

    def levels(self, frame: Frame) -> list[Level]:
        """The functions that a frame is in, innermost first: what was inlined into the one that
        has the frame, then that."""
        function = frame.code.function_at(frame.slot)
        return self.information.levels(function.name, frame.slot - function.start)

    def calls(self, frame: Frame) -> list[Call]:
        """See `Frame.calls`."""
        return [
            Call(each.function, each.place.file, each.place.line)
            if each.place is not None
            else Call(each.function, frame.file, frame.line)
            for each in self.levels(frame)
        ]

    def inlined_slots(self, program: VmProgram, name: str) -> list[int]:
        """Where the code of functions of a name begins that were inlined into a program."""
        wanted = set(self.information.inlined(name))
        code, found = program.code, []
        for start, function in code.functions.items() if wanted else ():
            before = None
            for slot in range(start, function.end):
                if code.instructions[slot] is None:
                    continue
                origin = self.information.origins.of(function.name, slot - start)
                if origin in wanted and origin != before:
                    found.append(slot)
                before = origin
        return found

    def variables(self, frame: Frame, level: int = 0) -> list[Variable]:
        """The variables of one of the `levels`, arguments first."""
        function = frame.code.function_at(frame.slot)
        around = _SessionFrame(self.session, frame)
        return self.information.variables(function.name, frame.slot - function.start, around, level)

    def locals(self, frame: Frame) -> Mapping[str, Any]:
        """The values of all of them by name, those of inner functions before those of the ones
        that they were inlined into; a `NoValue` for what has none."""
        return Values(self.named(frame), self.information.remarks)

    def named(self, frame: Frame) -> dict[str, Variable]:
        """All of them by name, the same way."""
        found: dict[str, Variable] = {}
        for level in range(len(self.levels(frame))):
            for each in self.variables(frame, level):
                found.setdefault(each.name, each)
        return found

    def type_named(self, tag: str, name: str) -> CType | None:
        """See `VariableReader`."""
        return self.information.type_named(tag, name)

    def assign(self, frame: Frame, name: str, value: Any) -> None:
        """Change one. ReadOnlyError, CodecError, KeyError."""
        self.named(frame)[name].assign(value)


class Values(Mapping[str, Any]):
    """The values of variables, each read when it is asked for; `remarks` is what else is not
    known of the program's, and why."""

    def __init__(self, variables: Mapping[str, Variable], remarks: Sequence[str] = ()) -> None:
        self.variables = variables
        self.remarks = remarks

    def __getitem__(self, name: str) -> Any:
        return value_of(self.variables[name])

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)


class PointerValue(int):
    """A pointer's address, by which what it points to is reached as C does: members by their
    names (`p->x`, in Python `p.x`), elements by their numbers."""

    variable: Variable

    def __new__(cls, variable: Variable) -> PointerValue:
        made = super().__new__(cls, variable.value)
        made.variable = variable
        return made

    def __getattr__(self, name: str) -> Any:
        try:
            return value_of(self.variable.member(_in_c(name)))
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, index: int) -> Any:
        return value_of(self.variable.member(f"[{index}]"))

    def __repr__(self) -> str:
        return hex(self)


def _in_c(name: str) -> str:
    """The name in C of a member that Python has a keyword for: `p.from_` is `p->from`."""
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


def value_of(variable: Variable) -> Any:
    """What expressions take for a variable: its value, a pointer's with what it points to."""
    try:
        return PointerValue(variable) if variable.type.is_pointer else variable.value
    except UnknownValueError as error:
        return NoValue(str(error))


class _SessionFrame:
    """A frame of a session as variables want it."""

    def __init__(self, session: Contents, frame: Frame) -> None:
        self._session = session
        self._frame = frame
        self.registers: Sequence[int | None] = _Registers(frame)

    def read(self, address: int, size: int) -> bytes:
        return self._session.memory(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._session.write(address, data)

    def write_register(self, register: int, value: int) -> None:
        self._frame.registers[NAMES[register]] = value

    def data_address(self, section: str, offset: int) -> int | None:
        loaded = self._session.loaded
        found = loaded.section_maps.get(section) if loaded is not None else None
        return None if found is None else int(found.raw.values_address) + offset


class _Registers(Sequence[int | None]):
    """The numbers in a frame's registers, as they are when they are asked for."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @overload
    def __getitem__(self, number: int) -> int | None: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[int | None]: ...
    def __getitem__(self, number: int | slice) -> int | Sequence[int | None] | None:
        if isinstance(number, slice):
            return [self._frame.registers[name].value for name in NAMES[number]]
        return self._frame.registers[NAMES[number]].value

    def __len__(self) -> int:
        return len(NAMES)


def reader(session: Contents) -> LocalVariables | None:
    """What knows the local variables of a session; None for a program of no object."""
    if session.loaded is None:
        return None
    return LocalVariables(session, information_of(session.loaded))
