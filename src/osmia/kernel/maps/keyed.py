"""Maps with keys: single operations, iteration, and batches behind one MutableMapping."""

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
from typing import TYPE_CHECKING, Any, TypeGuard

from osmia.errors import CodecError
from osmia.kernel.maps import batches
from osmia.kernel.maps.base import Map
from osmia.kernel.maps.errors import KeyExistsError, element_error
from osmia.kernel.maps.info import MapInfo
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.syscall import Command, ElementCall, ElementFlag
from osmia.object.uapi import MapType
from osmia.values import Codec, IntCodec, PointerCodec

if TYPE_CHECKING:
    import numpy

_LOOKUP = int(Command.MAP_LOOKUP_ELEM)
_UPDATE = int(Command.MAP_UPDATE_ELEM)
_TAKE = int(Command.MAP_LOOKUP_AND_DELETE_ELEM)

_MISSING: Any = object()


def quick_encoder(codec: Codec | None, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """For integers `struct`'s own pack, whose errors mean "try `encode`"; else `encode`."""
    if not _is_plain(codec) or encode != codec.encode:
        return encode
    pack: Callable[[Any], bytes] = codec.packer.pack
    return pack


def _is_plain(codec: Codec | None) -> TypeGuard[IntCodec]:
    """Whether values are the very integers that `struct` gives: no enum."""
    return type(codec) in (IntCodec, PointerCodec)


class KeyedMap(
    Map,
    MutableMapping[Any, Any],
    types=(
        MapType.HASH,
        MapType.LRU_HASH,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.CGROUP_STORAGE,
        MapType.STRUCT_OPS,
    ),
):
    """A map of keys to values: a `MutableMapping` with the kernel's rules.

    A missing key is `MissingKeyError` (a KeyError), a full map `MapFullError`, a value
    that its type cannot hold `CodecError`; each names the map. Iteration reads in batches
    where the kernel can (5.6 and later): it sees every entry that stays for its whole
    length once, and may or may not see those that come or go meanwhile. Without batches
    the next key is asked for before an entry is handed out, so deleting that entry is
    safe; when somebody else deletes the remembered key the kernel starts again at its
    first key, and the walk skips what it has seen.

    Safe to use from several threads.
    """

    def __init__(
        self,
        fd: FileDescriptor,
        info: MapInfo,
        name: str = "",
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        super().__init__(fd, info, name, key_codec, value_codec)
        self._encode_any_key = self._encoder(self.key_codec, "key")
        self._encode_any_value = self._encoder(self.value_codec, "value")
        self._encode_key = quick_encoder(self.key_codec, self._encode_any_key)
        self._encode_value = quick_encoder(self.value_codec, self._encode_any_value)
        self._decode_value: Callable[[bytes], Any] = self._decoder(self.value_codec)
        # Prepared calls that nobody uses now: list.pop and append are atomic. And all of them.
        self._calls: list[ElementCall] = []
        self._made: list[ElementCall] = []
        self._closing = False

    def __getitem__(self, key: Any) -> Any:
        value = self._find(key)
        if isinstance(value, int):
            raise element_error(self, Command.MAP_LOOKUP_ELEM, value, key)
        return self._decode_value(value)

    def get(self, key: Any, default: Any = None, *, flags: int = 0) -> Any:
        """The value under `key`, or `default`. `flags` may be ElementFlag.LOCK (5.1)."""
        value = self._read(_LOOKUP, key, flags) if flags else self._find(key)
        if not isinstance(value, int):
            return self._decode_value(value)
        if value == errno.ENOENT:
            return default
        raise element_error(self, Command.MAP_LOOKUP_ELEM, value, key)

    def __contains__(self, key: object) -> bool:
        value = self._find(key)
        if not isinstance(value, int):
            return True
        if value == errno.ENOENT:
            return False
        raise element_error(self, Command.MAP_LOOKUP_ELEM, value, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if error := self._write(key, value, 0):
            raise element_error(self, Command.MAP_UPDATE_ELEM, error, key)

    def update(self, key: Any, value: Any = _MISSING, flags: int = 0) -> None:  # type: ignore[override]
        """`update(key, value, flags)` sets one value, as BPF_MAP_UPDATE_ELEM does.

        `flags`: ElementFlag.NOEXIST raises KeyExistsError where the key exists, EXIST
        MissingKeyError where it does not, LOCK takes the value's spin lock.

        `update(entries)` with a mapping or pairs is `update_many`, as for a dict.
        """
        if value is _MISSING:
            self.update_many(key, flags=flags)
        elif error := self._write(key, value, flags):
            raise element_error(self, Command.MAP_UPDATE_ELEM, error, key)

    def __delitem__(self, key: Any) -> None:
        command, encoded = Command.MAP_DELETE_ELEM, self._key_bytes(key)
        if error := -syscall.map_element(command, self.fileno(), key=encoded):
            raise element_error(self, command, error, key)

    def delete(self, key: Any) -> None:
        """Remove an entry; the same as `del map[key]`."""
        del self[key]

    def lookup_and_delete(self, key: Any, flags: int = 0) -> Any:
        """Take an entry out in one step; hashes since 5.14. `flags` may be ElementFlag.LOCK.

        KernelError EOPNOTSUPP where the map type cannot.
        """
        value = self._read(_TAKE, key, flags)
        if isinstance(value, int):
            raise element_error(self, Command.MAP_LOOKUP_AND_DELETE_ELEM, value, key)
        return self._decode_value(value)

    def pop(self, key: Any, default: Any = _MISSING) -> Any:
        """Take an entry out: in one step where the kernel can, else a lookup and a delete."""
        value = self._read(_TAKE, key)
        if not isinstance(value, int):
            return self._decode_value(value)
        if value in batches.UNSUPPORTED:
            value = self._find(key)
            if not isinstance(value, int):
                decoded = self._decode_value(value)
                del self[key]
                return decoded
        if value == errno.ENOENT and default is not _MISSING:
            return default
        raise element_error(self, Command.MAP_LOOKUP_AND_DELETE_ELEM, value, key)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value under `key`; where there is none, `default` is stored first.

        Of several that try at once, one stores, and all get what it stored.
        """
        value = self.get(key, _MISSING)
        while value is _MISSING:
            with suppress(KeyExistsError):
                self.update(key, default, ElementFlag.NOEXIST)
            value = self.get(key, _MISSING)
        return value

    def __iter__(self) -> Iterator[Any]:
        decode = self._key_decoder()
        for keys, _values in batches.read(self):
            yield from decode(keys)

    def __len__(self) -> int:
        """How many entries there are: the kernel keeps no count, so all are walked."""
        return sum(len(keys) for keys, _ in batches.read(self)) // self.key_size

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

        The kernel answers with the first key when `key` is not in the map any more.
        """
        return batches.KeyWalk(self).after(key)

    def encode_key(self, key: Any) -> bytes:
        """The bytes of a key, as `next_key` and `read_encoded` take them. Raises CodecError."""
        return self._key_bytes(key)

    def read_encoded(self, key: bytes) -> bytes | None:
        """The undecoded value under an encoded key, None when there is none."""
        error, value = self._call(_LOOKUP, key)
        if error in (0, errno.ENOENT):
            return None if error else value
        raise element_error(self, Command.MAP_LOOKUP_ELEM, error)

    def take_encoded(self, key: bytes) -> bytes | None:
        """`read_encoded`, and the entry is gone: in one step where the kernel can."""
        error, value = self._call(_TAKE, key)
        if error not in batches.UNSUPPORTED:
            if error in (0, errno.ENOENT):
                return None if error else value
            raise element_error(self, Command.MAP_LOOKUP_AND_DELETE_ELEM, error)
        found = self.read_encoded(key)
        return found if found is not None and batches.delete(self, key) else None

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
        for key, value in pairs:
            keys += self._key_bytes(key)
            values += self._value_bytes(value)
        batches.update(self, keys, values, flags)

    def update_arrays(self, keys: numpy.ndarray, values: numpy.ndarray, flags: int = 0) -> None:
        """Store two arrays of equal length, converted to the types of `to_numpy` if need be."""
        from osmia.kernel.maps import arrays  # brings numpy

        batches.update(self, *arrays.packed(self, keys, values), flags)

    def delete_many(self, keys: Iterable[Any]) -> int:
        """Delete the keys that are there; how many were."""
        return batches.delete(self, b"".join(map(self._key_bytes, keys)))

    def take_all(self) -> list[tuple[Any, Any]]:
        """Take all entries out: what programs store meanwhile is in the list or in the map.

        That holds for hashes since 5.6 (per-CPU ones too), for other hashes since 5.14; where
        the kernel cannot, an entry is read and then deleted.
        """
        decode = self._key_decoder()
        return [
            entry
            for keys, values in batches.read(self, take=True)
            for entry in zip(decode(keys), self.decode_values(values), strict=True)
        ]

    def clear(self) -> None:
        """Delete all entries; those that come meanwhile may stay."""
        batches.clear(self)

    def to_numpy(self, *, take: bool = False) -> numpy.ndarray:
        """All entries as one structured array with the fields `key` and `value`.

        Per-CPU values have a row of one value per possible CPU. With `take` the entries leave
        the map, as with `take_all`. Imports numpy.
        """
        from osmia.kernel.maps import arrays

        return arrays.structured(self, take=take)

    def to_arrays(self, *, take: bool = False) -> tuple[numpy.ndarray, numpy.ndarray]:
        """All keys and all values as two arrays: `to_numpy` without the interleaving copy."""
        from osmia.kernel.maps import arrays

        return arrays.separate(self, take=take)

    def close(self) -> None:
        """Let go of the map; the kernel frees it when nobody else holds it."""
        # The descriptor's number is soon somebody else's: no prepared call may still have it,
        # also none that another thread is about to make.
        self._closing = True
        self._calls = []
        for call in list(self._made):
            call.disable()
        super().close()

    @property
    def entry_value_size(self) -> int:
        """Bytes that bpf(2) reads and writes for one value."""
        return self.value_size

    @property
    def cpus(self) -> int:
        """How many values there are under each key, one per possible CPU; 0: just one."""
        return 0

    def decode_values(self, data: bytes) -> Iterator[Any]:
        """The values in undecoded bytes of several, one after the other."""
        codec = self.value_codec
        return iter(()) if codec is None else codec.iter_decode(data)

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

    def _key_bytes(self, key: Any) -> bytes:
        try:
            return self._encode_any_key(key)
        except CodecError as error:
            raise self._codec_error("key", error) from None

    def _value_bytes(self, value: Any) -> bytes:
        try:
            return self._encode_any_value(value)
        except CodecError as error:
            raise self._codec_error("value", error) from None

    def _new_call(self) -> ElementCall:
        call = ElementCall(self.fileno(), self.key_size, self.entry_value_size)
        self._made.append(call)
        if self._closing:  # looked at last: what `close` did not see in the list sees this
            call.disable()
        return call

    def _find(self, key: Any) -> bytes | int:
        """The undecoded value, or the errno. The hot path: nothing is prepared twice."""
        try:
            encoded = self._encode_key(key)
        except (CodecError, struct.error):
            encoded = self._key_bytes(key)
        calls = self._calls
        try:
            call = calls.pop()
        except IndexError:
            call = self._new_call()
        call.key.raw = encoded
        failed = call.lookup() and call.failure()
        value: bytes = call.value.raw
        calls.append(call)
        return failed or value

    def _read(self, command: int, key: Any, flags: int = 0) -> bytes | int:
        """As `_find`, for any command that gives a value."""
        failed, value = self._call(command, self._key_bytes(key), flags)
        return failed or value

    def _write(self, key: Any, value: Any, flags: int) -> int:
        """Store an entry; 0 or the errno."""
        try:
            encoded, data = self._encode_key(key), self._encode_value(value)
        except (CodecError, struct.error):
            encoded, data = self._key_bytes(key), self._value_bytes(value)
        calls = self._calls
        try:
            call = calls.pop()
        except IndexError:
            call = self._new_call()
        call.key.raw = encoded
        call.value.raw = data
        if flags:
            failed = call(_UPDATE, flags)
        else:
            failed = call.update() and call.failure()
        calls.append(call)
        return failed

    def _call(self, command: int, key: bytes, flags: int = 0) -> tuple[int, bytes]:
        """One command on an encoded key: the errno and the value."""
        calls = self._calls
        call = calls.pop() if calls else self._new_call()
        call.key.raw = key
        failed = call(command, flags)
        value: bytes = call.value.raw
        calls.append(call)
        return failed, value


class _BatchedItems(ItemsView[Any, Any]):
    _mapping: KeyedMap

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        source = self._mapping
        decode = source._key_decoder()
        for keys, values in batches.read(source):
            yield from zip(decode(keys), source.decode_values(values), strict=True)


class _BatchedValues(ValuesView[Any]):
    _mapping: KeyedMap

    def __iter__(self) -> Iterator[Any]:
        for _keys, values in batches.read(self._mapping):
            yield from self._mapping.decode_values(values)
