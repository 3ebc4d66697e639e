"""`RawMap`: a map by its bytes, what an engine brings for the typed face of maps.

An engine's class inherits from it and brings the methods without a body here; the others say
what holds where an engine has nothing better, or that it has no such thing.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterator

from osmia.errors import CodecError, NotSupportedError
from osmia.object.uapi import MapFlag, MapType
from osmia.protocols import Protocol

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    from osmia.engine.maps.errors import Operation
    from osmia.engine.maps.info import MapInfo
    from osmia.events import EventCodec, EventSource, UserRingBuffer
    from osmia.events.user_ring_buffer import RecordCodec

#: Keys or values of several entries, one after the other.
Packed: TypeAlias = bytes | memoryview

#: How a map says that it has no such operation: an old kernel, or a type that lacks it.
UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL)

#: Keys are 0 … max_entries - 1: every one has a value, and `clear` sets them to zero bytes.
ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)

_CHUNK = 16384


class RawMap(Protocol):
    """A map by its bytes. Keys and values have exactly the map's sizes; what fails gives an
    errno value (a positive int), so that the typed face words every error. Only a map that
    was closed raises: ClosedError.

    The typed face binds methods once, when it is made: the hot path is one call.
    """

    engine: str
    """The engine's name: "kernel", "vm"."""
    name: str
    """The whole name where the creator told it."""
    id: int
    type: MapType | int
    flags: MapFlag
    key_size: int
    value_size: int
    """Bytes of one value; of one CPU's where each has its own."""
    max_entries: int
    cpus: int
    """How many values there are under each key, one a CPU; 0: just one."""
    entry_value_size: int
    """Bytes of all values under one key: each CPU's padded to 8."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called here; the map may live on."""

    @property
    def info(self) -> MapInfo:
        """The map's facts, read now."""

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""

    def close(self) -> None:
        """Give the map up."""

    # One entry.

    def lookup(self, key: bytes) -> bytes | int:
        """The value, or the errno."""

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        """`lookup` with ElementFlags; with `mark` an entry of an LRU map counts as used now."""

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        """Store a value: 0 or the errno."""

    def delete(self, key: bytes) -> int:
        """Remove an entry: 0 or the errno."""

    def next_key(self, key: bytes | None) -> bytes | int | None:
        """The key after `key`, the first one after None and after a key that is not there;
        None at the end; or the errno."""

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        """Take a value out in one step; one of UNSUPPORTED where the map cannot."""
        return errno.EOPNOTSUPP

    # Values without keys: queues, stacks, Bloom filters.

    def push(self, value: bytes, flags: int = 0) -> int:
        """Add a value: 0 or the errno."""
        return errno.EOPNOTSUPP

    def pop(self) -> bytes | int:
        """Take the next value out."""
        return errno.EOPNOTSUPP

    def peek(self) -> bytes | int:
        """The next value, which stays."""
        return errno.EOPNOTSUPP

    def has(self, value: bytes) -> int:
        """0 when a Bloom filter may have the value, ENOENT when it has not."""
        return errno.EOPNOTSUPP

    # Many entries.

    def read(
        self, *, take: bool = False
    ) -> Iterator[tuple[bytes | memoryview, bytes | memoryview]]:
        """All entries as packed keys and packed values of some entries at a time, valid until
        the next step; with `take` they leave the map. Raises the map's errors.

        The key after an entry is asked for before that is handed out, so whoever gets it may
        delete it. Where the walk starts again, as somebody deleted the key that it was at,
        entries seen before are skipped.
        """
        from osmia.engine.maps.errors import Operation, element_error

        for key in self._keys():
            value = self.take_out(key) if take else self.lookup(key)
            if not isinstance(value, int):
                yield key, value
            elif value != errno.ENOENT:  # else deleted since its key was found
                raise element_error(self, Operation.TAKE if take else Operation.LOOK_UP, value)

    def _keys(self) -> Iterator[bytes]:
        from osmia.engine.maps.errors import Operation, element_error

        seen: set[bytes] = set()
        key = self.next_key(None)
        while key is not None:
            if isinstance(key, int):
                raise element_error(self, Operation.WALK, key)
            following = self.next_key(key)
            if key not in seen:
                seen.add(key)
                yield key
            key = following

    def count(self) -> int:
        """How many entries there are. Raises the map's errors."""
        if not self.key_size:
            self._lacks("count of their values")
        return sum(len(keys) for keys, _ in self.read()) // self.key_size

    def take_out(self, key: bytes) -> bytes | int:
        """`take`, or where the map cannot in one step a lookup and a delete."""
        value = self.take(key)
        if isinstance(value, int) and value in UNSUPPORTED:
            value = self.lookup(key)
            if not isinstance(value, int):
                return self.delete(key) or value
        return value

    def update_many(self, keys: bytes, values: bytes, flags: int = 0) -> tuple[int, int]:
        """Store packed entries: how many were stored, and 0 or the errno of the next one."""
        size, value_size = self.key_size, self.entry_value_size
        for index in range(len(keys) // size):
            value = values[index * value_size : (index + 1) * value_size]
            if error := self.update(keys[index * size : (index + 1) * size], value, flags):
                return index, error
        return len(keys) // size, 0

    def delete_many(self, keys: bytes) -> tuple[int, int, int]:
        """Delete those packed keys that are there: how many were, and 0 and the end, or the
        errno and where among `keys` it stopped, in bytes."""
        deleted = 0
        for at in range(0, len(keys), self.key_size):
            error = self.delete(keys[at : at + self.key_size])
            if error not in (0, errno.ENOENT):
                return deleted, error, at
            deleted += not error
        return deleted, 0, len(keys)

    def clear(self) -> int:
        """Delete all entries, or zero those of an array: 0 or the errno."""
        if self.type not in ARRAYS:
            return self.delete_many(b"".join(bytes(keys) for keys, _ in self.read()))[1]
        chunk = max(1, min(_CHUNK, (4 << 20) // self.entry_value_size))
        for first in range(0, self.max_entries, chunk):
            indices = array("I", range(first, min(first + chunk, self.max_entries)))
            zeros = bytes(len(indices) * self.entry_value_size)
            if error := self.update_many(indices.tobytes(), zeros)[1]:
                return error
        return 0

    # Values that stand for other things of the engine: maps, programs, sockets.

    def reference(self, value: Any) -> bytes:
        """The value that stands for a thing of the same engine: CodecError for anything else,
        ClosedError for one that is closed."""
        raise CodecError(f"{value!r:.80} is nothing that this map can hold")

    def opened(self, number: int) -> Any:
        """What a value that was read stands for, opened anew: the caller closes it."""
        self._lacks("maps of other things")

    # What only some maps and engines have.

    def memory(self, *, writable: bool = True) -> memoryview:
        """The values as programs see them."""
        self._lacks("memory that can be looked at")

    def memory_address(self, view: memoryview) -> int:
        """What programs have as the address of `memory`."""
        import ctypes

        return ctypes.addressof(ctypes.c_char.from_buffer(view))

    def events(self, codec: EventCodec | None, *, pages: int | None = None) -> EventSource[Any]:
        """A reader of what programs send; `pages` of data a CPU where each has its own."""
        self._lacks("events")

    def records(self, codec: RecordCodec | None) -> UserRingBuffer:
        """A writer of records that programs take."""
        self._lacks("records for programs")

    def freeze(self) -> None:
        """No more updates from outside of programs."""
        self._lacks("frozen maps")

    def fileno(self) -> int:
        """The map's descriptor."""
        self._lacks("file descriptors", "fileno")

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin the map to a path in a bpffs."""
        self._lacks("pins", "pin")

    def unpin(self, path: str | os.PathLike[str]) -> None:
        """Remove a pin."""
        self._lacks("pins", "pin")

    def hint(self, operation: Operation, error: int) -> str:
        """What the engine knows of the reason for an errno that was just given, or ""."""
        return ""

    def _lacks(self, what: str, capability: str | None = None) -> NoReturn:
        self.check_open()
        kind = self.type.name if isinstance(self.type, MapType) else f"type {self.type}"
        problem = f"map {self.name!r}: {kind} maps of the {self.engine} have no {what}"
        raise NotSupportedError(problem, capability=capability)
