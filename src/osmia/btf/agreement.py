"""Whether two objects mean the same by one name: the static linker's relation of types.

The rules are libbpf's (tools/lib/bpf/linker.c), so that what links here links there:
typedefs, qualifiers and type tags do not count; integers, floats and enumerations compare
by size (enumerations by name too); structs by name and exactly by their members' names,
offsets and types, but behind a pointer by kind and name only, where a forward declaration
is as good as its definition; arrays whatever their lengths; functions by return type and
parameters, whatever the parameters' names. One of two static ones never agrees.

CO-RE's relations (`core.match`) are others: they ask what a kernel may have changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from osmia.btf.c.format import declaration, definition, format_type
from osmia.btf.reader import BTF, MAX_RESOLVE_DEPTH
from osmia.btf.types import (
    COMPOSITES,
    Array,
    Enum,
    Enum64,
    Float,
    Func,
    FuncLinkage,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Ptr,
    Struct,
    Type,
    Union,
    Var,
    VarLinkage,
)
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

#: How many of the steps to where types differ are told, the innermost ones.
_STEPS_SHOWN = 8

#: Two BTFs of any size may be compared at this many places; each byte adds one.
_MIN_PLACES = 1 << 12

_WORDS = {
    Kind.VOID: "void",
    Kind.INT: "an integer",
    Kind.PTR: "a pointer",
    Kind.ARRAY: "an array",
    Kind.STRUCT: "a struct",
    Kind.UNION: "a union",
    Kind.ENUM: "an enumeration",
    Kind.ENUM64: "an enumeration of 64 bits",
    Kind.FWD: "declared only",
    Kind.FUNC: "a function",
    Kind.FUNC_PROTO: "a function",
    Kind.VAR: "a variable",
    Kind.DATASEC: "a data section",
    Kind.FLOAT: "a floating-point number",
    Kind.DECL_TAG: "a tag",
}

#: How a place was reached: the way to where it lies, and the last step.
_Way: TypeAlias = "tuple[_Way, str] | None"


class _Place(NamedTuple):
    """Two types to compare; not `exact` behind a pointer."""

    mine: int
    other: int
    exact: bool
    way: _Way


class _DisagreementError(Exception):
    """Two types differ here."""


def disagreement(a: BTF, id_a: int, b: BTF, id_b: int) -> str | None:
    """None when the types agree, else in words where and how they differ.

    Variables and functions agree when their types do and neither or both are static; they
    may have different names, since whoever compares them found them by a name.

    Raises ObjectFormatError for types that no compiler writes.
    """
    comparison = _Comparison(a, b)
    waiting = [_Place(id_a, id_b, True, None)]
    seen: set[tuple[int, int, bool]] = set()
    left = _MIN_PLACES + a.byte_size + b.byte_size
    while waiting:
        place = waiting.pop()
        mine, other = a.resolve(place.mine), b.resolve(place.other)
        if (mine, other, place.exact) in seen:
            continue
        seen.add((mine, other, place.exact))
        try:
            found = comparison.compare(place._replace(mine=mine, other=other))
        except _DisagreementError as error:
            return f"{_told(place.way)}{error}"
        waiting += reversed(found)
        left -= len(found) + 1
        if left < 0:
            problem = f"types {id_a} and {id_b} refer to others so often that comparing has no end"
            raise ObjectFormatError(problem, file=a.name or b.name)
    return None


def function_disagreement(a: BTF, id_a: int, b: BTF, id_b: int) -> str | None:
    """As `disagreement`, of functions or their prototypes: either may be a FUNC or a FUNC_PROTO."""
    prototypes = []
    for btf, type_id in ((a, id_a), (b, id_b)):
        found = btf.type(type_id)
        if isinstance(found, Func):
            prototypes.append(found.type_id)
        elif isinstance(found, FuncProto):
            prototypes.append(type_id)
        else:
            return f"{declaration(btf, type_id, '')!r} is no function"
    return disagreement(a, prototypes[0], b, prototypes[1])


def declarations(sides: Iterable[tuple[str, BTF, int]]) -> list[str]:
    """A line of C for each declaration, behind where it is from: "a.bpf.o: extern int count;".

    Each of `sides` is (where, types, id of a variable, function or other type). When all
    read the same, the definitions of the structs, unions or enumerations follow them.
    """
    lines, plain, bodies = [], set(), []
    for where, btf, type_id in sides:
        text = declaration(btf, type_id, "")
        plain.add(text)
        lines.append(f"{where}: {_storage(btf.type(type_id))}{text};")
        bodies.append(_body(btf, type_id))
    if len(plain) > 1:
        return lines
    return [f"{line}\n{body}" if body else line for line, body in zip(lines, bodies, strict=True)]


class _Comparison:
    """What two BTFs say at one place."""

    def __init__(self, a: BTF, b: BTF) -> None:
        self.a = a
        self.b = b

    def compare(self, place: _Place) -> list[_Place]:
        """The places that are to agree as well, in their order."""
        mine, other = self.a.type(place.mine), self.b.type(place.other)
        if not place.exact and isinstance(mine, Fwd) != isinstance(other, Fwd):
            self._check_declared(place, mine, other)
            return []
        if mine.kind != other.kind:
            raise _DisagreementError(self._versus(place, _WORDS[mine.kind], _WORDS[other.kind]))
        match mine, other:
            case (Int() | Float()) as mine, (Int() | Float()) as other:
                self._check_size(place, mine, other)
            case (Enum() | Enum64()) as mine, (Enum() | Enum64()) as other:
                self._check_name(place, mine, other)
                self._check_size(place, mine, other)
            case (Struct() | Union()) as mine, (Struct() | Union()) as other:
                self._check_name(place, mine, other)
                return self._members(place, mine, other) if place.exact else []
            case Fwd(), Fwd():
                self._check_name(place, mine, other)
            case Ptr() as mine, Ptr() as other:
                return [_Place(mine.target, other.target, False, place.way)]
            case Array() as mine, Array() as other:
                return [_Place(mine.element, other.element, place.exact, place.way)]
            case FuncProto() as mine, FuncProto() as other:
                return self._parameters(place, mine, other)
            case (Var() | Func()) as mine, (Var() | Func()) as other:
                if _is_static(mine) != _is_static(other):
                    raise _DisagreementError(
                        f"only the {'first' if _is_static(mine) else 'second'} is static"
                    )
                return [_Place(mine.type_id, other.type_id, place.exact, place.way)]
            case _ if mine.kind is not Kind.VOID:
                raise _DisagreementError(f"{_WORDS[mine.kind]} is no type of a declaration")
        return []

    def _check_declared(self, place: _Place, mine: Type, other: Type) -> None:
        """One side only declares what the other defines, or has something else."""
        declared, found = (mine, other) if isinstance(mine, Fwd) else (other, mine)
        wanted = Kind.UNION if isinstance(declared, Fwd) and declared.is_union else Kind.STRUCT
        if found.kind not in COMPOSITES or found.kind is not wanted:
            words = [_WORDS[wanted if kind is declared else kind.kind] for kind in (mine, other)]
            raise _DisagreementError(self._versus(place, *words))
        self._check_name(place, mine, other)

    def _check_name(self, place: _Place, mine: Type, other: Type) -> None:
        if mine.name != other.name:
            names = [repr(found.name) if found.name else "nothing" for found in (mine, other)]
            raise _DisagreementError(self._versus(place, f"named {names[0]}", names[1]))

    def _check_size(
        self, place: _Place, mine: Int | Float | Enum | Enum64, other: Int | Float | Enum | Enum64
    ) -> None:
        if mine.size != other.size:
            raise _DisagreementError(self._versus(place, f"{mine.size} bytes", str(other.size)))

    def _members(self, place: _Place, mine: Struct | Union, other: Struct | Union) -> list[_Place]:
        if len(mine.members) != len(other.members):
            counts = f"{len(mine.members)} members", str(len(other.members))
            raise _DisagreementError(self._versus(place, *counts))
        places = []
        for number, (here, there) in enumerate(zip(mine.members, other.members, strict=True), 1):
            if here.name != there.name:
                names = f"member {number} is {here.name!r}", repr(there.name)
                raise _DisagreementError(self._versus(place, *names))
            if here[2:] != there[2:]:
                bits = f"member {here.name!r} at {_bits(*here[2:])}", _bits(*there[2:])
                raise _DisagreementError(self._versus(place, *bits))
            way = (place.way, f"member {here.name!r} of {_title(mine)}")
            places.append(_Place(here.type_id, there.type_id, True, way))
        return places

    def _parameters(self, place: _Place, mine: FuncProto, other: FuncProto) -> list[_Place]:
        if len(mine.parameters) != len(other.parameters):
            counts = f"{len(mine.parameters)} parameters", str(len(other.parameters))
            raise _DisagreementError(self._versus(place, *counts))
        pairs = zip(mine.parameters, other.parameters, strict=True)
        returned = _Place(
            mine.return_type, other.return_type, place.exact, (place.way, "the return value")
        )
        return [
            returned,
            *(
                _Place(here.type_id, there.type_id, place.exact, (place.way, f"parameter {n}"))
                for n, (here, there) in enumerate(pairs, 1)
            ),
        ]

    def _versus(self, place: _Place, mine: str, other: str) -> str:
        """ "'int' and 'long' differ: 4 bytes and 8"."""
        spelled = [repr(format_type(self.a, place.mine)), repr(format_type(self.b, place.other))]
        if spelled[0] == spelled[1]:
            return f"two types {spelled[0]} differ: {mine} and {other}"
        return f"{spelled[0]} and {spelled[1]} differ: {mine} and {other}"


def _bits(offset: int, size: int) -> str:
    return f"bit {offset} ({size} bits)" if size else f"bit {offset}"


def _title(found: Struct | Union) -> str:
    return f"{found.kind.name.lower()} {found.name or '{...}'}"


def _told(way: _Way) -> str:
    """ "member 'a' of struct s, parameter 1: ", the last steps of the way."""
    steps: list[str] = []
    while way and len(steps) < _STEPS_SHOWN:
        way, step = way
        steps.insert(0, step)
    return ", ".join([*(["…"] if way else []), *steps]) + ": " if steps else ""


def _is_static(found: Var | Func) -> bool:
    statics = VarLinkage.STATIC, FuncLinkage.STATIC
    return found.linkage == statics[isinstance(found, Func)]


def _storage(found: Type) -> str:
    match found:
        case Var() | Func() if _is_static(found):
            return "static "
        case Var(linkage=VarLinkage.GLOBAL_EXTERN) | Func(linkage=FuncLinkage.EXTERN):
            return "extern "
    return ""


def _body(btf: BTF, type_id: int) -> str:
    """The definition of the named type that a declaration is made of, "" where there is none."""
    found = btf.type(type_id)
    if isinstance(found, Var):
        type_id = found.type_id
    for _ in range(MAX_RESOLVE_DEPTH):
        found = btf.type(btf.resolve(type_id))
        if not isinstance(found, Array):
            break
        type_id = found.element
    if isinstance(found, Struct | Union | Enum | Enum64) and found.name:
        return definition(btf, found.id)
    return ""
