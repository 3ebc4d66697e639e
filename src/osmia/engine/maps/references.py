"""Maps whose keys or values are other things of the engine: maps, programs, sockets, cgroups.

What is stored belongs to the same engine: in the kernel anything with a `fileno()` (a Map, a
Program, a socket, an open file), in a vm a map or a program of that vm. Reading gives an id (maps,
programs) or a cookie (sockets, in maps with 8-byte values), and nothing for cgroups, events and
XDP sockets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from osmia.engine.maps.base import Map
from osmia.engine.maps.keyed import MISSING, KeyedMap
from osmia.engine.raw_map import RawMap
from osmia.engine.tail_call_returns import TailCallers
from osmia.object.uapi import MapType
from osmia.values import Codec


class ReferenceMap(
    KeyedMap,
    types=(
        MapType.CGROUP_ARRAY,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.XSKMAP,
        MapType.REUSEPORT_SOCKARRAY,
    ),
):
    """Stores things; the map keeps them alive on its own."""

    def decode_values(self, data: bytes) -> Iterator[Any]:
        """The ids or cookies in undecoded bytes of several, one after the other."""
        return self._one_by_one(data)

    def _decoder(self, codec: Codec | None) -> Callable[[bytes], Any]:
        return lambda data: int.from_bytes(data, sys.byteorder)

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        return super()._encoder(codec, role) if role != "value" else self.raw.reference


class MapOfMaps(ReferenceMap, types=(MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)):
    """Inner maps by key: assign a Map; reading gives its id; `open` gives a Map.

    An inner map has the shape of the outer one's template: KernelError EINVAL for others. A
    replaced or deleted inner map is let go by the time the operation returns.
    """

    def open(self, key: Any) -> Map:
        """The inner map under `key`, in the kernel typed by its own BTF; the caller closes it."""
        inner: Map = self.raw.opened(self[key])
        return inner


class ProgramArray(ReferenceMap, types=(MapType.PROG_ARRAY,)):
    """The targets of tail calls: assign a Program; reading gives its id.

    The first program stored or using the array decides what it takes: its type, its
    expected attach type, whether it was compiled (`info.owner_prog_type`); KernelError
    EINVAL for others. Where a tail call in a subprogram of a loaded object reaches the slot, a
    program of another return type is a TailCallError; so it is through every map that was given
    as `maps=`, not through handles opened by id or pin. The kernel empties the array when no
    program and no pin holds it in user space any more.
    """

    def __init__(
        self, raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None
    ) -> None:
        super().__init__(raw, key_codec, value_codec)
        self.callers = TailCallers()
        """The tail calls in subprograms that reach it."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.callers:
            self._check(key, value)
        super().__setitem__(key, value)

    def update(self, key: Any, value: Any = MISSING, flags: int = 0) -> None:  # type: ignore[override]
        """As of every map; a program of another type than a subprogram's is a TailCallError."""
        if value is not MISSING and self.callers:
            self._check(key, value)
        super().update(key, value, flags)

    def update_many(
        self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | Any, flags: int = 0
    ) -> None:
        """As of every map; all is checked before anything is stored."""
        if self.callers and not hasattr(entries, "dtype"):
            pairs = entries.items() if isinstance(entries, Mapping) else entries
            entries = [(key, value) for key, value in pairs]
            for key, value in entries:
                self._check(key, value)
        super().update_many(entries, flags)

    def _check(self, key: Any, value: Any) -> None:
        from osmia.engine.program import Program

        if isinstance(value, Program):
            index = int.from_bytes(self.encode_key(key), sys.byteorder)
            self.callers.check(index, value.name, value.function_type())

    def open(self, key: Any) -> Any:
        """The program under `key`; the caller closes it."""
        return self.raw.opened(self[key])


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
    file, a pidfd (`os.pidfd_open`), a cgroup's directory; in a vm numbers of your choice. The
    kernel lists no owners: iterating is a KernelError (EOPNOTSUPP); an iterator program can.
    """

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        if codec is None or role != "key":
            return super()._encoder(codec, role)
        encode = codec.encode
        return lambda key: encode(key.fileno() if hasattr(key, "fileno") else key)
