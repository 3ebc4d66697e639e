"""Local variables, arguments and inlined functions at an instruction of a loaded program.

They are what DWARF says, if the object that was compiled still has it; without it there are the
arguments that BTF tells, at a function's first instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from osmia import btf as types
from osmia.debugger.compiled_files import CompiledFile, FileLike, contents
from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.dwarf.pieces import InRegister, Missing, Piece
from osmia.debugger.dwarf.scopes import FunctionScope, Scope, ScopeKind, SourcePlace
from osmia.debugger.origins import Origin, Origins
from osmia.debugger.values import FrameAccess, Variable
from osmia.errors import MissingPackageError
from osmia.named_tuples import NamedTuple
from osmia.object.model import Function, Object, RelocationKind


class Level(NamedTuple):
    """A function that an instruction is in: the one that has the code, or one that was inlined
    there. `place` is where it is in its source: None for the innermost, which line records tell.
    `origin` is where its code was; `called` says that a pass inlined what it calls there."""

    function: str
    inlined: bool
    place: SourcePlace | None
    scopes: tuple[Scope, ...] = ()
    origin: Origin | None = None
    called: bool = False


class DebuggedFrame(FrameAccess, Protocol):
    """What variables need of a frame: `FrameAccess`, and where data sections are."""

    def data_address(self, section: str, offset: int) -> int | None:
        """The address of a byte of a data section of the object; None where it has none."""


class DebugInformation:
    """What is known of the variables of an Object's functions.

    `files` are the objects as they were compiled, with DWARF, by name: paths or bytes; without
    any it is the object's own file, if that is one. Of a linked object they are its inputs.
    `origins` is what the load was followed with. `remarks` says what is not known, and why.

    Raises ObjectFormatError for files that are damaged.
    """

    def __init__(
        self,
        obj: Object,
        files: Sequence[FileLike] | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.object = obj
        self.origins = origins or Origins()
        self.remarks: list[str] = []
        self._functions: dict[str, tuple[CompiledFile, FunctionScope]] = {}
        for name, data in contents(obj, files):
            try:
                self._add(CompiledFile(name, data))
            except MissingPackageError as error:
                self.remarks.append(f"no local variables: {error}")
                break
        if not self._functions and not self.remarks:
            self.remarks.append(
                f"{obj.path or obj.name} has no DWARF: no local variables, and of arguments what"
                " BTF tells; compile with dwarf=True (osmia compile --dwarf)"
            )

    def _add(self, file: CompiledFile) -> None:
        if not file.dwarf.functions:
            return
        part = self.object.parts.get(file.name)
        keys = dict(part.functions) if part is not None else {}
        for own, found in file.dwarf.functions.items():
            key = keys.get(own, own)
            function = self.object.functions.get(key)
            if function is None:
                continue
            if _is_code_of(function, found):
                self._functions.setdefault(key, (file, found))
            else:
                self.remarks.append(f"function {key!r} is not what {file.name} was compiled to")

    def leave_out(self, functions: Sequence[str]) -> None:
        """Say nothing of functions whose code is not what was compiled any more."""
        for key in functions:
            if self._functions.pop(key, None) is not None:
                self.remarks.append(f"function {key!r} was changed by a pass that was not followed")

    def type_named(self, tag: str, name: str) -> CType | None:
        """The type of a name that one of the files defines; None where none does."""
        files = dict.fromkeys(file for file, _ in self._functions.values())
        known = (file.types.named(tag, name) for file in files)
        return next((each for each in known if each is not None), None)

    def inlined(self, name: str) -> list[Origin]:
        """Where the code of an inlined function begins, each time the compiler inlined it; and
        where a function begins that passes may have inlined."""
        found = [Origin(key, 0) for key, each in self.object.functions.items() if each.name == name]
        for key, (file, own) in self._functions.items():
            for scope in file.dwarf.all_scopes(own.key):
                if scope.kind is ScopeKind.INLINED and scope.name == name:
                    first = min(low for low, _ in scope.ranges)
                    found.append(Origin(key, (first - own.start) // 8))
        return found

    def has_dwarf(self, function: str) -> bool:
        """Whether the variables of a function of the object are known."""
        return function in self._functions

    def levels(self, function: str, slot: int) -> list[Level]:
        """The functions that an instruction of the loaded object is in, innermost first."""
        origin = self.origins.of(function, slot)
        if origin is None:
            return [Level(function, False, None)]
        found = self._levels(origin)
        if origin.function == function:
            return found
        # A pass has inlined it: around it is the function that has the code now.
        found[-1] = found[-1]._replace(inlined=True)
        call = self._call_of(function, slot)
        if call is None:
            return [*found, Level(function, False, SourcePlace())]
        around = [each._replace(called=True) for each in self._levels(call)]
        around[0] = around[0]._replace(place=self._line_at(function, call.slot))
        return found + around

    def _levels(self, origin: Origin) -> list[Level]:
        known = self._functions.get(origin.function)
        if known is None:
            return [Level(origin.function, False, None, (), origin)]
        groups: list[list[Scope]] = []
        file, own = known
        for scope in file.dwarf.scopes_at(own, origin.slot):
            if scope.kind is ScopeKind.BLOCK:
                groups[-1].append(scope)
            else:
                groups.append([scope])
        levels, place = [], None
        for group in reversed(groups):
            first = group[0]
            inlined = first.kind is ScopeKind.INLINED
            name = first.name if inlined else origin.function
            levels.append(Level(name or "?", inlined, place, tuple(group), origin))
            place = first.call
        return levels

    def _call_of(self, function: str, slot: int) -> Origin | None:
        """The call that a pass put the code at a slot in the place of."""
        while slot >= 0:
            origin = self.origins.of(function, slot)
            if origin is not None and origin.function == function:
                return Origin(function, self._next_call(function, origin.slot))
            slot -= 1
        return None

    def _next_call(self, function: str, slot: int) -> int:
        """The first call of a function from a slot on."""
        calls = (RelocationKind.CALL, RelocationKind.FUNCTION)
        for relocation in self.object.functions[function].relocations:
            if relocation.kind in calls and relocation.offset >= 8 * slot:
                return relocation.offset // 8
        return slot

    def _line_at(self, function: str, slot: int) -> SourcePlace:
        found = SourcePlace()
        for line in self.object.source_lines(function):
            if line.slot > slot:
                break
            found = SourcePlace(line.file, line.line)
        return found

    def variables(
        self, function: str, slot: int, frame: DebuggedFrame, level: int = 0
    ) -> list[Variable]:
        """The variables of one of the `levels`: arguments first, then inner blocks' before outer
        ones'. One that hides another of its name is the only one of that name."""
        levels = self.levels(function, slot)
        if not 0 <= level < len(levels):
            raise IndexError(f"there are {len(levels)} functions here, none is number {level}")
        wanted = levels[level]
        origin = wanted.origin
        if origin is None:
            return []
        if not wanted.scopes:
            return self._arguments(origin, frame) if not level else []
        file, own = self._functions[origin.function]
        around = _Around(self.object, file, frame, own.key)
        around.called = wanted.called
        if origin.function != function:
            around.shift = self.origins.frame_shift(function, origin.function)
        found: dict[str, Variable] = {}
        for scope in reversed(wanted.scopes):
            for entry in scope.variables:
                if entry.name in found:
                    continue
                kind = file.types.of(entry.declaration)
                around.unit = entry.entry.cu
                pieces = file.pieces(entry, kind.size, own.start + 8 * origin.slot, around)
                found[entry.name] = Variable(
                    entry.name,
                    kind,
                    pieces,
                    frame,
                    is_argument=entry.is_argument,
                    line=entry.line,
                )
        return sorted(found.values(), key=lambda each: not each.is_argument)

    def _arguments(self, origin: Origin, frame: DebuggedFrame) -> list[Variable]:
        """What BTF tells of a function's arguments: they are in r1 to r5 when it begins."""
        function, btf = self.object.functions.get(origin.function), self.object.btf
        if function is None or btf is None or not function.btf_id:
            return []
        declared = btf.type(function.btf_id)
        prototype = btf.type(declared.type_id) if isinstance(declared, types.Func) else None
        if not isinstance(prototype, types.FuncProto):
            return []
        found = []
        for number, (name, type_id) in enumerate(prototype.parameters[:5], 1):
            if not type_id:
                continue
            kind = CType(btf, type_id)
            piece: Piece = InRegister(number, min(kind.size, 8))
            if origin.slot or kind.size > 8:
                piece = Missing("known when the function begins only: there is no DWARF", kind.size)
            found.append(
                Variable(name or f"argument {number}", kind, [piece], frame, is_argument=True)
            )
        return found


def _is_code_of(function: Function, found: FunctionScope) -> bool:
    """Whether a function is the one that was compiled: relocated numbers may be others."""
    return function.code[::8] == found.code[::8]


class _Around:
    """`Surroundings` of an expression: a frame of the program, the unit that tells of it."""

    def __init__(
        self, obj: Object, file: CompiledFile, frame: DebuggedFrame, function: str
    ) -> None:
        self.object = obj
        self.file = file
        self.frame = frame
        self.function = function
        self.shift: int | None = 0
        """How far below r10 a pass put the function's frame; None where that is not known."""
        self.called = False
        """Whether the function waits for one that a pass inlined: registers are that one's."""
        self.unit: Any = None

    @property
    def registers(self) -> Sequence[int | None]:
        if self.called:
            raise KeyError("not known: a pass inlined what is called here")
        return self.frame.registers

    def read(self, address: int, size: int) -> bytes:
        return self.frame.read(address, size)

    def frame_address(self, offset: int) -> int:
        if self.shift is None:
            raise KeyError("not known: a pass moved its frame into another function's")
        pointer = self.frame.registers[10]
        if pointer is None:
            raise KeyError("r10 holds nothing")
        size = self.file.frame_size(self.function) if offset >= 0 else 0
        return pointer - self.shift - size + offset

    def data_address(self, address: int) -> int:
        place = self.file.dwarf.data_place(address)
        if place is None:
            raise KeyError("its address is in no section")
        section, offset = self.file.linked_place(self.object, *place)
        found = self.frame.data_address(section, offset)
        if found is None:
            raise KeyError(f"the program has no section {section!r}")
        return found

    def indexed_address(self, index: int) -> int:
        return self.file.dwarf.indexed_address(self.unit, index)

    def base_type(self, offset: int) -> tuple[int, bool]:
        entry = self.unit.get_DIE_from_refaddr(self.unit.cu_offset + offset)
        return self.file.types.base_type(entry)
