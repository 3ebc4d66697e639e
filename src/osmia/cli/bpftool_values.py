"""Values as bpftool's JSON has them, from their bytes and BTF, where `json_values` says them else.

Bit fields are hexadecimal text, enumerators without a name signed numbers, anonymous members lie
under "" (and their members beside them, which bpftool has not), a data section is a list of its
variables. `char` arrays are text where they end with a NUL and all before it is printable ASCII,
else numbers. Pointers of struct_ops to functions name the program.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from osmia import btf as types
from osmia.btf import BTF
from osmia.btf.function_words import function_signature
from osmia.btf.types import IntEncoding
from osmia.cli.json_values import plain
from osmia.errors import ObjectFormatError

#: From the bytes of a value to what JSON says.
Writer: TypeAlias = Callable[[bytes], Any]

#: Types in each other, before something is wrong with them.
_MAX_DEPTH = 64
#: Of more the writers of `formatters` are not made.
_MOST_MEMBERS = 64
_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_QUALIFIERS = (types.Const, types.Volatile, types.Restrict, types.TypeTag)


def is_regular(btf: BTF, type_id: int, depth: int = 0) -> bool:
    """Whether nothing in the type is written otherwise than its codec says, but for text, bytes
    and enumerators: no bit fields, no anonymous members, no data sections."""
    match btf.type(btf.resolve(type_id)):
        case types.Int() as integer:
            return integer.bits == 8 * integer.size and not integer.is_char
        case types.Ptr() | types.Enum() | types.Enum64():
            return True
        case types.Array() as array:
            return depth < _MAX_DEPTH and is_regular(btf, array.element, depth + 1)
        case types.Struct() | types.Union() as composite:
            return len(composite.members) <= _MOST_MEMBERS and all(
                each.name
                and not each.bitfield_size
                and depth < _MAX_DEPTH
                and is_regular(btf, each.type_id, depth + 1)
                for each in composite.members
            )
    return False


class Writers:
    """Makes the writers of one BTF's types, each once.

    `program_name` is asked for the name of the program that a pointer to a function stands for;
    without it pointers are numbers.
    """

    def __init__(self, btf: BTF, program_name: Callable[[int], str] | None = None) -> None:
        self._btf = btf
        self._program_name = program_name
        self._made: dict[int, Writer] = {}
        self._depth = 0
        self._order = "<" if btf.byteorder == "little" else ">"

    def of(self, type_id: int) -> Writer:
        """The writer of a type; ObjectFormatError for one without values."""
        known = self._made.get(type_id)
        if known is None:
            if self._depth > _MAX_DEPTH:
                raise ObjectFormatError("types are nested too deeply", file=self._btf.name or None)
            self._depth += 1
            try:
                known = self._made[type_id] = self._writer(type_id)
            finally:
                self._depth -= 1
        return known

    def _writer(self, type_id: int) -> Writer:
        match self._btf.type(self._btf.resolve(type_id)):
            case types.Int() as integer:
                return self._integer(integer)
            case types.Ptr() as pointer:
                return self._pointer(pointer)
            case types.Enum() | types.Enum64() as enum:
                return self._enum(enum)
            case types.Array() as array:
                return self._array(array)
            case types.Struct() | types.Union() as composite:
                return self._composite(composite)
            case types.Var() as variable:
                return self.of(variable.type_id)
            case types.DataSec() as section:
                return self._section(section)
            case types.Float(size=4 | 8 as size):
                number = self._unpacked("f" if size == 4 else "d")
                return lambda data: plain(number(data))
            case types.Float():
                return list
        raise ObjectFormatError(f"type {type_id} has no values", file=self._btf.name or None)

    def _unpacked(self, code: str) -> Writer:
        unpack = struct.Struct(self._order + code).unpack
        return lambda data: unpack(data)[0]

    def _integer(self, integer: types.Int) -> Writer:
        order = self._btf.byteorder
        whole = integer.bits == 8 * integer.size and integer.size in _SIGNED
        if integer.encoding == IntEncoding.BOOL:
            return lambda data: data[0] != 0
        if integer.encoding == IntEncoding.CHAR:
            return lambda data: chr(data[0])
        if whole and not integer.encoding:
            return self._unpacked(_SIGNED[integer.size].upper())
        if whole and integer.encoding == IntEncoding.SIGNED:
            return self._unpacked(_SIGNED[integer.size])
        shift, mask = integer.offset, (1 << integer.bits) - 1
        return lambda data: hex(int.from_bytes(data, order) >> shift & mask)

    def _pointer(self, pointer: types.Ptr) -> Writer:
        number = self._unpacked({4: "I", 8: "Q"}[self._btf.pointer_size])
        name, target = self._program_name, self._btf.resolve(pointer.target)
        if name is None or not isinstance(self._btf.type(target), types.FuncProto):
            return number
        signature = function_signature(self._btf, target)

        def write(data: bytes) -> Any:
            value = number(data)
            return value if value >> 32 else f"{signature} {name(value) if value else 0}"

        return write

    def _enum(self, enum: types.Enum | types.Enum64) -> Writer:
        # All are compared, and printed, as signed ones, of 64 or 32 bits.
        room = 64 if isinstance(enum, types.Enum64) else 32
        names: dict[int, str] = {}
        for name, value in enum.values:
            names.setdefault((value + (1 << room - 1)) % (1 << room) - (1 << room - 1), name)
        number = self._unpacked(_SIGNED[enum.size])

        def write(data: bytes) -> Any:
            value = number(data)
            return names.get(value, value)

        return write

    def _array(self, array: types.Array) -> Writer:
        element, size = self.of(array.element), self._btf.size_of(array.element)

        def write(data: bytes) -> Any:
            return [element(data[at : at + size]) for at in range(0, size * array.count, size or 1)]

        return _text_or(write) if array.count and self._is_char(array.element) else write

    def _is_char(self, type_id: int) -> bool:
        """Whether it is `char` itself: a typedef of it is a number to bpftool."""
        while isinstance(found := self._btf.type(type_id), _QUALIFIERS):
            type_id = found.target
        if not isinstance(found, types.Int) or found.size != 1:
            return False
        return found.encoding == IntEncoding.CHAR or found.name == "char"

    def _composite(self, composite: types.Struct | types.Union) -> Writer:
        members = [(each.name, self._member(each)) for each in composite.members]

        def write(data: bytes) -> dict[str, Any]:
            return {name: member(data) for name, member in members}

        if all(name for name, _ in members):
            return write

        def write_anonymous(data: bytes) -> dict[str, Any]:
            written: dict[str, Any] = {}
            inside: dict[str, Any] = {}
            for name, member in members:
                written[name] = value = member(data)
                inside |= value if not name and isinstance(value, dict) else {}
            return inside | written

        return write_anonymous

    def _member(self, member: types.Member) -> Writer:
        start, odd = divmod(member.bit_offset, 8)
        if not member.bitfield_size:
            inner, end = self.of(member.type_id), start + self._btf.size_of(member.type_id)
            return lambda data: inner(data[start:end])
        end = start + (odd + member.bitfield_size + 7) // 8
        order, mask = self._btf.byteorder, (1 << member.bitfield_size) - 1
        above = odd if order == "little" else 8 * (end - start) - odd - member.bitfield_size
        return lambda data: hex(int.from_bytes(data[start:end], order) >> above & mask)

    def _section(self, section: types.DataSec) -> Writer:
        variables = []
        for entry in section.entries:
            variable = self._btf.type(entry.type_id)
            if isinstance(variable, types.Var):
                end = entry.offset + self._btf.size_of(variable.type_id)
                variables.append((variable.name, entry.offset, end, self.of(variable.type_id)))

        def write(data: bytes) -> dict[str, Any]:
            return {
                section.name: [
                    {name: inner(data[start:end])} for name, start, end, inner in variables
                ]
            }

        return write


def _text_or(numbers: Writer) -> Writer:
    def write(data: bytes) -> Any:
        text = text_in(data)
        return numbers(data) if text is None else text

    return write


def text_in(data: bytes) -> str | None:
    """A `char` array's text, None where to bpftool it is none: without NUL, not printable ASCII."""
    text, end, _ = data.partition(b"\0")
    if not end or not text.isascii():
        return None
    shown = text.decode("ascii")
    return shown if shown.isprintable() else None
