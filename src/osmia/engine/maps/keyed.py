"""Maps with keys: single operations, iteration, and many at a time, as a MutableMapping."""

from __future__ import annotations

import errno
import struct
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard, Unpack

from osmia.arguments import explained, names_wrong_arguments
from osmia.engine.maps.base import Map
from osmia.engine.maps.errors import INDEXED_MAPS, Operation, element_error
from osmia.engine.raw_map import RawMap
from osmia.errors import CodecError, KeyExistsError, OsmiaError
from osmia.object.uapi import ElementFlag, MapType
from osmia.values import Codec, IntCodec, PointerCodec

if TYPE_CHECKING:
    import numpy
    import pandas

    from osmia.engine.maps.tables import TableOptions
    from osmia.values.table import PerCpu, Table
    from osmia.values.wall_time import TimeColumns

MISSING: Any = object()
"""No value is given."""


def quick_encoder(codec: Codec | None, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """For integers `struct`'s own pack, whose errors mean "try `encode`"; else `encode`."""
    if not _is_plain(codec) or encode != codec.encode:
        return encode
    pack: Callable[[Any], bytes] = codec.packer.pack
    return pack


def _is_flat(data: object) -> bool:
    """Whether it is bytes, one after the other."""
    if isinstance(data, memoryview):
        return data.c_contiguous
    return isinstance(data, bytes | bytearray)


def _is_plain(codec: Codec | None) -> TypeGuard[IntCodec]:
    """Whether values are the very integers that `struct` gives: no enum."""
    return type(codec) in (IntCodec, PointerCodec)


class KeyedMap(
    Map,
    MutableMapping[Any, Any],
    types=(
        MapType.HASH,
        MapType.LRU_HASH,
        MapType.CGROUP_STORAGE,
        MapType.STRUCT_OPS,
    ),
):
    """A map of keys to values: a `MutableMapping` with the kernel's rules.

    A missing key is `MissingKeyError` (a KeyError), a full map `MapFullError`, a value
    that its type cannot hold `CodecError`; each names the map. Iteration reads in batches
    where the engine can (kernels since 5.6): it sees every entry that stays for its whole
    length once, and may or may not see those that come or go meanwhile. Without batches
    the next key is asked for before an entry is handed out, so deleting that entry is
    safe; when somebody else deletes the remembered key the kernel starts again at its
    first key, and the walk skips what it has seen.

    Safe to use from several threads.
    """

    def __init__(
        self, raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None
    ) -> None:
        super().__init__(raw, key_codec, value_codec)
        self._encode_any_key = self._encoder(self.key_codec, "key")
        self._encode_any_value = self._encoder(self.value_codec, "value")
        self._encode_key = quick_encoder(self.key_codec, self._encode_any_key)
        self._encode_value = quick_encoder(self.value_codec, self._encode_any_value)
        self._decode_value: Callable[[bytes], Any] = self._decoder(self.value_codec)
        # The hot path: nothing is looked up twice.
        self._lookup, self._update, self._delete = raw.lookup, raw.update, raw.delete

    def __getitem__(self, key: Any) -> Any:
        try:
            encoded = self._encode_key(key)
        except (CodecError, struct.error):
            encoded = self.encode_key(key)
        value = self._lookup(encoded)
        if isinstance(value, int):
            raise self._error(Operation.LOOK_UP, value, key)
        return self._decode_value(value)

    def lookup(self, key: Any, *, flags: int = 0, mark: bool = False) -> Any:
        """The value under a key, as `map[key]`. `flags` may be ElementFlag.LOCK (5.1).

        With `mark` an entry of an LRU map counts as used just now, as when a program looks it
        up: NotSupportedError in the kernel, where lookups from outside never do (since 5.2).
        """
        try:
            value = self.raw.lookup_with(self.encode_key(key), flags, mark=mark)
        except Exception as error:
            raise explained(error, KeyedMap.lookup, flags=flags) from None
        if isinstance(value, int):
            raise self._error(Operation.LOOK_UP, value, key)
        return self._decode_value(value)

    def get(self, key: Any, default: Any = None, *, flags: int = 0) -> Any:
        """The value under `key`, or `default`. `flags` may be ElementFlag.LOCK (5.1)."""
        try:
            encoded = self._encode_key(key)
        except (CodecError, struct.error):
            encoded = self.encode_key(key)
        try:
            value = self.raw.lookup_with(encoded, flags) if flags else self._lookup(encoded)
        except Exception as error:
            raise explained(error, KeyedMap.get, flags=flags) from None
        if not isinstance(value, int):
            return self._decode_value(value)
        if value == errno.ENOENT:
            return default
        raise self._error(Operation.LOOK_UP, value, key)

    def __contains__(self, key: object) -> bool:
        value = self._lookup(self.encode_key(key))
        if not isinstance(value, int):
            return True
        if value == errno.ENOENT:
            return False
        raise self._error(Operation.LOOK_UP, value, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        try:
            encoded, data = self._encode_key(key), self._encode_value(value)
        except (CodecError, struct.error):
            encoded, data = self.encode_key(key), self.encode_value(value)
        if error := self._update(encoded, data):
            raise self._error(Operation.UPDATE, error, key)

    def update(self, key: Any, value: Any = MISSING, flags: int = 0) -> None:  # type: ignore[override]
        """`update(key, value, flags)` sets one value, as BPF_MAP_UPDATE_ELEM does.

        `flags`: ElementFlag.NOEXIST raises KeyExistsError where the key exists, EXIST
        MissingKeyError where it does not, LOCK takes the value's spin lock.

        `update(entries)` with a mapping or pairs is `update_many`, as for a dict.
        """
        if value is MISSING:
            self.update_many(key, flags=flags)
            return
        try:
            failed = self._update(self.encode_key(key), self.encode_value(value), flags)
        except Exception as error:
            raise explained(error, KeyedMap.update, flags=flags) from None
        if failed:
            raise self._error(Operation.UPDATE, failed, key)

    def __delitem__(self, key: Any) -> None:
        if error := self._delete(self.encode_key(key)):
            raise self._error(Operation.DELETE, error, key)

    def delete(self, key: Any) -> None:
        """Remove an entry; the same as `del map[key]`."""
        del self[key]

    def lookup_and_delete(self, key: Any, flags: int = 0) -> Any:
        """Take an entry out in one step; hashes since 5.14. `flags` may be ElementFlag.LOCK.

        KernelError EOPNOTSUPP where the map type cannot.
        """
        try:
            value = self.raw.take(self.encode_key(key), flags)
        except Exception as error:
            raise explained(error, KeyedMap.lookup_and_delete, flags=flags) from None
        if isinstance(value, int):
            raise self._error(Operation.TAKE, value, key)
        return self._decode_value(value)

    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Take an entry out: in one step where the engine can, else a lookup and a delete."""
        value = self.raw.take_out(self.encode_key(key))
        if not isinstance(value, int):
            return self._decode_value(value)
        if value == errno.ENOENT and default is not MISSING:
            return default
        raise self._error(Operation.TAKE, value, key)

    def popitem(self) -> tuple[Any, Any]:
        """Take some entry out. KeyError where there is none."""
        for key in self:
            with suppress(KeyError):  # somebody else was faster
                return key, self.pop(key)
        raise KeyError(f"map {self.name!r} is empty")

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value under `key`; where there is none, `default` is stored first.

        Of several that try at once, one stores, and all get what it stored; where keys are
        indices, which exist to the kernel also without a value, the last one's stays.
        """
        value = self.get(key, MISSING)
        if value is MISSING and self.type in INDEXED_MAPS:
            self.update(key, default)
            return self.get(key, default)  # a value of zeros empties the slot again
        while value is MISSING:
            with suppress(KeyExistsError):
                self.update(key, default, ElementFlag.NOEXIST)
            value = self.get(key, MISSING)
        return value

    def __iter__(self) -> Iterator[Any]:
        decode = self._key_decoder()
        for keys, _values in self.raw.read():
            yield from decode(bytes(keys))

    def __len__(self) -> int:
        """How many entries there are: kernels keep no count, so all are walked."""
        return self.raw.count()

    def __bool__(self) -> bool:
        return self.next_key(None) is not None

    def keys(self) -> KeysView[Any]:
        """A view of the keys."""
        return KeysView(self)

    def items(self) -> ItemsView[Any, Any]:
        """A view of (key, value) pairs, read in batches."""
        return _BatchedItems(self)

    def values(self) -> ValuesView[Any]:
        """A view of the values, read in batches."""
        return _BatchedValues(self)

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def next_key(self, key: bytes | None) -> bytes | None:
        """The encoded key after the encoded `key` (the first after None); None at the end.

        The first key when `key` is not in the map any more.
        """
        if key is not None:
            self._check_size(key)
        following = self.raw.next_key(key)
        if isinstance(following, int):
            raise self._error(Operation.WALK, following)
        return following

    def encode_key(self, key: Any) -> bytes:
        """The bytes of a key, as `next_key` and `read_encoded` take them. Raises CodecError."""
        try:
            return self._encode_key(key)
        except (CodecError, struct.error):
            pass  # bytes perhaps, or a word that names the key
        try:
            return self._encode_any_key(key)
        except CodecError as error:
            raise self._codec_error("key", error) from None

    def encode_value(self, value: Any) -> bytes:
        """The bytes of a value, of all CPUs' values where each has its own."""
        try:
            return self._encode_value(value)
        except (CodecError, struct.error):
            pass
        try:
            return self._encode_any_value(value)
        except CodecError as error:
            raise self._codec_error("value", error) from None

    def read_encoded(self, key: bytes) -> bytes | None:
        """The undecoded value under an encoded key, None when there is none."""
        self._check_size(key)
        value = self._lookup(key)
        if not isinstance(value, int):
            return value
        if value == errno.ENOENT:
            return None
        raise self._error(Operation.LOOK_UP, value)

    @names_wrong_arguments
    def update_many(
        self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | numpy.ndarray, flags: int = 0
    ) -> None:
        """Store many entries: a mapping, pairs, or an array with fields as `to_numpy` gives.

        One system call for all where the kernel can (5.6). The error for an entry names
        its key; those before it are stored, those after it are not.
        """
        if hasattr(entries, "dtype"):
            rows: Any = entries  # an array, by the only mark that needs no numpy
            self.update_arrays(rows["key"], rows["value"], flags)
            return
        pairs: Iterable[Any] = entries.items() if isinstance(entries, Mapping) else entries
        keys, values = bytearray(), bytearray()
        try:
            for key, value in pairs:
                keys += self.encode_key(key)
                values += self.encode_value(value)
        except (TypeError, ValueError) as error:
            from osmia.argument_faults import raised_on_purpose

            if raised_on_purpose(error):
                raise
            raise CodecError(f"map {self.name!r}: entries are pairs of key and value") from None
        self._store(bytes(keys), bytes(values), flags)

    @names_wrong_arguments
    def update_arrays(self, keys: numpy.ndarray, values: numpy.ndarray, flags: int = 0) -> None:
        """Store two arrays of equal length, converted to the types of `to_numpy` if need be."""
        from osmia.engine.maps import arrays  # brings numpy

        self._store(*arrays.packed(self, keys, values), flags)

    @names_wrong_arguments
    def delete_many(self, keys: Iterable[Any]) -> int:
        """Delete the keys that are there; how many were."""
        packed = b"".join(map(self.encode_key, keys))
        deleted, error, at = self.raw.delete_many(packed)
        if error:
            raise self._error(Operation.DELETE, error, self._key_at(packed, at))
        return deleted

    def take_all(self) -> list[tuple[Any, Any]]:
        """Take all entries out: what programs store meanwhile is in the list or in the map.

        That holds for hashes in a vm, and in kernels since 5.6 (per-CPU ones too), for others
        since 5.14; where the engine cannot, an entry is read and then deleted.
        """
        decode = self._key_decoder()
        return [
            entry
            for keys, values in self.raw.read(take=True)
            for entry in zip(decode(bytes(keys)), self.decode_values(bytes(values)), strict=True)
        ]

    def clear(self) -> None:
        """Delete all entries, or set all to zero where they cannot be deleted; those that come
        meanwhile may stay."""
        if error := self.raw.clear():
            raise self._error(Operation.DELETE, error)

    def to_numpy(self, *, take: bool = False) -> numpy.ndarray:
        """All entries as one structured array with the fields `key` and `value`.

        Per-CPU values have a row of one value per possible CPU. With `take` the entries leave
        the map, as with `take_all`. Imports numpy.
        """
        from osmia.engine.maps import arrays

        return arrays.structured(self, take=take)

    def to_arrays(self, *, take: bool = False) -> tuple[numpy.ndarray, numpy.ndarray]:
        """All keys and all values as two arrays: `to_numpy` without the interleaving copy."""
        from osmia.engine.maps import arrays

        return arrays.separate(self, take=take)

    @names_wrong_arguments
    def to_arrow(
        self, *, times: TimeColumns = (), per_cpu: PerCpu = "list", take: bool = False
    ) -> Table:
        """All entries as a table: pyarrow, polars, duckdb and nanoarrow take it as it is.

        Columns are "key" and "value", or where these are structs their members under dotted names
        ("key.saddr", "value.peer.port"). `times` names columns of ns that are moments ("start_ns",
        or "value.start_ns"; KeyError for others), with their clock where it is not CLOCK_MONOTONIC
        (`{"start_ns": "boottime"}`). Per-CPU values are lists, one value per possible CPU, or with
        `per_cpu="sum"` added up, where they are numbers. `take` as for `to_numpy`.
        Imports numpy; see `osmia.values.Table`.
        """
        from osmia.engine.maps.tables import table

        return table(self, times=times, per_cpu=per_cpu, take=take)

    def to_columns(self, **options: Unpack[TableOptions]) -> dict[str, numpy.ndarray]:
        """All entries as arrays by column, see `to_arrow` and `osmia.values.Table.to_columns`; they
        are the caller's to change."""
        columns = self.to_arrow(**options).columns
        return {name: column.numpy() for name, column in columns.items()}

    def to_pandas(self, **options: Unpack[TableOptions]) -> pandas.DataFrame:
        """All entries as a DataFrame, see `to_arrow` and `osmia.values.Table.to_pandas`.

        MissingPackageError without pandas: `pip install 'osmia[pandas]'`.
        """
        import osmia.pandas_extra  # noqa: F401  before entries are taken

        return self.to_arrow(**options).to_pandas()

    @names_wrong_arguments
    def decode_values(self, data: bytes) -> Iterator[Any]:
        """The values in undecoded bytes of several, one after the other."""
        codec = self.value_codec
        return iter(()) if codec is None else codec.iter_decode(data)  # which checks them

    def _store(self, keys: bytes, values: bytes, flags: int) -> None:
        done, error = self.raw.update_many(keys, values, flags) if keys else (0, 0)
        if error:
            key = self._key_at(keys, done * self.key_size)
            raise self._error(Operation.UPDATE, error, key)

    def _check_size(self, key: bytes) -> None:
        """Engines take keys of exactly the map's size: others would run over their memory."""
        if not isinstance(key, bytes | bytearray):
            raise CodecError(f"map {self.name!r}: an encoded key is bytes, not {key!r:.80}")
        if len(key) != self.key_size:
            problem = f"keys have {self.key_size} bytes, not {len(key)}"
            raise CodecError(f"map {self.name!r}: {problem}")

    def _key_at(self, keys: bytes, at: int) -> Any:
        key = keys[at : at + self.key_size]
        return key if self.key_codec is None else self.key_codec.decode(key)

    def _error(self, operation: Operation, error: int, key: Any = None) -> OsmiaError:
        return element_error(self.raw, operation, error, key)

    def _key_decoder(self) -> Callable[[bytes], Iterator[Any]]:
        if self.key_codec is None:
            raise CodecError(f"map {self.name!r} has no keys to iterate over")
        return self.key_codec.iter_decode

    def _decoder(self, codec: Codec | None) -> Callable[[bytes], Any]:
        if codec is None:
            return bytes
        if _is_plain(codec):
            unpack = codec.packer.unpack
            return lambda data: unpack(data)[0]
        return codec.decode

    def _one_by_one(self, data: bytes) -> Iterator[Any]:
        """`decode_values` for values that no codec alone decodes."""
        if not _is_flat(data):
            raise CodecError(f"map {self.name!r}: values are bytes, not {data!r:.80}")
        size, decode = self.entry_value_size, self._decode_value
        return (decode(data[start : start + size]) for start in range(0, len(data), size))


class _BatchedItems(ItemsView[Any, Any]):
    _mapping: KeyedMap

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        source = self._mapping
        decode = source._key_decoder()
        for keys, values in source.raw.read():
            yield from zip(decode(bytes(keys)), source.decode_values(bytes(values)), strict=True)


class _BatchedValues(ValuesView[Any]):
    _mapping: KeyedMap

    def __iter__(self) -> Iterator[Any]:
        for _keys, values in self._mapping.raw.read():
            yield from self._mapping.decode_values(bytes(values))
