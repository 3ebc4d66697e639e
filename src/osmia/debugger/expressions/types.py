"""C types by their names, pointers to types, and the integers that values of types are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from osmia import btf as kinds
from osmia.btf import BTF, IntEncoding, Kind
from osmia.btf.builder import BTFBuilder
from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.expressions.integers import (
    INT,
    LONG,
    UNSIGNED,
    UNSIGNED_LONG,
    Integer,
    fits,
)
from osmia.debugger.expressions.nodes import TypeWords
from osmia.debugger.expressions.tokens import ExpressionError
from osmia.errors import ObjectFormatError

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents

_SIZES = {"char": 1, "short": 2, "int": 4, "long": 8}
_TAGS: Mapping[str, tuple[Kind, ...]] = {
    "struct": (Kind.STRUCT,),
    "union": (Kind.UNION,),
    "enum": (Kind.ENUM, Kind.ENUM64),
}
_TAGS_OF_DWARF = {
    "struct": "structure_type",
    "union": "union_type",
    "enum": "enumeration_type",
}
_VOID_POINTER = "void *"


@cache
def _basic() -> tuple[BTF, Mapping[str, int]]:
    """Types that need no object: integers, and a pointer."""
    builder = BTFBuilder()
    known = {_VOID_POINTER: builder.add_ptr(0)}
    for name, size in _SIZES.items():
        known[name] = builder.add_int(name, size, IntEncoding.SIGNED)
        known[f"unsigned {name}"] = builder.add_int(f"unsigned {name}", size)
    known["bool"] = builder.add_int("bool", 1, IntEncoding.BOOL)
    for size in (1, 2, 4, 8):
        known[f"u{8 * size}"] = builder.add_int(f"u{8 * size}", size)
        known[f"s{8 * size}"] = builder.add_int(f"s{8 * size}", size, IntEncoding.SIGNED)
    return builder.build("C"), known


def basic_type(name: str) -> CType:
    """One of C's own types: "unsigned int", "u32", "bool"."""
    btf, known = _basic()
    return CType(btf, known[name])


def array_of_bytes(count: int) -> CType:
    """u8[count]."""
    builder = BTFBuilder()
    byte = builder.add_int("u8", 1)
    made = builder.add_array(byte, byte, count)
    return CType(builder.build("C"), made)


class PointerType(CType):
    """A pointer that is not declared anywhere: to a type, or to void."""

    __slots__ = ("_pointed",)

    def __init__(self, pointed: CType | None) -> None:
        btf, known = _basic()
        super().__init__(btf, known[_VOID_POINTER])
        self._pointed = pointed

    @property
    def name(self) -> str:
        inner = self._pointed.name if self._pointed is not None else "void"
        return f"{inner}*" if inner.endswith("*") else f"{inner} *"

    def target(self) -> CType | None:
        return self._pointed


def integer_of(kind: CType) -> Integer | None:
    """What values of a type are in arithmetic; None for pointers and what is no number."""
    match kind.plain:
        case kinds.Int() as found:
            encoding = found.encoding
            return Integer(
                kind.size, bool(encoding & IntEncoding.SIGNED), bool(encoding & IntEncoding.BOOL)
            )
        case kinds.Enum() | kinds.Enum64() as enumeration:
            # As clang has it: an enumeration without negative values is unsigned.
            return Integer(kind.size, any(each.value < 0 for each in enumeration.values))
    return None


class Types:
    """The types that a session's expressions may name: C's, the object's, those of its DWARF, the
    target's."""

    def __init__(self, session: Contents) -> None:
        self._session = session
        self._known: dict[str, CType | None] = {}

    def find(self, name: str) -> CType | None:
        """The type of a name: "unsigned long", "struct flow", "flow_t"; None for none."""
        if name not in self._known:
            self._known[name] = _of_c(name) or self._declared(name)
        return self._known[name]

    def of(self, words: TypeWords) -> CType | None:
        """The type that an expression names; None for void."""
        found = None
        if words.name != "void":
            found = self.find(words.name)
            if found is None:
                raise ExpressionError(f"there is no type {words.name!r} here", words.start)
        elif not words.pointers:
            return None
        for _ in range(words.pointers):
            found = PointerType(found)
        return found

    def _declared(self, name: str) -> CType | None:
        tag, _, rest = name.rpartition(" ")
        wanted = _TAGS.get(tag, (Kind.TYPEDEF,))
        for btf in self._btf():
            found = btf.find(rest, *wanted)
            if found:
                return CType(btf, found)
        reader = self._session.variables
        return (
            None if reader is None else reader.type_named(_TAGS_OF_DWARF.get(tag, "typedef"), rest)
        )

    def _btf(self) -> Iterator[BTF]:
        from osmia.vm.structures import types_of

        loaded = self._session.loaded
        if loaded is not None and loaded.object.btf is not None:
            yield loaded.object.btf
        yield from types_of(self._session.vm)

    @cached_property
    def enumerators(self) -> Mapping[str, tuple[int, Integer]]:
        """The values of the object's enumerators, and what the program's verdicts are called."""
        from osmia.object.verdicts import VERDICTS

        found: dict[str, tuple[int, Integer]] = {}
        loaded, kind = self._session.loaded, self._session.program.type
        for verdict in VERDICTS.get(kind, ()) if kind is not None else ():
            found[verdict.name] = verdict.number, _of_constant(verdict.number)
        if loaded is None or loaded.object.btf is None:
            return found
        btf = loaded.object.btf
        for type_id in [*btf.ids_of_kind(Kind.ENUM), *btf.ids_of_kind(Kind.ENUM64)]:
            declared = btf.type(type_id)
            if isinstance(declared, kinds.Enum | kinds.Enum64):
                found |= {
                    each.name: (each.value, _of_constant(each.value)) for each in declared.values
                }
        return found


def _of_constant(value: int) -> Integer:
    """The type of an enumerator: int, where that has its value."""
    return next(kind for kind in (INT, UNSIGNED, LONG, UNSIGNED_LONG) if fits(value, kind))


def _of_c(name: str) -> CType | None:
    """One of C's own types, or of those that every kernel header has."""
    words = name.split()
    _, known = _basic()
    if name in ("bool", "_Bool"):
        return basic_type("bool")
    if words and all(word in ("signed", "unsigned", *_SIZES) for word in words):
        base = [word for word in words if word in _SIZES and word != "int"] or ["int"]
        if base not in (["char"], ["short"], ["int"], ["long"], ["long", "long"]):
            return None
        return basic_type("unsigned " * ("unsigned" in words) + base[0])
    short = name.removeprefix("__").removesuffix("_t")
    for before, after in (("uint", "u"), ("int", "s"), ("be", "u"), ("le", "u")):
        if short.startswith(before) and short[len(before) :].isdigit():
            short = after + short[len(before) :]
    short = {"size": "unsigned long", "ssize": "long"}.get(short, short)
    return basic_type(short) if short in known else None


def size_of(kind: CType, start: int) -> int:
    """The size of a type that has one. ExpressionError."""
    try:
        size = kind.btf.size_of(kind.id) if not kind.is_pointer else 8
    except (ObjectFormatError, ValueError):
        size = 0
    if not size and not kind.count and not kind.is_composite:
        raise ExpressionError(f"{kind.name} has no size", start)
    return size
