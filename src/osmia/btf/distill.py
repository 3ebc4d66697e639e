"""Split BTF that stands on its own: the few types of its base that it needs, without what is
in them (`.BTF.base` of a kernel module), and from there onto another base.

A module built against one kernel can so be read with the types of another, as long as what it
embeds has kept its size. Source: Documentation/bpf/btf.rst, ".BTF.base section".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osmia.arguments import names_wrong_arguments
from osmia.btf.builder import BTFBuilder
from osmia.btf.reader import BTF
from osmia.btf.references import referenced_ids
from osmia.btf.types import (
    Array,
    Enum,
    Enum64,
    Float,
    Fwd,
    Int,
    Kind,
    Struct,
    Type,
    Union,
)
from osmia.errors import ObjectFormatError

#: As many dimensions an array has at most, whatever hostile BTF says.
_MAX_DIMENSIONS = 64
_MATCHED = (Int, Float, Fwd, Struct, Union, Enum, Enum64)
_KINDS = (Kind.INT, Kind.FLOAT, Kind.FWD, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64)


@names_wrong_arguments
def distill_base(btf: BTF) -> BTF:
    """Split BTF with a base of its own: that of the result has no more than `btf` refers to.

    Of named structs, unions and enumerations it has name and size, of integers, floats and
    forward declarations all; what has no name, and what only leads to types (pointers, arrays,
    typedefs, prototypes), comes behind the types of `btf` itself. For `relocate`.

    Raises ValueError for BTF without a base, ObjectFormatError for types that it cannot refer
    to in one.
    """
    if btf.base is None:
        raise ValueError(f"{btf.name or 'this BTF'} has no base that could be distilled")
    needed = sorted(_needed(btf))
    ids: dict[int, int] = {}
    base = BTFBuilder(byteorder=btf.byteorder)
    for type_id in needed:
        if _is_matched(found := btf.type(type_id)):
            ids[type_id] = base.add(_hull(found))
    split = BTFBuilder(base.build(), btf.byteorder)
    own = [*range(btf.first_id, len(btf)), *(i for i in needed if i not in ids)]
    ids.update({old: new for new, old in enumerate(own, len(split))})
    for type_id in own:
        split.add_from(btf, type_id, ids)
    return split.build(btf.name)


def _needed(btf: BTF) -> set[int]:
    """The types of the base that `btf` refers to, and what those refer to that are not matched
    by name."""
    found: set[int] = set()
    waiting = [i for own in range(btf.first_id, len(btf)) for i in referenced_ids(btf.type(own))]
    while waiting:
        type_id = waiting.pop()
        if not type_id or type_id >= btf.first_id or type_id in found:
            continue
        found.add(type_id)
        entry = btf.type(type_id)
        if entry.kind in (Kind.FUNC, Kind.VAR, Kind.DATASEC, Kind.DECL_TAG):
            problem = f"the base's type {type_id} ({entry.kind.name}) is no type to refer to"
            raise ObjectFormatError(problem, file=btf.name)
        if not _is_matched(entry):
            waiting += referenced_ids(entry)
    return found


def _is_matched(found: Type) -> bool:
    """Whether another base's type can be told to be the same: by its name."""
    return bool(found.name) and isinstance(found, _MATCHED)


def _hull(found: Type) -> Type:
    """What a distilled base has of a type."""
    match found:
        case Struct() | Union():
            return found._replace(members=(), bitfields=False)
        case Enum() | Enum64():
            return Enum(0, found.name, found.size, False, ())
    return found


@names_wrong_arguments
def relocate(btf: BTF, base: BTF) -> BTF:
    """Split BTF with a distilled base, as split BTF of `base`.

    Types are matched by name and kind; size counts for integers, floats and enumerations, for
    what `btf` embeds, and where `base` has several of a name. The types of `btf` itself keep
    their order.

    Raises ValueError for BTF without a base, or with this one, ObjectFormatError for a base
    that is not distilled, and where `base` has no such type or several.
    """
    if btf.base is None or btf.base is base:
        raise ValueError(f"{btf.name or 'this BTF'} has no distilled base to be moved from")
    _check_distilled(btf.base)
    embedded = set(_embedded(btf))
    ids = {i: _counterpart(btf, i, base, i in embedded) for i in range(1, btf.first_id)}
    shift = len(base) - btf.first_id
    ids.update({i: i + shift for i in range(btf.first_id, len(btf))})
    builder = BTFBuilder(base, btf.byteorder)
    for type_id in range(btf.first_id, len(btf)):
        builder.add_from(btf, type_id, ids)
    return builder.build(btf.name)


def _check_distilled(base: BTF) -> None:
    for type_id in range(1, len(base)):
        found = base.type(type_id)
        if not _is_matched(found) or isinstance(found, Enum64):
            problem = f"type {type_id} ({found.kind.name.lower()}) has no place in a distilled base"
            raise ObjectFormatError(problem, file=base.name)


def _embedded(btf: BTF) -> Iterator[int]:
    """The base's structs and unions that stand in those of `btf`, not behind pointers."""
    for type_id in range(btf.first_id, len(btf)):
        found = btf.type(type_id)
        if isinstance(found, Struct | Union):
            for member in found.members:
                inner = _inner(btf, member.type_id)
                if inner.id < btf.first_id and isinstance(inner, Struct | Union):
                    yield inner.id


def _inner(btf: BTF, type_id: int) -> Type:
    """What a member is made of: arrays and qualifiers taken off."""
    found = btf.type(btf.resolve(type_id))
    depth = 0
    while isinstance(found, Array):
        depth += 1
        if depth > _MAX_DIMENSIONS:
            raise ObjectFormatError(f"array {type_id} is nested too deeply", file=btf.name)
        found = btf.type(btf.resolve(found.element))
    return found


def _counterpart(btf: BTF, type_id: int, base: BTF, embedded: bool) -> int:
    """The type of `base` that the distilled one is."""
    wanted = btf.type(type_id)
    what = f"type {wanted.name!r} ({wanted.kind.name.lower()}) of the distilled base"
    named = [base.type(i) for i in base.find_all(wanted.name, *_KINDS)]
    found = list(_fitting(wanted, named, embedded))
    if len(found) != 1:
        several = f"is {len(found)} types of the base" if found else "is no type of the base"
        raise ObjectFormatError(f"{what} {several}", file=btf.name)
    return found[0]


def _fitting(wanted: Type, named: Iterable[Type], embedded: bool) -> Iterator[int]:
    """Of the types with the name, those that `wanted` can be."""
    named = list(named)
    composites = [each for each in named if isinstance(each, Struct | Union)]
    by_size = embedded or len(composites) > 1
    declared = any(isinstance(each, Fwd) for each in named)
    return (each.id for each in named if _fits(wanted, each, by_size, declared))


def _fits(wanted: Type, each: Type, by_size: bool, declared: bool) -> bool:
    match wanted, each:
        case Fwd(is_union=mine), Fwd(is_union=other):
            return mine == other
        case Fwd(is_union=mine), Struct() | Union():  # defined by now
            return not declared and mine == isinstance(each, Union)
        case (Struct(size=own), Struct(size=size)) | (Union(size=own), Union(size=size)):
            return not by_size or own == size
        case Int(size=own, encoding=encoding), Int(size=size):
            return isinstance(each, Int) and (own, encoding) == (size, each.encoding)
        case (Float(size=own), Float(size=size)) | (
            Enum(size=own),
            Enum(size=size) | Enum64(size=size),
        ):
            return own == size
    return False
