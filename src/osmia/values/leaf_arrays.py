"""From records in memory to columns: each leaf of a type out of all of them at once."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable
from typing import Any

from osmia.numpy_extra import numpy as np
from osmia.values.arrays import BytesCodec, StringCodec
from osmia.values.base import Codec
from osmia.values.enums import EnumCodec
from osmia.values.fields import Bits
from osmia.values.leaves import Leaf
from osmia.values.scalars import BoolCodec, ScalarCodec, WideIntCodec
from osmia.values.table_columns import (
    Array,
    Binary,
    Column,
    Names,
    Numbers,
    Texts,
    Truths,
    WideIntegers,
    text_offsets,
)

#: Rows are gone through so many bytes at a time: all columns take theirs while they are in the
#: processor's cache.
_BLOCK_BYTES = 256 * 1024


class Records:
    """`count` records of `size` bytes, one after the other in `memory`, a contiguous array."""

    def __init__(self, memory: Array, count: int, size: int) -> None:
        self.memory = memory
        self.count = count
        self.size = size

    def part(self, first: int, count: int) -> Records:
        """Some of them, without a copy."""
        raw = self.memory.view(np.uint8)
        return Records(raw[first * self.size : (first + count) * self.size], count, self.size)

    def view(self, leaf: Leaf, dtype: Any, tail: tuple[int, ...] = ()) -> Array:
        """The leaf's bytes as an array of (count, *dimensions, *tail), without a copy."""
        kind = np.dtype(dtype)
        shape = (self.count, *(count for count, _ in leaf.dimensions), *tail)
        if not self.count:
            return np.empty(shape, kind)
        strides = [self.size, *(stride for _, stride in leaf.dimensions)]
        strides += [kind.itemsize] * len(tail)
        return np.ndarray(shape, kind, self.memory, leaf.offset, strides)


def columns(records: Records, leaves: Iterable[Leaf]) -> dict[str, Column]:
    """A column for each leaf."""
    made: dict[str, Column | None] = {}
    scattered = []
    for leaf in leaves:
        made[leaf.name] = None
        if not _is_number(leaf):
            made[leaf.name] = _column(records, leaf)
            continue
        view = records.view(leaf, _number_type(leaf))
        if view.dtype.isnative and view.flags.c_contiguous and view.flags.aligned:
            made[leaf.name] = Numbers(view)
        else:
            scattered.append(leaf)
    gathered = Gathered(scattered, records.size, records.count)
    block = max(_BLOCK_BYTES // max(records.size, 1), 1)
    for start in range(0, records.count, block) if scattered else ():
        gathered.append(records.part(start, min(block, records.count - start)))
    numbers = gathered.columns()
    return {name: column or numbers[name] for name, column in made.items()}


class Gathered:
    """Columns of records that come in pieces: `rows` of them so far, with room for `room`."""

    def __init__(self, leaves: Iterable[Leaf], size: int, room: int) -> None:
        self._leaves = list(leaves)
        self._size = size
        self._room = room
        self._types = {leaf: _number_type(leaf) for leaf in self._leaves if _is_number(leaf)}
        self._numbers = {
            leaf.name: _numbers(leaf, dtype, room) for leaf, dtype in self._types.items()
        }
        #: What is kept for the other columns, which are made of all records at once.
        self._pieces: list[Array] = []
        self.rows = 0

    def append(self, records: Records) -> None:
        """Add records. Numbers are copied while the records are in the processor's cache."""
        rows = slice(self.rows, self.rows + records.count)
        if rows.stop > self._room:
            self._grow(max(rows.stop, 2 * self._room))
        for leaf, dtype in self._types.items():
            self._numbers[leaf.name][rows] = records.view(leaf, dtype)
        if len(self._types) < len(self._leaves):
            self._pieces.append(records.memory)
        self.rows = rows.stop

    def _grow(self, room: int) -> None:
        self._room = room
        for leaf, dtype in self._types.items():
            larger = _numbers(leaf, dtype, room)
            larger[: self.rows] = self._numbers[leaf.name][: self.rows]
            self._numbers[leaf.name] = larger

    def columns(self) -> dict[str, Column]:
        """A column for each leaf, of all records."""
        nothing = np.empty(0, np.uint8)
        memory = self._pieces[0] if len(self._pieces) == 1 else nothing
        if len(self._pieces) > 1:
            memory = np.concatenate(self._pieces)
        records = Records(memory, self.rows, self._size)
        return {
            leaf.name: Numbers(self._numbers[leaf.name][: self.rows])
            if leaf in self._types
            else _column(records, leaf)
            for leaf in self._leaves
        }


def _is_number(leaf: Leaf) -> bool:
    """Whether its values are just copied, or another byte order's."""
    codec = leaf.codec
    plain = isinstance(codec, ScalarCodec) and not isinstance(codec, EnumCodec | BoolCodec)
    return plain and leaf.bits is None and leaf.kind in (None, "port", "be", "ktime")


def _number_type(leaf: Leaf) -> np.dtype[Any]:
    dtype = leaf.codec.dtype()
    return dtype.newbyteorder(">") if leaf.kind in ("port", "be") else dtype


def _numbers(leaf: Leaf, dtype: np.dtype[Any], rows: int) -> Array:
    shape = (rows, *(count for count, _ in leaf.dimensions))
    return np.empty(shape, dtype.newbyteorder("="))


def _column(records: Records, leaf: Leaf) -> Column:
    codec = leaf.codec
    match leaf.kind:
        case "ipv4":
            return _ipv4_texts(records.view(leaf, "u1", (4,)))
        case "ipv6":
            return _ipv6_texts(records.view(leaf, "u1", (16,)))
        case "network":
            return _network_texts(records.view(leaf, "u1", (codec.size,)), codec)
        case "mac":
            return _mac_texts(records.view(leaf, "u1", (6,)))
        case "text":
            return _texts(records.view(leaf, "u1", (codec.size,)))
    if isinstance(codec, ScalarCodec):
        return _scalars(records, leaf, codec)
    rows = records.view(leaf, "u1", (codec.size,))
    if isinstance(codec, StringCodec):
        return _texts(rows)
    if isinstance(codec, WideIntCodec) and leaf.bits is None:
        return WideIntegers(np.ascontiguousarray(rows), codec.byteorder, codec.signed)
    assert isinstance(codec, BytesCodec | WideIntCodec), codec
    return Binary(np.ascontiguousarray(rows))


def _scalars(records: Records, leaf: Leaf, codec: ScalarCodec) -> Column:
    if leaf.bits is not None:
        rows = records.view(leaf, "u1", (leaf.bits.size,))
        values = bit_values(rows, leaf.bits, codec)
    elif isinstance(codec, BoolCodec):
        values = records.view(leaf, "u1")
    else:
        values = np.ascontiguousarray(records.view(leaf, codec.dtype()))
    if isinstance(codec, BoolCodec):
        return Truths(values != 0)
    return _names(values, codec) if isinstance(codec, EnumCodec) else Numbers(values)


def bit_values(rows: Array, bits: Bits, codec: Codec) -> Array:
    """The numbers in the bits of rows of bytes, of the declared type's size."""
    order = range(bits.size) if codec.byteorder == "little" else range(bits.size - 1, -1, -1)
    word = np.zeros(rows.shape[:-1], np.uint64)
    for place, at in enumerate(order):
        # Nine bytes hold 64 bits that begin within one: each comes to where its bits belong.
        distance = 8 * place - bits.shift
        byte = rows[..., at].astype(np.uint64)
        word |= byte << np.uint64(distance) if distance >= 0 else byte >> np.uint64(-distance)
    word &= np.uint64(bits.mask)
    size = codec.size if codec.size in (1, 2, 4, 8) else 8
    if not bits.signed:
        return word.astype(f"u{size}")
    unused = 64 - bits.width
    signed = (word << np.uint64(unused)).view(np.int64) >> np.int64(unused)
    return signed.astype(f"i{size}")


def _names(values: Array, codec: EnumCodec) -> Column:
    """The enumerators' names; a value without one is its number."""
    by_value = codec.type._names
    known = np.array(sorted(by_value), values.dtype.newbyteorder("="))
    names = [by_value[value] for value in known.tolist()]
    flat = values.reshape(-1)
    codes = np.searchsorted(known, flat).astype(np.int32)
    if len(known):
        codes[codes == len(known)] = 0
        strange = known[codes] != flat
    else:
        strange = np.ones(len(flat), bool)
    if strange.any():
        others, places = np.unique(flat[strange], return_inverse=True)
        codes[strange] = len(names) + places
        names += [str(number) for number in others.tolist()]
    return Names(codes.reshape(values.shape), names)


def _texts(rows: Array) -> Column:
    """Text up to the first NUL. Bytes that are no UTF-8 are written as \\xff."""
    shape, size = rows.shape[:-1], rows.shape[-1]
    flat = np.ascontiguousarray(rows).reshape(-1, size)
    ends = flat == 0
    lengths = np.where(ends.any(axis=1), ends.argmax(axis=1), size)
    data = flat[np.arange(size) < lengths[:, None]]
    if not len(data) or data.max() < 0x80:
        return Texts(shape, _some(data), text_offsets(lengths))
    decoded = [
        str(row.tobytes()[:end], "utf-8", "backslashreplace")
        for row, end in zip(flat, lengths.tolist(), strict=True)
    ]
    return Texts.of(shape, decoded)


def _ipv4_texts(rows: Array) -> Column:
    shape = rows.shape[:-1]
    words = [f"{number}.".encode() for number in range(256)]
    characters = np.array([list(word.ljust(4, b".")) for word in words], np.uint8)
    lengths = np.array([len(word) for word in words])
    flat = rows.reshape(-1, 4)
    each = lengths[flat]
    each[:, 3] -= 1
    data = characters[flat][np.arange(4) < each[..., None]]
    return Texts(shape, _some(data), text_offsets(each.sum(axis=1)))


def _ipv6_texts(rows: Array) -> Column:
    whole = rows.tobytes()
    ntop, family = socket.inet_ntop, socket.AF_INET6
    texts = [ntop(family, whole[at : at + 16]) for at in range(0, len(whole), 16)]
    return Texts.of(rows.shape[:-1], texts)


def _network_texts(rows: Array, codec: Codec) -> Column:
    """Keys of tries: a u32 of the prefix's bits, then the address."""
    order: Any = codec.byteorder
    family = socket.AF_INET if codec.size == 8 else socket.AF_INET6
    texts = []
    for row in rows.reshape(-1, codec.size):
        data = row.tobytes()
        texts.append(f"{socket.inet_ntop(family, data[4:])}/{int.from_bytes(data[:4], order)}")
    return Texts.of(rows.shape[:-1], texts)


def _mac_texts(rows: Array) -> Column:
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    written = np.full((math.prod(rows.shape[:-1]), 6, 3), ord(":"), np.uint8)
    flat = rows.reshape(-1, 6)
    written[..., 0], written[..., 1] = digits[flat >> 4], digits[flat & 15]
    data = np.ascontiguousarray(written.reshape(-1, 18)[:, :17]).reshape(-1)
    return Texts(rows.shape[:-1], _some(data), text_offsets(np.full(len(flat), 17)))


def _some(data: Array) -> Array:
    """Not nothing: a buffer has an address."""
    return data if len(data) else np.zeros(1, np.uint8)
