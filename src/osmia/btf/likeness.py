"""What types look like: each as a key, which two types share when they look the same.

A key is a type's record with names for their offsets, and other numbers for types:

    (info, name, size or type, …)    where … depends on the kind in `info`:
    struct, union     its members' names, then their types, then their offsets
    enum, enum64      its enumerators' names, then their values (low words, then high words)
    function's type   its parameters' names, then their types
    array             element, index type, count
    int               encoding, offset and bits
    variable          linkage; and a number of its own
    declaration tag   component

so that all of one sort are a slice, which C code maps from one numbering to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from osmia.btf.layout import RECORD_WORDS, VLEN_MASK, kind_in
from osmia.btf.types import Kind

#: Names are bytes, all else is int. Any, since a checker cannot tell them apart in slices.
Key: TypeAlias = tuple[Any, ...]

# Plain numbers: comparing with them is much cheaper than with an enumeration's.
STRUCT, UNION, ENUM, FWD = int(Kind.STRUCT), int(Kind.UNION), int(Kind.ENUM), int(Kind.FWD)
ENUM64, VAR, DECL_TAG = int(Kind.ENUM64), int(Kind.VAR), int(Kind.DECL_TAG)
PROTOTYPE, _ARRAY = int(Kind.FUNC_PROTO), int(Kind.ARRAY)

#: Kinds that have one type, in the record's third word, and at most one word more.
SINGLE = frozenset(
    map(
        int,
        (
            Kind.PTR,
            Kind.TYPEDEF,
            Kind.VOLATILE,
            Kind.CONST,
            Kind.RESTRICT,
            Kind.FUNC,
            Kind.TYPE_TAG,
            Kind.VAR,
            Kind.DECL_TAG,
        ),
    )
)
#: Those whose record ends there.
PLAIN = SINGLE - {VAR, DECL_TAG}
COMPOSITE = frozenset((STRUCT, UNION))
ENUMERATION = frozenset((ENUM, ENUM64))

#: Words for each of `vlen` entries.
_ENTRY = {STRUCT: 3, UNION: 3, ENUM: 2, ENUM64: 3, PROTOTYPE: 2}
#: Words behind the record's three where there are no entries.
_MORE = {_ARRAY: 3, int(Kind.INT): 1, int(Kind.VAR): 1, int(Kind.DECL_TAG): 1}

#: Names by their offsets, and types by others' numbers for them.
Names: TypeAlias = Mapping[int, bytes]
Types: TypeAlias = Mapping[int, int] | Sequence[int]


def key_at(words: Sequence[int], start: int, names: Names, types: Types) -> Key:
    """The key of the type whose record starts at `start`; not for data sections."""
    info = words[start + 1]
    kind = kind_in(info)
    name, third = names[words[start]], words[start + 2]
    first = start + RECORD_WORDS
    if kind in _ENTRY:
        step = _ENTRY[kind]
        end = first + step * (info & VLEN_MASK)
        entries = map(names.__getitem__, words[first:end:step])
        seconds: Iterable[int] = words[first + 1 : end : step]
        if kind not in ENUMERATION:
            seconds = map(types.__getitem__, seconds)
        if kind == PROTOTYPE:
            third = types[third]
        lasts = words[first + 2 : end : 3] if step == 3 else ()
        return (info, name, third, *entries, *seconds, *lasts)
    more = words[first : first + _MORE.get(kind, 0)]
    if kind in SINGLE:
        third = types[third]
    elif kind == _ARRAY:
        more = [types[more[0]], types[more[1]], more[2]]
    return (info, name, third, *more)


def types_at(words: Sequence[int], start: int) -> Sequence[int]:
    """The ids in a record, in the order in which its key has them."""
    info = words[start + 1]
    kind = kind_in(info)
    first = start + RECORD_WORDS
    if kind in SINGLE:
        return words[start + 2 : first]
    if kind in COMPOSITE:
        return words[first + 1 : first + 3 * (info & VLEN_MASK) : 3]
    if kind == PROTOTYPE:
        end = first + 2 * (info & VLEN_MASK)
        return [words[start + 2], *words[first + 1 : end : 2]]
    return words[first : first + 2] if kind == _ARRAY else ()


def types_in(key: Key) -> Key:
    """The types in a key, in their order."""
    info = key[0]
    kind = kind_in(info)
    if kind in SINGLE:
        return key[2:3]
    count = info & VLEN_MASK
    if kind in COMPOSITE:
        return key[3 + count : 3 + 2 * count]
    if kind == PROTOTYPE:
        return (key[2], *key[3 + count :])
    return key[3:5] if kind == _ARRAY else ()


def names_in(key: Key) -> tuple[bytes, ...]:
    """The names in a key: the type's own, then those of its entries."""
    kind = kind_in(key[0])
    return (key[1], *key[3 : 3 + (key[0] & VLEN_MASK)]) if kind in _ENTRY else key[1:2]


def with_types(key: Key, stand_in: int, types: Iterator[int]) -> Key:
    """The key with the next of `types` for each `stand_in` among its own."""

    def changed(part: Key) -> Iterator[int]:
        return (next(types) if number == stand_in else number for number in part)

    kind = kind_in(key[0])
    if kind in SINGLE:
        return (*key[:2], *changed(key[2:3]), *key[3:])
    first, count = (3, 2) if kind == _ARRAY else (3 + (key[0] & VLEN_MASK), key[0] & VLEN_MASK)
    if kind == PROTOTYPE:
        return (*key[:2], *changed(key[2:3]), *key[3:first], *changed(key[first:]))
    if kind == _ARRAY or kind in COMPOSITE:
        return (*key[:first], *changed(key[first : first + count]), *key[first + count :])
    return key


def record_of(key: Key, names: Mapping[bytes, int], types: Types) -> Sequence[int]:
    """The record that has this key, with the offsets of `names`, and `types` for its numbers."""
    info, name, third = key[:3]
    kind = kind_in(info)
    if kind in SINGLE:
        more = () if kind not in _MORE else key[3:4]
        return (names[name], info, types[third], *more)
    if kind in _ENTRY:
        count, step = info & VLEN_MASK, _ENTRY[kind]
        record = [0] * (RECORD_WORDS + step * count)
        record[:3] = names[name], info, types[third] if kind == PROTOTYPE else third
        record[3::step] = map(names.__getitem__, key[3 : 3 + count])
        seconds: Iterable[int] = key[3 + count : 3 + 2 * count]
        record[4::step] = seconds if kind in ENUMERATION else map(types.__getitem__, seconds)
        if step == 3:
            record[5::3] = key[3 + 2 * count :]
        return record
    if kind == _ARRAY:
        return (names[name], info, third, types[key[3]], types[key[4]], key[5])
    return (names[name], info, *key[2:])
