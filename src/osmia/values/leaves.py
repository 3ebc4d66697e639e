"""A type as flat columns: what lies in nested structs and arrays, under dotted names.

>>> [leaf.name for leaf in leaves(codec, "value")]
['value.bytes', 'value.peer.address', 'value.peer.port']
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from osmia.errors import CodecError
from osmia.named_tuples import NamedTuple
from osmia.values.arrays import ArrayCodec
from osmia.values.base import Codec
from osmia.values.fields import Bits
from osmia.values.meaning import Kind, meaning
from osmia.values.structs import StructCodec

#: (count, bytes from one to the next) of arrays, outermost first where they are nested.
Dimensions: TypeAlias = tuple[tuple[int, int], ...]

#: More than anybody has, and fewer than numpy can.
_MOST_DIMENSIONS = 16


class Leaf(NamedTuple):
    """A member that has no members: a number, text, bytes, an address; or an array of such.

    `offset` is in bytes from the start of the whole, of the first where there are several; for a
    bitfield it is that of the bytes which hold the bits.
    """

    name: str
    codec: Codec
    offset: int
    dimensions: Dimensions
    bits: Bits | None
    kind: Kind | None


def leaves(
    codec: Codec, name: str = "", dimensions: Dimensions = (), kind: Kind | None = None
) -> list[Leaf]:
    """The leaves of a type whose values lie in `dimensions`, in order; the names are unique.

    With a `kind` the whole is one leaf, which means that; else members mean what
    `osmia.values.meaning` says.

    `name` is that of the whole, in front of its members'; what is no struct and has none is
    "value". Members of unions are leaves of the same bytes. Arrays of structs are arrays of each
    member. What has no size, and flexible arrays, are left out. CodecError for arrays of more
    dimensions than a column can have.
    """
    found: dict[str, Leaf] = {}
    whole = Leaf(name, codec, 0, dimensions, None, kind)
    for leaf in [whole] if kind else _walk(whole, name):
        unique = leaf.name or "value"
        while unique in found:  # a member may have a dot in its name
            unique += "_"
        found[unique] = leaf._replace(name=unique)
    return list(found.values())


def _walk(whole: Leaf, own_name: str) -> Iterator[Leaf]:
    """What is in a member; `own_name` is its name without those of the structs around it."""
    codec = whole.codec
    if not codec.size:
        return
    kind = meaning(codec, own_name) if whole.bits is None else None
    if kind is None and isinstance(codec, StructCodec):
        prefix = f"{whole.name}." if whole.name else ""
        for field in codec.fields:
            if field.flexible:
                continue
            offset = whole.offset + field.offset
            name = f"{prefix}{field.name}"
            inner = Leaf(name, field.codec, offset, whole.dimensions, field.bits, None)
            yield from _walk(inner, field.name)
    elif kind is None and isinstance(codec, ArrayCodec):
        within = (*whole.dimensions, (codec.count, codec.element.size))
        if len(within) > _MOST_DIMENSIONS:
            raise CodecError(f"{codec.type_name}: more than {_MOST_DIMENSIONS} dimensions")
        yield from _walk(whole._replace(codec=codec.element, dimensions=within), own_name)
    else:
        yield whole._replace(kind=kind)
