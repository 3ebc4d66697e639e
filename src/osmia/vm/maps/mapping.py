"""Maps as Python sees them: typed keys and values, the kernel engine's names."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from osmia.errors import CodecError, KernelError
from osmia.object.uapi import MapType
from osmia.values import Codec, plain_codec
from osmia.vm.maps.base import RawMap
from osmia.vm.maps.build import Definition
from osmia.vm.maps.constants import ANY
from osmia.vm.maps.errors import KeyExistsError, map_error

if TYPE_CHECKING:
    import numpy

    from osmia.vm.engine import Vm

_MISSING = object()
_NETWORKS = (
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    str,
)
NOEXIST = 1


class VmMap:
    """A map of a vm: what all types have. Use `Vm.create_map` to make one."""

    def __init__(
        self,
        raw: RawMap,
        name: str,
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        self.raw = raw
        self.vm = raw.vm
        self.name = name
        self.type = raw.type
        self.key_size, self.value_size = raw.key_size, raw.value_size
        self.max_entries, self.flags = raw.max_entries, raw.flags
        self.key_codec = _fitting(key_codec, raw.key_size, name, "key")
        self.value_codec = _fitting(value_codec, raw.value_size, name, "value")

    @property
    def id(self) -> int:
        """The map's number in its vm."""
        return self.raw.number

    @property
    def cpus(self) -> int:
        """How many values there are under each key, one per virtual CPU; 0: just one."""
        return self.raw.cpus if self.raw.definition.per_cpu else 0

    def freeze(self) -> None:
        """Refuse changes from Python from now on (EPERM), as BPF_MAP_FREEZE does."""
        self.raw.frozen = True

    def close(self) -> None:
        """Take the map out of the vm: ClosedError from then on. Programs that name it keep it:
        its memory is free again when the last of them is unloaded."""
        self.vm.forget_map(self.raw.number)

    def let_go(self) -> None:
        """Release what Python holds of the vm's memory: it is about to go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.type.name}, number {self.id}, vm>"

    def _check(self, result: int, verb: str, key: object = None) -> None:
        if result:
            raise map_error(-result, verb, self.name, key)

    def _check_not_frozen(self) -> None:
        if self.raw.frozen:
            raise KernelError(errno.EPERM, f"change map {self.name!r}", hint="it is frozen")

    def _encode(self, codec: Codec | None, value: Any, role: str) -> bytes:
        if codec is None:
            raise CodecError(f"map {self.name!r} has no {role}s")
        try:
            return codec.encode(value)
        except CodecError as error:
            raise CodecError(f"map {self.name!r}, {role}: {error}") from None


def _fitting(codec: Codec | None, size: int, name: str, role: str) -> Codec | None:
    if codec is not None and codec.size != size:
        raise CodecError(f"map {name!r}: a {role} of {size} bytes, its type has {codec.size}")
    return codec if codec is not None or not size else plain_codec(size)


class KeyedMap(VmMap, MutableMapping[Any, Any]):
    """A map of keys to values: a `MutableMapping` with the kernel's rules.

    Lookups from here leave no trace: an entry of an LRU map counts as used only by what
    programs do, unless `lookup(key, mark=True)` says otherwise.
    """

    def __getitem__(self, key: Any) -> Any:
        return self.lookup(key)

    def lookup(self, key: Any, *, mark: bool = False) -> Any:
        """The value under a key; with `mark` an LRU entry counts as used just now."""
        data = self.raw.read(self._key_bytes(key), mark=mark)
        if data is None:
            raise map_error(errno.ENOENT, "look up an entry of", self.name, key)
        return self.decode_value(data)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under a key, or `default`."""
        data = self.raw.read(self._key_bytes(key))
        return default if data is None else self.decode_value(data)

    def __contains__(self, key: object) -> bool:
        return self.raw.read(self._key_bytes(key)) is not None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def update(self, key: Any, value: Any = _MISSING, flags: int = ANY) -> None:  # type: ignore[override]
        """`update(key, value, flags)` as BPF_MAP_UPDATE_ELEM; `update(entries)` for many."""
        if value is _MISSING:
            self.update_many(key, flags)
            return
        self._check_not_frozen()
        result = self.raw.write(self._key_bytes(key), self.encode_value(value), flags)
        self._check(result, "update an entry of", key)

    def update_many(self, entries: Mapping[Any, Any] | Iterable[Any], flags: int = ANY) -> None:
        """Store many entries: a mapping, or pairs."""
        for key, value in entries.items() if isinstance(entries, Mapping) else entries:
            self.update(key, value, flags)

    def __delitem__(self, key: Any) -> None:
        self._check_not_frozen()
        self._check(self.raw.remove(self._key_bytes(key)), "delete an entry of", key)

    def delete(self, key: Any) -> None:
        """Remove an entry; the same as `del map[key]`."""
        del self[key]

    def delete_many(self, keys: Iterable[Any]) -> int:
        """Delete the keys that are there; how many were."""
        self._check_not_frozen()
        return sum(self.raw.remove(self._key_bytes(key)) == 0 for key in keys)

    def lookup_and_delete(self, key: Any) -> Any:
        """Take an entry out."""
        value = self[key]
        del self[key]
        return value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value under a key; where there is none, `default` is stored first."""
        while True:
            value = self.get(key, _MISSING)
            if value is not _MISSING:
                return value
            try:
                self.update(key, default, NOEXIST)
            except KeyExistsError:
                continue

    def take_all(self) -> list[tuple[Any, Any]]:
        """Take all entries out, one by one: what a program stores under a key meanwhile may go
        with it; what it deletes is taken all the same."""
        self._check_not_frozen()
        entries = []
        for key in list(self):
            value = self.get(key, _MISSING)
            if value is not _MISSING:
                entries.append((key, value))
                with contextlib.suppress(KeyError):
                    del self[key]
        return entries

    def clear(self) -> None:
        """Delete all entries; in an array, set them to 0."""
        self._check_not_frozen()
        for key, _ in list(self.raw.entries()):
            if self.raw.is_indexed:
                size = self.raw.definition.stride * self.raw.cpus if self.cpus else self.value_size
                self.raw.write(key, bytes(size))
            else:
                self.raw.remove(key)

    def __iter__(self) -> Iterator[Any]:
        for key, _ in self.raw.entries():
            yield self.decode_key(key)

    def __len__(self) -> int:
        return len(self.raw)

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def to_numpy(self, *, take: bool = False) -> numpy.ndarray[Any, Any]:
        """All entries as one structured array with the fields `key` and `value`; with `take`
        they leave the map."""
        from osmia.numpy_extra import numpy

        if take:
            taken = self.to_numpy()
            self.take_all()
            return taken

        assert self.key_codec is not None and self.value_codec is not None
        value: Any = self.value_codec.dtype()
        if self.cpus:
            padding = self.raw.definition.stride - self.value_size
            one = [("value", value)] + ([("padding", f"V{padding}")] if padding else [])
            value = (numpy.dtype(one), (self.cpus,))
        rows = b"".join(key + self.raw.value_at(where) for key, where in self.raw.entries())
        table = numpy.frombuffer(rows, [("key", self.key_codec.dtype()), ("value", value)]).copy()
        if not self.cpus:
            return table
        wanted = [("key", table["key"].dtype), ("value", self.value_codec.dtype(), (self.cpus,))]
        plain = numpy.empty(len(table), wanted)
        plain["key"], plain["value"] = table["key"], table["value"]["value"]
        return plain

    # Keys and values.

    def decode_key(self, data: bytes) -> Any:
        """A key from its bytes."""
        return data if self.key_codec is None else self.key_codec.decode(data)

    def decode_value(self, data: bytes) -> Any:
        """A value from its bytes, a list by CPU for per-CPU maps."""
        codec = self.value_codec
        if codec is None:
            return data
        if not self.cpus:
            return codec.decode(data)
        stride = self.raw.definition.stride
        return [codec.decode(data[n * stride : n * stride + codec.size]) for n in range(self.cpus)]

    def encode_value(self, value: Any) -> bytes:
        """A value's bytes."""
        if not self.cpus:
            return self._encode(self.value_codec, value, "value")
        stride = self.raw.definition.stride
        if isinstance(value, bytes) and len(value) == stride * self.cpus:
            return value
        if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
            raise CodecError(f"a list of {self.cpus} values is needed, one per CPU")
        if len(value) != self.cpus:
            raise CodecError(f"{len(value)} values given for {self.cpus} CPUs")
        encoded = (self._encode(self.value_codec, one, "value") for one in value)
        return b"".join(one.ljust(stride, b"\0") for one in encoded)

    def _key_bytes(self, key: Any) -> bytes:
        return self._encode(self.key_codec, key, "key")


class ArrayMap(KeyedMap):
    """An array: every index has a value, which lies in memory that can be looked at."""

    def memory(self, *, writable: bool = True) -> memoryview:
        """The values where programs see them; release the view before the vm is closed."""
        view = self.vm.memory.slice(self.raw.values_address, self.raw.values_size)
        return view if writable else view.toreadonly()


class LpmTrie(KeyedMap):
    """A trie of prefixes: a lookup finds the longest one. Keys may be networks or addresses
    of `ipaddress`, or their text."""

    def _key_bytes(self, key: Any) -> bytes:
        if not isinstance(key, _NETWORKS):
            return super()._key_bytes(key)
        try:
            network = ipaddress.ip_network(key, strict=False)
        except ValueError as error:
            raise CodecError(f"map {self.name!r}, key: {error}") from None
        data = network.network_address.packed
        if len(data) != self.key_size - 4:
            raise CodecError(f"{network} does not fit a key of {self.key_size} bytes")
        return network.prefixlen.to_bytes(4, "little") + data


class StorageMap(KeyedMap):
    """A value per socket, inode, task or cgroup: in the vm, per number of your choice."""

    def _key_bytes(self, key: Any) -> bytes:
        return super()._key_bytes(key.fileno() if hasattr(key, "fileno") else key)


def open_map(
    vm: Vm,
    number: int,
    definition: Definition,
    name: str,
    key_codec: Codec | None = None,
    value_codec: Codec | None = None,
) -> VmMap:
    """Make a map and give the class for its type."""
    from osmia.vm.maps import special
    from osmia.vm.maps.user_ring import UserRingMap

    kinds: dict[MapType, type[VmMap]] = {
        MapType.ARRAY: ArrayMap,
        MapType.LPM_TRIE: LpmTrie,
        MapType.SK_STORAGE: StorageMap,
        MapType.INODE_STORAGE: StorageMap,
        MapType.TASK_STORAGE: StorageMap,
        MapType.CGRP_STORAGE: StorageMap,
        MapType.USER_RINGBUF: UserRingMap,
        **special.KINDS,
    }
    kind = kinds.get(definition.type, KeyedMap)
    raw = RawMap(vm, number, definition)
    try:
        return kind(raw, name, key_codec, value_codec)
    except CodecError:
        raw.release()
        raise
