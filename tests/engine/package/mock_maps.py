"""Maps over dictionaries: hashes and arrays, with as little as a RawMap must have."""

from __future__ import annotations

import errno
import itertools
import sys
import threading

from osmia.engine.maps import Map, MapInfo
from osmia.engine.maps.errors import Operation
from osmia.engine.raw_map import RawMap
from osmia.errors import ClosedError, NotSupportedError
from osmia.object.uapi import ElementFlag, MapFlag, MapType
from osmia.values import Codec

_numbers = itertools.count(1)
_BOTH = ElementFlag.NOEXIST | ElementFlag.EXIST


class DictMap(RawMap):
    """A dictionary from keys' bytes to values' bytes."""

    engine = "mock"
    cpus = 0

    def __init__(
        self, kind: MapType | int, key_size: int, value_size: int, max_entries: int, name: str = ""
    ) -> None:
        if kind not in (MapType.HASH, MapType.ARRAY):
            raise NotSupportedError(f"the mock has no maps of type {kind!r}")
        self.name, self.id, self.type, self.flags = name, next(_numbers), kind, MapFlag(0)
        self.key_size, self.value_size, self.max_entries = key_size, value_size, max_entries
        self.entry_value_size = value_size
        self._closed = self._frozen = False
        self._lock = threading.RLock()
        self._entries: dict[bytes, bytes] = {}
        if kind == MapType.ARRAY:
            indices = (index.to_bytes(4, sys.byteorder) for index in range(max_entries))
            self._entries = dict.fromkeys(indices, bytes(value_size))

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def info(self) -> MapInfo:
        self.check_open()
        sizes = (self.key_size, self.value_size, self.max_entries)
        return MapInfo(self.id, self.type, self.name, *sizes, self.flags, frozen=self._frozen)

    def check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"map {self.name!r} is closed")

    def close(self) -> None:
        self._closed = True

    def freeze(self) -> None:
        self.check_open()
        self._frozen = True

    def lookup(self, key: bytes) -> bytes | int:
        self.check_open()
        return self._entries.get(key, errno.ENOENT)

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        return errno.EINVAL if flags else self.lookup(key)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        self.check_open()
        with self._lock:
            if self._frozen or flags not in (0, ElementFlag.NOEXIST, ElementFlag.EXIST):
                return errno.EPERM if self._frozen else errno.EINVAL
            known = key in self._entries
            if not known and (len(self._entries) == self.max_entries or self._is_array):
                return errno.ENOENT if flags == ElementFlag.EXIST else errno.E2BIG
            if flags & _BOTH and known is (flags == ElementFlag.NOEXIST):
                return errno.EEXIST if known else errno.ENOENT
            self._entries[key] = value
        return 0

    def delete(self, key: bytes) -> int:
        self.check_open()
        if self._frozen or self._is_array:
            return errno.EPERM if self._frozen else errno.EINVAL
        return 0 if self._entries.pop(key, None) is not None else errno.ENOENT

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        self.check_open()
        if flags or self._is_array:
            return errno.EINVAL if flags else errno.EOPNOTSUPP
        return errno.EPERM if self._frozen else self._entries.pop(key, errno.ENOENT)

    def next_key(self, key: bytes | None) -> bytes | int | None:
        self.check_open()
        with self._lock:
            keys = list(self._entries)
        after = keys.index(key) + 1 if key in self._entries else 0
        return keys[after] if after < len(keys) else None

    def hint(self, operation: Operation, error: int) -> str:
        return "the map is frozen" if error == errno.EPERM else ""

    @property
    def _is_array(self) -> bool:
        return self.type == MapType.ARRAY


def create(
    kind: MapType | int,
    *,
    key_size: int,
    value_size: int,
    max_entries: int,
    name: str = "",
    key_codec: Codec | None = None,
    value_codec: Codec | None = None,
) -> Map:
    """A typed map over a dictionary."""
    return Map.over(DictMap(kind, key_size, value_size, max_entries, name), key_codec, value_codec)
