"""Bodies of structs, unions and enums in C, laid out as the BTF says.

A compiler must put every member where it is in the BTF, so each is followed through C's
layout rules: what C would not leave free by itself becomes padding, and what C would
align becomes a packed struct.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from osmia.btf import sizes
from osmia.btf.c.names import identifier
from osmia.btf.c.spelling import Spelling
from osmia.btf.reader import BTF
from osmia.btf.types import Enum, Enum64, Int, Kind, Member, Struct, Type, Union

#: A gap longer than this (bits) becomes an array instead of unnamed bitfields.
_LONG_GAP = 1024

_LONG_BITS = 64

#: GCC's machine modes give an enumeration its size in bytes.
_ENUM_MODES = {1: "QI", 2: "HI", 4: "SI", 8: "DI"}


class _NotExpressibleError(Exception):
    """No C struct has this layout: members overlap or lie outside."""


#: Each member's declaration, and whether the whole must be packed.
_Lines: TypeAlias = tuple[list[str], bool]


class Bodies:
    """Spells definitions: `struct point { … }`, `enum { … }`."""

    def __init__(self, btf: BTF) -> None:
        self._btf = btf
        self.spelling = Spelling(btf, self._inline)
        #: Anonymous enumerations that stand within other definitions.
        self.inlined_enums: set[int] = set()
        self._fillers = 0
        self._layouts: dict[int, tuple[int, int]] = {}
        self._plain: dict[int, tuple[int, int, int]] = {}

    def definition(self, found: Struct | Union | Enum | Enum64) -> str:
        """The definition of a type at the top level, without the semicolon."""
        head = self.spelling.name_of(found) if found.name else _keyword(found)
        return f"{head} {self._body(found, 0)}"

    def _inline(self, found: Type, level: int) -> str:
        assert isinstance(found, Struct | Union | Enum | Enum64)
        if isinstance(found, Enum | Enum64):
            self.inlined_enums.add(found.id)
        return f"{_keyword(found)} {self._body(found, level)}"

    def _body(self, found: Struct | Union | Enum | Enum64, level: int) -> str:
        match found:
            case Struct():
                return self._composite(found, level, self._struct_lines)
            case Union():
                return self._composite(found, level, self._union_lines)
        return self._enum(found, level)

    def _composite(
        self, found: Struct | Union, level: int, lines_of: Callable[[Struct | Union, int], _Lines]
    ) -> str:
        try:
            lines, packed = lines_of(found, level + 1)
        except _NotExpressibleError:
            _, alignment = sizes.layout_of(self._btf, found.id, self._layouts)
            lines = [self._padding(found.size)]
            attribute = f" __attribute__((aligned({alignment})))"
        else:
            attribute = " __attribute__((packed))" if packed else ""
        if not lines:
            return "{}" + attribute
        indent = "\t" * (level + 1)
        inner = "".join(f"{indent}{line}\n" for line in lines)
        return "{\n" + inner + "\t" * level + "}" + attribute

    def _struct_lines(self, found: Struct | Union, level: int) -> _Lines:
        packed, alignment = self._packing(found)
        lines: list[str] = []
        end = 0  # in bits, like everything here
        for member in found.members:
            at = member.bit_offset
            bits, size, unit = self._member_layout(member, packed)
            if _natural(end, bits, size, unit, packed) != at:
                if at < end:
                    raise _NotExpressibleError
                lines += self._gap(end, at)
                if _natural(at, bits, size, unit, packed) != at:
                    raise _NotExpressibleError
            lines.append(self._member(member, bits, level))
            end = at + (bits or size)
        whole = 8 * found.size
        if end > whole:
            raise _NotExpressibleError
        if -(-end // (8 * alignment)) * 8 * alignment != whole:
            lines += self._gap(end, whole)
        return lines, packed

    def _union_lines(self, found: Struct | Union, level: int) -> _Lines:
        packed, alignment = self._packing(found)
        lines: list[str] = []
        longest = 0
        for member in found.members:
            bits, size, _unit = self._member_layout(member, packed)
            if member.bit_offset:
                raise _NotExpressibleError
            lines.append(self._member(member, bits, level))
            longest = max(longest, bits or size)
        whole = 8 * found.size
        if longest > whole:
            raise _NotExpressibleError
        if -(-longest // (8 * alignment)) * 8 * alignment != whole:
            lines.append(self._padding(found.size))
        return lines, packed

    def _packing(self, found: Struct | Union) -> tuple[bool, int]:
        """Whether the members' alignment is to be ignored, and the type's alignment in bytes."""
        layout_of, known = sizes.layout_of, self._layouts
        _, alignment = layout_of(self._btf, found.id, known)
        packed = alignment == 1 and any(
            layout_of(self._btf, m.type_id, known)[1] > 1 for m in found.members
        )
        return packed, alignment

    def _member_layout(self, member: Member, packed: bool) -> tuple[int, int, int]:
        """A member's bitfield size, its type's size, and its type's alignment, in bits."""
        plain = self._plain.get(member.type_id)
        if plain is None:
            plain = self._plain[member.type_id] = self._plain_layout(member.type_id)
        if not packed and not member.bitfield_size:
            return plain
        bits, size, unit = plain
        bits = member.bitfield_size or bits
        if bits > size:
            raise _NotExpressibleError
        return bits, size, 8 if packed else unit

    def _plain_layout(self, type_id: int) -> tuple[int, int, int]:
        """The same for a member of this type that is no bitfield by itself."""
        size, alignment = sizes.layout_of(self._btf, type_id, self._layouts)
        bits = 0
        if self._btf.kind_of(type_id) is Kind.INT:
            # Before 5.0, a bitfield's size was that of an integer type of its own.
            found = self._btf.type(type_id)
            if isinstance(found, Int) and 0 < found.bits < 8 * found.size:
                bits = found.bits
        return bits, 8 * size, 8 * alignment

    def _member(self, member: Member, bits: int, level: int) -> str:
        if member.name:
            text = self.spelling.declare(member.type_id, identifier(member.name), level)
        else:
            text = self._unnamed(member.type_id, bits, level)
        return self.spelling.charge(f"{text}: {bits};" if bits else f"{text};")

    def _unnamed(self, type_id: int, bits: int, level: int) -> str:
        """An anonymous member; one of a named type (-fms-extensions) is spelled out instead."""
        resolved = self._btf.type(self._btf.resolve(type_id))
        if isinstance(resolved, Struct | Union):
            return self.spelling.inline(resolved, level)
        # Without a name, C would leave out the member (a bitfield excepted).
        name = "" if bits else self._unique("unnamed")
        return self.spelling.declare(type_id, name, level)

    def _gap(self, start: int, end: int) -> list[str]:
        """Padding from bit `start` to bit `end`: unnamed bitfields, which align nothing."""
        lines = []
        while start < end:
            if start % 8 == 0 and end - start > _LONG_GAP:
                width = (end - start) // 8 * 8
                lines.append(self._padding(width // 8))
            else:
                width = min(_LONG_BITS - start % _LONG_BITS, end - start)
                if end - start > _LONG_GAP:
                    width = 8 - start % 8
                lines.append(f"long: {width};")
            start += width
        return lines

    def _padding(self, size: int) -> str:
        return f"char {self._unique('padding')}[{size}];"

    def _unique(self, name: str) -> str:
        self._fillers += 1
        return f"__{name}{self._fillers}"

    def _enum(self, found: Enum | Enum64, level: int) -> str:
        give = self.spelling.identifiers.give
        indent = "\t" * (level + 1)
        lines = [f"{indent}{give(name)} = {_constant(value)},\n" for name, value in found.values]
        if not lines:  # C has no empty enumeration
            lines = [f"{indent}{give('__no_value_of_' + found.name)} = 0,\n"]
        attribute = ""
        if found.size != _natural_enum_size(found) and found.size in _ENUM_MODES:
            attribute = f" __attribute__((mode({_ENUM_MODES[found.size]})))"
        for line in lines:
            self.spelling.charge(line)
        return "{\n" + "".join(lines) + "\t" * level + "}" + attribute


def _keyword(found: Struct | Union | Enum | Enum64) -> str:
    return "enum" if isinstance(found, Enum64) else found.kind.name.lower()


def _natural(end: int, bits: int, size: int, unit: int, packed: bool) -> int:
    """Where C puts a member behind `end`: a bitfield may start anywhere, but stays within
    one unit of its type."""
    if bits and (packed or end % unit + bits <= size):
        return end
    return -(-end // unit) * unit


def _natural_enum_size(found: Enum | Enum64) -> int:
    values = [value for _, value in found.values]
    low, high = min(values, default=0), max(values, default=0)
    fits = low >= -(1 << 31) and high < (1 << 31 if low < 0 else 1 << 32)
    return 4 if fits else 8


def _constant(value: int) -> str:
    if value == -(1 << 63):
        return f"{value + 1}LL - 1"
    if value >= 1 << 63:
        return f"{value}ULL"
    return str(value) if -(1 << 31) <= value < 1 << 32 else f"{value}LL"
