"""BTF's bytes: headers, the packed `info` word, how long each kind's record is.

Source: include/uapi/linux/btf.h. Everything in the type section is a 32-bit word, so
the reader works on words in the host's order, whatever the file's order is.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Set
from typing import Literal

from osmia.btf.types import Kind
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

ByteOrder = Literal["little", "big"]

MAGIC = 0xEB9F
VERSION = 1
HEADER_SIZE = 24
RECORD_WORDS = 3  # name_off, info, size or type

#: The `info` word. Bits 16–23 and 29–30 were unused, and zero, before they widened
#: `vlen` and `kind`; reading them as that keeps one rule for old and new.
VLEN_MASK = 0x00FF_FFFF
KIND_SHIFT = 24
KIND_MASK = 0x7F
KIND_FLAG = 1 << 31

#: The most that `vlen` could say before it was widened; what the builder writes.
MAX_VLEN = 0xFFFF

_STRUCT_ORDER = {"little": "<", "big": ">"}

#: Words behind the three-word record, fixed and for each of `vlen` entries.
_TRAILING: dict[int, tuple[int, int]] = {
    Kind.INT: (1, 0),
    Kind.PTR: (0, 0),
    Kind.ARRAY: (3, 0),
    Kind.STRUCT: (0, 3),
    Kind.UNION: (0, 3),
    Kind.ENUM: (0, 2),
    Kind.FWD: (0, 0),
    Kind.TYPEDEF: (0, 0),
    Kind.VOLATILE: (0, 0),
    Kind.CONST: (0, 0),
    Kind.RESTRICT: (0, 0),
    Kind.FUNC: (0, 0),  # its vlen is the linkage
    Kind.FUNC_PROTO: (0, 2),
    Kind.VAR: (1, 0),
    Kind.DATASEC: (0, 3),
    Kind.FLOAT: (0, 0),
    Kind.DECL_TAG: (1, 0),
    Kind.TYPE_TAG: (0, 0),
    Kind.ENUM64: (0, 3),
}


#: How long the records are that begin most types, by their `info` words. Every walk knows them:
#: an object has a few hundred types, and learning each word takes as long as ten of those.
_COMMON_STRIDES = {
    kind << KIND_SHIFT | vlen: RECORD_WORDS + _TRAILING[kind][0] + _TRAILING[kind][1] * vlen
    for kind, most in {
        **dict.fromkeys((Kind.INT, Kind.PTR, Kind.ARRAY, Kind.FWD, Kind.TYPEDEF), 1),
        **dict.fromkeys((Kind.CONST, Kind.VOLATILE, Kind.VAR), 1),
        Kind.FUNC: 3,
        Kind.FUNC_PROTO: 6,
        Kind.STRUCT: 10,
    }.items()
    for vlen in range(most)
}


#: Those words by kind.
_COMMON_INFOS: dict[int, frozenset[int]] = {
    kind: frozenset(info for info in _COMMON_STRIDES if info >> KIND_SHIFT == kind)
    for kind in {info >> KIND_SHIFT for info in _COMMON_STRIDES}
}

_NO_INFOS: frozenset[int] = frozenset()


class Header(NamedTuple):
    """Where the two sections lie, in bytes from the start of the data."""

    byteorder: ByteOrder
    flags: int
    size: int
    types_start: int
    types_end: int
    strings_start: int
    strings_end: int


def struct_order(byteorder: ByteOrder) -> str:
    """The `struct` module's prefix for a byte order."""
    return _STRUCT_ORDER[byteorder]


def detect_byteorder(data: bytes | memoryview, name: str) -> ByteOrder:
    """The byte order that the magic number shows."""
    if data[:2] == b"\x9f\xeb":
        return "little"
    if data[:2] == b"\xeb\x9f":
        return "big"
    raise ObjectFormatError("not BTF: no magic number 0xeb9f", file=name, offset=0)


def parse_header(view: memoryview, name: str) -> Header:
    """Read and check the header; every offset in the result lies inside the data."""
    if len(view) < HEADER_SIZE:
        raise ObjectFormatError(f"BTF of {len(view)} bytes is too short", file=name, offset=0)
    byteorder = detect_byteorder(view, name)
    version, flags, size, type_off, type_len, str_off, str_len = struct.unpack_from(
        struct_order(byteorder) + "BBIIIII", view, 2
    )
    if version != VERSION:
        raise ObjectFormatError(f"BTF version {version} is not known", file=name, offset=2)
    if size < HEADER_SIZE or size > len(view):
        raise ObjectFormatError(f"BTF header length {size} is impossible", file=name, offset=4)
    types_start, strings_start = size + type_off, size + str_off
    types_end, strings_end = types_start + type_len, strings_start + str_len
    if types_end > len(view):
        raise ObjectFormatError("BTF types reach past the end", file=name, offset=types_start)
    if strings_end > len(view):
        raise ObjectFormatError("BTF strings reach past the end", file=name, offset=strings_start)
    if type_off % 4 or type_len % 4:
        raise ObjectFormatError("BTF types are not made of 4-byte words", file=name, offset=8)
    if types_start < strings_end and strings_start < types_end:
        raise ObjectFormatError("BTF types and strings overlap", file=name, offset=8)
    return Header(byteorder, flags, size, types_start, types_end, strings_start, strings_end)


def native_words(section: memoryview, byteorder: ByteOrder) -> memoryview:
    """The section's 32-bit words in the host's order, without a copy where that is possible."""
    if byteorder == sys.byteorder:
        return section.cast("I")
    words = array("I", section.tobytes())
    words.byteswap()
    return memoryview(words)


def assemble(types: array[int], strings: bytes | bytearray, byteorder: ByteOrder) -> bytes:
    """BTF of these types, words in the host's order, and strings."""
    if byteorder != sys.byteorder:
        types = array("I", types)
        types.byteswap()
    section = types.tobytes()
    header = struct.pack(
        struct_order(byteorder) + "HBB5I",
        *(MAGIC, VERSION, 0, HEADER_SIZE),
        *(0, len(section), len(section), len(strings)),
    )
    return header + section + strings


class TypeIndex(NamedTuple):
    """Where the types' records are: positions in words, in id order.

    Data sections stand apart, since every load of an object looks for them; `infos` are the
    `info` words that occur beside the common ones.
    """

    positions: memoryview
    data_sections: list[int]
    infos: Set[int]

    def infos_of(self, kind: int) -> Set[int]:
        """The `info` words that types of a kind may have here; none where none is of that kind
        and it is no common one."""
        further = {info for info in self.infos if info >> KIND_SHIFT & KIND_MASK == kind}
        return further | _COMMON_INFOS.get(kind, _NO_INFOS)


def index_types(words: memoryview, name: str, types_start: int, first_id: int) -> TypeIndex:
    """Walk over the types.

    Raises ObjectFormatError for a kind that is not known and a record that is cut off.
    """
    strides = dict(_COMMON_STRIDES)
    sections: list[int] = []
    positions = array("I", record_starts(words[1:], strides, sections, name, types_start))
    end = end_of_record(words, positions[-1], name, types_start) if positions else 0
    if end != len(words):
        raise cut_off(positions, end, len(words), name, types_start, first_id)
    infos = strides.keys() - _COMMON_STRIDES.keys()
    infos.update([words[position + 1] for position in sections])
    return TypeIndex(memoryview(positions), sections, infos)


def record_starts(
    infos: memoryview,
    strides: dict[int, int],
    sections: list[int],
    name: str,
    types_start: int,
    position: int = 0,
) -> Iterator[int]:
    """Where records start, from `position` on; `infos` are the words from the first `info` on.

    This loop runs once for each of the kernel's 130,000 types: it has no test for the
    end and none for a new `info` word, both are exceptions, which cost nothing until
    they are raised. A data section, of which there are few, is new each time.
    """
    while True:
        try:
            while True:
                stride = strides[infos[position]]
                yield position
                position += stride
        except KeyError:
            info = infos[position]
            stride = record_words(info, name, types_start + 4 * position)
            if kind_in(info) != Kind.DATASEC:
                strides[info] = stride
                continue
            sections.append(position)
            yield position
            position += stride
        except IndexError:
            return


def end_of_record(words: memoryview, position: int, name: str, types_start: int) -> int:
    """Where the record that starts at `position` ends, which may be behind the last word."""
    return position + record_words(words[position + 1], name, types_start + 4 * position)


def cut_off(
    positions: array[int], end: int, size: int, name: str, types_start: int, first_id: int
) -> ObjectFormatError:
    """The error for records that do not end where the words do, at `size`."""
    number = first_id + len(positions) - (end > size)
    problem = f"type {number} reaches past the end of the types"
    place = positions[-1] if end > size else end
    return ObjectFormatError(problem, file=name, offset=types_start + 4 * place)


def kind_in(info: int) -> int:
    """The number of the kind in an `info` word."""
    return info >> KIND_SHIFT & KIND_MASK


def record_words(info: int, name: str, offset: int) -> int:
    """The length in words of the record that an `info` word starts."""
    kind = kind_in(info)
    if kind not in _TRAILING:
        raise ObjectFormatError(f"a type of unknown kind {kind}", file=name, offset=offset)
    fixed, each = _TRAILING[kind]
    return RECORD_WORDS + fixed + each * (info & VLEN_MASK)
