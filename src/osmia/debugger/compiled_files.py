"""A compiled object with DWARF: where the variables of its functions are, and how large frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from osmia.debugger.dwarf.c_types import DwarfTypes
from osmia.debugger.dwarf.expressions import Surroundings, evaluate
from osmia.debugger.dwarf.frame_base import FramePlace, frame_bytes
from osmia.debugger.dwarf.operations import operations
from osmia.debugger.dwarf.pieces import OPTIMISED_OUT, Computed, Missing, Piece
from osmia.debugger.dwarf.scopes import Dwarf, VariableEntry
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.formats.open import read_elf
from osmia.object.model import Object

NOT_HERE = "has no value here"
_MOST_FILE_BYTES = 1 << 28
_FORMS_OF_LISTS = ("DW_FORM_sec_offset", "DW_FORM_loclistx", "DW_FORM_data4", "DW_FORM_data8")
_MOST_KEPT = 1000  # entries of a location list
_FBREG, _BREG10 = 0x91, 0x7A


class CompiledFile:
    """A file as the compiler made it: its DWARF, the types in that, and what it says itself.

    `name` is what a linked object's part is called that comes from it.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.name = path.rpartition("/")[2].partition(".")[0]
        self.dwarf = Dwarf(data, path)
        self.types = DwarfTypes(self.dwarf)
        self._data = data
        self._frames: dict[str, int] = {}
        self._lists: dict[int, list[tuple[int, int, bytes]]] = {}

    @cached_property
    def object(self) -> Object:
        """The Object that the file is."""
        return read_elf(self._data, "", self.name)

    def pieces(
        self, entry: VariableEntry, size: int, address: int, around: Surroundings
    ) -> list[Piece]:
        """Where the bytes of a variable are when the code at an address is about to run."""
        try:
            with self.dwarf.damage():
                return self._pieces(entry, size, address, around)
        except ObjectFormatError as error:
            return [Missing(str(error), size)]

    def _pieces(
        self, entry: VariableEntry, size: int, address: int, around: Surroundings
    ) -> list[Piece]:
        for each in (entry.entry, entry.declaration):
            constant = each.attributes.get("DW_AT_const_value")
            if constant is not None:
                return [_constant(constant.value, size, self.dwarf.byteorder)]
        location = self._location(entry)
        if location is None:
            return [Missing(OPTIMISED_OUT, size)]
        if location.form in _FORMS_OF_LISTS:
            expression = self._listed(entry.entry, location.value, address)
            if expression is None:
                return [Missing(NOT_HERE, size)]
        else:
            expression = bytes(location.value)
        if not expression:
            return [Missing(OPTIMISED_OUT, size)]
        return evaluate(expression, size, around, self.dwarf.byteorder)

    def _location(self, entry: VariableEntry) -> Any:
        own = entry.entry.attributes.get("DW_AT_location")
        return own or entry.declaration.attributes.get("DW_AT_location")

    def _listed(self, entry: Any, offset: int, address: int) -> bytes | None:
        """The expression that a location list has for an address; None where it has none."""
        default = None
        known = self._lists.get(entry.offset)
        if known is None:
            known = list(self.dwarf.location_list(entry, offset))
            if len(known) <= _MOST_KEPT:
                self._lists[entry.offset] = known
        for low, high, expression in known:
            if low == high == -1:
                default = expression
            elif low <= address < high:
                return expression
        return default

    def frame_size(self, function: str) -> int:
        """The bytes of a function's frame, below r10, as its compiler laid it out."""
        known = self._frames.get(function)
        if known is None:
            code = self.dwarf.functions[function].code
            known = frame_bytes(code, self.dwarf.byteorder, self._frame_places(function))
            self._frames[function] = known
        return known

    def _frame_places(self, function: str) -> Iterator[FramePlace]:
        """Variables of a function that are in its frame, all of the time or at some places."""
        for scope in self.dwarf.all_scopes(function):
            for entry in scope.variables:
                try:
                    with self.dwarf.damage():
                        offsets = set(self._frame_offsets(entry))
                        size = self.types.of(entry.declaration).size if offsets else 0
                except OsmiaError:
                    continue
                for offset in offsets:
                    yield FramePlace(offset, size, min(4, size & -size) or 1)

    def _frame_offsets(self, entry: VariableEntry) -> Iterator[int]:
        location = self._location(entry)
        if location is None:
            return
        expressions: Iterable[bytes] = (
            [bytes(location.value)]
            if location.form not in (_FORMS_OF_LISTS)
            else (each for _, _, each in self.dwarf.location_list(entry.entry, location.value))
        )
        for expression in expressions:
            found = list(operations(expression, self.dwarf.byteorder))
            if len(found) == 1 and found[0].opcode in (_FBREG, _BREG10):
                yield found[0].operands[0]

    def linked_place(self, obj: Object, section: str, offset: int) -> tuple[str, int]:
        """Where an object that was linked from this file has what is at a place of one of its
        data sections. KeyError with the reason where that is not known."""
        part = obj.parts.get(self.name)
        if part is None:
            return section, offset
        held = self.object.data_sections.get(section)
        key = held.variable_at(offset) if held is not None else None
        linked = part.variables.get(key) if key is not None else None
        if held is None or key is None or linked is None:
            raise KeyError("its place in the linked object is not known")
        for each in obj.data_sections.values():
            if linked in each.variables:
                at = each.variables[linked].offset + offset - held.variables[key].offset
                return each.name, at
        raise KeyError("the linked object does not have it")


def _constant(value: Any, size: int, byteorder: str) -> Piece:
    if isinstance(value, int):
        order: Any = byteorder
        return Computed((value & ((1 << 8 * size) - 1)).to_bytes(size, order), size)
    data = bytes(value) if isinstance(value, bytes | list | tuple) else b""
    return Computed(data[:size], size) if len(data) >= size else Missing(OPTIMISED_OUT, size)


FileLike = str | Path | tuple[str, bytes]


def contents(obj: Object, files: Sequence[FileLike] | None) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of files; without any of the object's own, if that is one."""
    if files is None:
        files = [obj.path] if _is_elf(obj.path) else []
    for each in files:
        if isinstance(each, tuple):
            yield each
            continue
        path = Path(each)
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise ObjectFormatError(f"a file of more than {_MOST_FILE_BYTES} bytes", file=str(path))
        yield str(path), path.read_bytes()


def _is_elf(path: str) -> bool:
    try:
        with Path(path or "/dev/null").open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
