"""Whole maps as numpy arrays. The only module of the maps that imports numpy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.numpy_extra import numpy as np

if TYPE_CHECKING:
    from osmia.engine.maps.keyed import KeyedMap

Array = np.ndarray[Any, Any]

#: Keys or values of no entry.
NOTHING: Array = np.empty(0, np.uint8)


def separate(source: KeyedMap, *, take: bool = False) -> tuple[Array, Array]:
    """All keys and all values, in the same order; with `take` they leave the map."""
    keys, values = _Growing(source.max_entries), _Growing(source.max_entries)
    for some_keys, some_values in _steps(source, take):
        keys.append(some_keys)
        values.append(some_values)
    no_keys, no_values = _typed(source, b"", b"")
    return keys.array(no_keys), values.array(no_values)


def structured(source: KeyedMap, *, take: bool = False) -> Array:
    """All entries as one array with the fields `key` and `value`; `take` as for `separate`."""
    entries = _Growing(source.max_entries)
    no_keys, no_values = _typed(source, b"", b"")
    dtype = np.dtype([("key", *_field(no_keys)), ("value", *_field(no_values))])
    for keys, values in _steps(source, take):
        rows = entries.rows(len(keys), dtype, ())
        rows["key"] = keys
        rows["value"] = values
    return entries.array(np.empty(0, dtype))


def entries(source: KeyedMap, *, take: bool = False) -> tuple[int, Array, Array]:
    """How many entries there are, and their undecoded keys and values; `take` as for `separate`."""
    if not source.key_size or not source.entry_value_size:
        _typed(source, b"", b"")  # which says what it lacks
    sizes = source.key_size, source.entry_value_size
    # As void they are copied as bytes, whatever their fields.
    key_type, value_type = (np.dtype(f"V{size}") for size in sizes)
    keys, values = _Growing(source.max_entries), _Growing(source.max_entries)
    for some_keys, some_values in source.raw.read(take=take):
        keys.append(np.frombuffer(some_keys, key_type))
        values.append(np.frombuffer(some_values, value_type))
    found = keys.array(np.empty(0, key_type))
    return len(found), found, values.array(np.empty(0, value_type))


def packed(target: KeyedMap, keys: Any, values: Any) -> tuple[bytes, bytes]:
    """Arrays of keys and of values as the bytes that the engine takes."""
    keys, values = np.asanyarray(keys), np.asanyarray(values)
    if not keys.ndim or not values.ndim or len(keys) != len(values):
        problem = f"{keys.size} keys and {values.size} values are no entries"
        raise CodecError(f"map {target.name!r}: {problem}")
    raw = np.zeros(len(values) * target.entry_value_size, np.uint8)
    try:
        key_bytes = np.ascontiguousarray(keys, _typed(target, b"", b"")[0].dtype).tobytes()
        _typed_values(target, raw)[...] = values
    except (TypeError, ValueError) as error:
        raise CodecError(f"map {target.name!r}: {error}") from None
    if len(key_bytes) != len(keys) * target.key_size:
        raise CodecError(f"map {target.name!r}: keys have {target.key_size} bytes")
    return key_bytes, raw.tobytes()


class _Growing:
    """Rows appended to one array that doubles when it is full.

    It begins with room for `limit` rows, if that is no more than FIRST_BYTES: memory that is
    never written to costs address space only, but not everywhere is there that much of it.
    """

    FIRST_BYTES = 64 << 20

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory: Array | None = None
        self._used = 0

    def append(self, rows: Array) -> None:
        self.rows(len(rows), rows.dtype, rows.shape[1:])[...] = rows

    def rows(self, count: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """The next `count` rows, to be filled."""
        needed = self._used + count
        if self._memory is None or needed > len(self._memory):
            row = max(dtype.itemsize * math.prod(shape), 1)
            room = 2 * self._used or min(self._limit, self.FIRST_BYTES // row)
            larger = np.empty((max(room, needed), *shape), dtype)
            if self._memory is not None:
                larger[: self._used] = self._memory[: self._used]
            self._memory = larger
        rows: Array = self._memory[self._used : needed]
        self._used = needed
        return rows

    def array(self, empty: Array) -> Array:
        """What was appended; `empty` when nothing was."""
        if self._memory is None:
            return empty.copy()
        return self._memory[: self._used]


def _steps(source: KeyedMap, take: bool) -> Iterator[tuple[Array, Array]]:
    """Keys and values of some entries at a time; valid until the next step."""
    for keys, values in source.raw.read(take=take):
        yield _typed(source, keys, values)


def _typed(source: KeyedMap, keys: Any, values: Any) -> tuple[Array, Array]:
    """Undecoded keys and values as arrays of their types, without a copy."""
    if source.key_codec is None:
        raise CodecError(f"map {source.name!r} has no keys")
    raw = np.frombuffer(values, np.uint8)
    return np.frombuffer(keys, source.key_codec.dtype()), _typed_values(source, raw)


def _typed_values(source: KeyedMap, raw: Array) -> Array:
    if source.value_codec is None:
        raise CodecError(f"map {source.name!r} has no values")
    dtype = source.value_codec.dtype()
    if not source.cpus:
        return np.frombuffer(raw, dtype)
    # Each CPU's value is padded to 8 bytes.
    slot = source.entry_value_size // source.cpus
    padded = np.dtype({"names": ["value"], "formats": [dtype], "offsets": [0], "itemsize": slot})
    values = np.frombuffer(raw, padded)["value"]
    return values.reshape(-1, source.cpus, *values.shape[1:])


def _field(rows: Array) -> tuple[np.dtype[Any], tuple[int, ...]]:
    return rows.dtype, rows.shape[1:]
