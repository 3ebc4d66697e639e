"""Maps whose values are other kernel objects: maps, programs, sockets, cgroups, events.

They are stored by descriptor: anything with a `fileno()` (a Map, a Program, a socket, an
open file). The kernel tells what is stored as an id (maps, programs) or as a cookie
(sockets, in maps with 8-byte values), and nothing for cgroups, events and XDP sockets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.kernel.maps.base import Map
from osmia.kernel.maps.keyed import KeyedMap
from osmia.object.uapi import MapType
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.kernel.programs.program import Program


def descriptor_of(value: Any) -> int:
    """The descriptor of something with a `fileno()`."""
    if not hasattr(value, "fileno"):
        kind = type(value).__name__
        raise CodecError(f"something with a fileno() is needed, not {kind} {value!r:.80}")
    number: int = value.fileno()
    return number


class DescriptorMap(
    KeyedMap,
    types=(
        MapType.CGROUP_ARRAY,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.XSKMAP,
        MapType.REUSEPORT_SOCKARRAY,
    ),
):
    """Stores what a descriptor stands for; the map keeps it alive on its own."""

    def decode_values(self, data: bytes) -> Iterator[Any]:
        """The ids or cookies in undecoded bytes of several, one after the other."""
        for start in range(0, len(data), self.value_size):
            yield self._decode_value(data[start : start + self.value_size])

    def _decoder(self, codec: Codec | None) -> Callable[[bytes], Any]:
        return lambda data: int.from_bytes(data, sys.byteorder)

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        if role != "value":
            return super()._encoder(codec, role)
        size = self.value_size
        return lambda value: descriptor_of(value).to_bytes(size, sys.byteorder)


class MapOfMaps(DescriptorMap, types=(MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)):
    """Inner maps by key: assign a Map; reading gives its id; `open` gives a Map.

    A replaced or deleted inner map is let go by the time the operation returns.
    """

    def open(self, key: Any) -> Map:
        """The inner map under `key`, typed by its own BTF; the caller closes it."""
        return Map.from_id(self[key])


class ProgramArray(DescriptorMap, types=(MapType.PROG_ARRAY,)):
    """The targets of tail calls: assign a Program; reading gives its id.

    The first program stored or using the array decides what it takes: its type, its
    expected attach type, whether it was compiled (`info.owner_prog_type`); KernelError
    EINVAL for others. The kernel empties the array when no program and no pin holds it
    in user space any more.
    """

    def open(self, key: Any) -> Program:
        """The program under `key`; the caller closes it."""
        from osmia.kernel.programs.program import Program  # programs know maps

        return Program.from_id(self[key])


class LocalStorage(
    KeyedMap,
    types=(
        MapType.SK_STORAGE,
        MapType.INODE_STORAGE,
        MapType.TASK_STORAGE,
        MapType.CGRP_STORAGE,
    ),
):
    """A value per socket, inode, task or cgroup; it dies with its owner.

    Keys are descriptors, as a number or as something with a `fileno()`: a socket, an open
    file, a pidfd (`os.pidfd_open`), a cgroup's directory. The kernel lists no owners:
    iterating is a KernelError (EOPNOTSUPP); an iterator program can.
    """

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        if codec is None or role != "key":
            return super()._encoder(codec, role)
        encode = codec.encode
        return lambda key: encode(key.fileno() if hasattr(key, "fileno") else key)
