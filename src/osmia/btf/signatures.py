"""Functions by signature: text like a C declaration, with wildcards, against the types in BTF.

    int (struct xdp_md *, int)      whatever its name is
    int parse*(…)                   the name begins so, whatever it takes
    * (struct * *, ..., __u32)      any result, a pointer to any struct first, a u32 last
    parse…packet                    by name alone

`*` where a type is expected is any type, behind struct, union or enum any of those; `…` or
`...` among parameters is any number of them, within a name any letters. A `*` behind the
beginning of a name does that too; before it, it is C's pointer.

Types are the same as at linking (`btf.agreement`): qualifiers and typedefs do not count,
integers compare by size, arrays whatever their lengths, structs, unions and enumerations by
kind and name, since a signature tells no more of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osmia.btf.agreement import disagreement
from osmia.btf.reader import BTF, MAX_RESOLVE_DEPTH
from osmia.btf.signature_patterns import (
    AnyType,
    ArrayType,
    Number,
    Parameters,
    Pattern,
    Pointer,
    Prototype,
    Rest,
    Tag,
    TypedefName,
    VoidType,
)
from osmia.btf.signature_syntax import parse
from osmia.btf.types import (
    MODIFIERS,
    Array,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Parameter,
    Ptr,
    Type,
)

#: Which word of a FUNC's record has its prototype.
_TYPE_WORD = 2

#: What an enumeration or a composite type is behind which word.
_WORDS = {
    Kind.STRUCT: "struct",
    Kind.UNION: "union",
    Kind.ENUM: "enum",
    Kind.ENUM64: "enum",
}


class Signature:
    """What functions are looked for. SignatureError, with the column, for text that is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name, self.prototype = parse(text)

    def matches(self, btf: BTF, function: int) -> bool:
        """Whether a function (the id of a FUNC) is one of these. ObjectFormatError for BTF that
        contradicts itself."""
        if self.name is not None and not self.name.fits(btf.name_of(function)):
            return False
        if self.prototype is None:
            return True
        found = btf.type(function)
        return isinstance(found, Func) and _matches(btf, self.prototype, found.type_id)

    def functions(self, btf: BTF) -> Iterator[int]:
        """The ids of all FUNCs in `btf`, without those of its base, that are of these."""
        known: dict[int, bool] = {}  # many functions share a prototype
        for function in self._named(btf):
            prototype = btf.words(function)[_TYPE_WORD]
            if prototype not in known:
                known[prototype] = self.matches(btf, function)
            if known[prototype]:
                yield function

    def _named(self, btf: BTF) -> Iterable[int]:
        """The FUNCs of the names that are looked for."""
        if self.name is None:
            return btf.ids_of_kind(Kind.FUNC)
        alone = self.name.only
        if alone is not None:
            return (each for each in btf.find_all(alone, Kind.FUNC) if each >= btf.first_id)
        fits = self.name.fits
        return (each for each in btf.ids_of_kind(Kind.FUNC) if fits(btf.name_of(each)))


def _matches(btf: BTF, pattern: Pattern, type_id: int) -> bool:
    if isinstance(pattern, AnyType):
        return True
    if isinstance(pattern, TypedefName):
        return _is_typedef(btf, pattern.name, type_id)
    found = btf.type(btf.resolve(type_id))
    match pattern, found:
        case VoidType(), _:
            return found.kind is Kind.VOID
        case Number(), (Int() | Float()):
            return pattern.size == found.size and pattern.floating == isinstance(found, Float)
        case Tag(), _:
            return _word(found) == pattern.word and _has_name(pattern, found.name)
        case Pointer(), Ptr():
            return _matches(btf, pattern.target, found.target)
        case ArrayType(), Array():
            return _matches(btf, pattern.element, found.element)
        case Prototype(), FuncProto():
            return _matches(btf, pattern.returned, found.return_type) and _takes(
                btf, pattern.parameters, found.parameters
            )
    return False


def _word(found: Type) -> str:
    if isinstance(found, Fwd):
        return "union" if found.is_union else "struct"
    return _WORDS.get(found.kind, "")


def _has_name(pattern: Tag, name: str) -> bool:
    return pattern.name is None or pattern.name.fits(name)


def _is_typedef(btf: BTF, name: str, type_id: int) -> bool:
    """Whether a type is the typedef of that name, or what that stands for in the same BTF."""
    step = type_id
    for _ in range(MAX_RESOLVE_DEPTH):
        kind = btf.kind_of(step)
        if kind is Kind.TYPEDEF and btf.name_of(step) == name:
            return True
        if kind not in MODIFIERS:
            break
        step = btf.type(step).target  # type: ignore[union-attr]
    return any(
        disagreement(btf, type_id, btf, each) is None for each in btf.find_all(name, Kind.TYPEDEF)
    )


def _takes(btf: BTF, wanted: Parameters, found: tuple[Parameter, ...]) -> bool:
    """Whether parameters are the wanted ones: `Rest` stands for any number of them.

    All ways to read the pattern are followed at once, as places in it.
    """
    if len(found) == 1 and _is_variable(found[0]):
        found = ()  # how old compilers write `f()`
    places = _from(wanted, 0)
    for each in found:
        following: set[int] = set()
        for place in places:
            if place == len(wanted):
                continue
            pattern = wanted[place]
            if isinstance(pattern, Rest):
                following |= _from(wanted, place)
            elif not _is_variable(each) and _matches(btf, pattern, each.type_id):
                following |= _from(wanted, place + 1)
        if not following:
            return False
        places = following
    return len(wanted) in places


def _from(wanted: Parameters, place: int) -> set[int]:
    """A place in the pattern, and those that are reached from it by nothing."""
    reached = {place}
    while place < len(wanted) and isinstance(wanted[place], Rest):
        place += 1
        reached.add(place)
    return reached


def _is_variable(parameter: Parameter) -> bool:
    """Whether it stands for C's `...`."""
    return not parameter.type_id and not parameter.name
