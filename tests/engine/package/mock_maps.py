"""Maps of the mock engine by their bytes: hashes and arrays, each a dictionary."""

from __future__ import annotations

import errno
import itertools

from osmia.engine.maps import Map, MapInfo
from osmia.engine.raw_map import RawMap
from osmia.errors import ClosedError, NotSupportedError
from osmia.object import model
from osmia.object.model import Object
from osmia.object.uapi import ElementFlag, MapFlag, MapType
from osmia.values import codec

_numbers = itertools.count(1)


class DictionaryMap(RawMap):
    """A hash or an array: see `osmia.engine.raw_map.RawMap`. All that is not here that has."""

    engine = "mock"

    def __init__(self, definition: model.Map) -> None:
        if definition.type not in (MapType.HASH, MapType.ARRAY):
            raise NotSupportedError(f"map {definition.name!r}: a mock has hashes and arrays only")
        self.name = definition.name
        self.id = next(_numbers)
        self.type = definition.type
        self.flags = MapFlag(definition.flags)
        self.key_size, self.value_size = definition.key_size, definition.value_size
        self.max_entries = definition.max_entries
        self.cpus = 0
        self.entry_value_size = self.value_size
        self._closed = False
        self._entries: dict[bytes, bytes] = {}
        if self.type is MapType.ARRAY:
            keys = (index.to_bytes(4, "little") for index in range(self.max_entries))
            self._entries = dict.fromkeys(keys, bytes(self.value_size))

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def info(self) -> MapInfo:
        raise NotSupportedError(f"map {self.name!r}: a mock has no info", capability="info")

    def check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"map {self.name!r} is closed")

    def close(self) -> None:
        self._closed = True

    def lookup(self, key: bytes) -> bytes | int:
        self.check_open()
        return self._entries.get(key, errno.ENOENT)

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        return errno.EINVAL if flags else self.lookup(key)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        self.check_open()
        if flags == ElementFlag.NOEXIST and key in self._entries:
            return errno.EEXIST
        if flags == ElementFlag.EXIST and key not in self._entries:
            return errno.ENOENT
        if key not in self._entries and len(self._entries) >= self.max_entries:
            return errno.E2BIG
        self._entries[key] = value
        return 0

    def delete(self, key: bytes) -> int:
        self.check_open()
        if self.type is MapType.ARRAY:
            return errno.EINVAL
        return 0 if self._entries.pop(key, None) is not None else errno.ENOENT

    def next_key(self, key: bytes | None) -> bytes | int | None:
        self.check_open()
        keys = list(self._entries)
        following = keys.index(key) + 1 if key in self._entries else 0
        return keys[following] if following < len(keys) else None


def typed(obj: Object, definition: model.Map) -> Map:
    """A map with the types that the object's BTF tells: the class is osmia's."""
    ids = (definition.key_type_id, definition.value_type_id)
    codecs = (codec(obj.btf, each) if obj.btf is not None and each else None for each in ids)
    return Map.over(DictionaryMap(definition), *codecs)
