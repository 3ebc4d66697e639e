"""Many entries of a map at a time: batch commands, and single ones where there are none.

Batch commands (since 5.6) walk a hash bucket by bucket under the bucket's lock: no entry
is seen twice, and a concurrent delete never makes them start again.
"""

from __future__ import annotations

import ctypes
import errno
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osmia.errors import OsmiaError
from osmia.kernel.maps.errors import element_error
from osmia.kernel.sys import syscall
from osmia.kernel.sys.syscall import Command, ElementCall
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.kernel.maps.keyed import KeyedMap

#: How the kernel says that a map type or an old kernel has no such command.
UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL)

#: Entries asked for in one call: from about 10,000 the system call itself costs nothing.
CHUNK_ENTRIES = 16384
#: …but no more than this many bytes at first; a bucket that needs more gets it.
CHUNK_BYTES = 4 << 20

#: Map types with batch commands on current kernels.
BATCH_TYPES = frozenset(
    {
        MapType.HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_HASH,
        MapType.LRU_PERCPU_HASH,
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.LPM_TRIE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
    }
)


def read(source: KeyedMap, *, take: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """All entries, as undecoded keys and values of several entries at a time.

    With `take` they are taken out of the map in the same step.
    """
    reader = start(source, chunk_entries(source), take=take)
    if reader is not None:
        for count in reader:
            yield reader.keys_of(count), reader.values_of(count)
        return
    for key in KeyWalk(source):
        value = source.take_encoded(key) if take else source.read_encoded(key)
        if value is not None:  # else deleted since its key was found
            yield key, value


def start(source: KeyedMap, entries: int, *, take: bool = False) -> BatchReader | None:
    """A reader, or taker, of so many entries a step; None where the kernel has no batches."""
    if source.type not in BATCH_TYPES:
        return None
    command = Command.MAP_LOOKUP_AND_DELETE_BATCH if take else Command.MAP_LOOKUP_BATCH
    reader = BatchReader(source, entries, command)
    return reader if reader.supported else None


def chunk_entries(source: KeyedMap) -> int:
    """How many entries to ask for at a time."""
    entry = source.key_size + source.entry_value_size
    return max(1, min(CHUNK_ENTRIES, source.max_entries, CHUNK_BYTES // entry))


class BatchReader:
    """BPF_MAP_LOOKUP_BATCH, or BPF_MAP_LOOKUP_AND_DELETE_BATCH, over a whole map; iterating
    gives how many entries a step got.

    The entries of a step are in the buffers until the next one. The first step is made at
    construction: `supported` is False where the kernel knows no batches for this map.
    """

    def __init__(
        self,
        source: KeyedMap,
        entries: int,
        command: Command,
    ) -> None:
        self._source = source
        self._command = command
        self._key_size, self._value_size = source.key_size, source.entry_value_size
        self._resize(entries)
        # The position is a bucket number for hashes, a key for all others.
        self._position = ctypes.create_string_buffer(max(self._key_size, 4))
        self._started = False
        self._count, self._error = self._step()
        # Interrupted again and again: what a kernel before 6.14 makes of an empty first slot.
        self.supported = self._error not in (*UNSUPPORTED, errno.EINTR)

    def __iter__(self) -> Iterator[int]:
        while True:
            count, error = self._count, self._error
            if error not in (0, errno.ENOENT, errno.ENOSPC):
                raise element_error(self._source, self._command, error)
            if count:
                yield count
            if error == errno.ENOSPC:
                # The next bucket holds more than all the room there is.
                self._resize(2 * self._entries)
            elif error or not count:
                return
            self._count, self._error = self._step()

    def keys_of(self, count: int) -> bytes:
        """A copy of the step's keys, still encoded."""
        return bytes(memoryview(self.keys)[: count * self._key_size])

    def values_of(self, count: int) -> bytes:
        """A copy of the step's values, still encoded."""
        return bytes(memoryview(self.values)[: count * self._value_size])

    def _resize(self, entries: int) -> None:
        self._entries = entries
        self.keys = ctypes.create_string_buffer(entries * self._key_size)
        self.values = ctypes.create_string_buffer(entries * self._value_size)

    def _step(self) -> tuple[int, int]:
        outcome = syscall.map_batch(
            self._command,
            self._source.fileno(),
            keys=self.keys,
            values=self.values,
            count=self._entries,
            in_batch=self._position if self._started else None,
            out_batch=self._position,
        )
        self._started = True
        return outcome


class KeyWalk:
    """All encoded keys by BPF_MAP_GET_NEXT_KEY: for maps and kernels without batches.

    The next key is fetched before a key is handed out, so whoever gets it may delete it.
    When the remembered key is deleted by somebody else the kernel starts again at the
    first key; the keys seen before are remembered here and skipped then.
    """

    def __init__(self, source: KeyedMap) -> None:
        self._source = source
        self._size = source.key_size
        self._call = ElementCall(source.fileno(), self._size, self._size)

    def after(self, key: bytes | None) -> bytes | None:
        """The key after `key`, the first after None, None at the end."""
        if key is None:
            call = ElementCall(self._source.fileno(), 0, self._size)
        else:
            call = self._call
            call.key.raw = key
        error = call(Command.MAP_GET_NEXT_KEY)
        if error == errno.ENOENT:
            return None
        if error:
            raise element_error(self._source, Command.MAP_GET_NEXT_KEY, error)
        found: bytes = call.value.raw
        return found

    def __iter__(self) -> Iterator[bytes]:
        seen: set[bytes] = set()
        key = self.after(None)
        while key is not None:
            self._source.fileno()  # closed meanwhile: the number may be another file's
            following = self.after(key)
            if key not in seen:
                seen.add(key)
                yield key
            key = following


def update(
    target: KeyedMap, keys: bytearray | bytes, values: bytearray | bytes, flags: int
) -> None:
    """Store encoded entries, in one call where the kernel can."""
    count = len(keys) // target.key_size
    if not count:
        return
    done, error = 0, errno.EOPNOTSUPP
    if target.type in BATCH_TYPES:
        done, error = syscall.map_batch(
            Command.MAP_UPDATE_BATCH,
            target.fileno(),
            keys=keys,
            values=values,
            count=count,
            element_flags=flags,
        )
    if error in UNSUPPORTED and not done:
        done, error = _update_singly(target, keys, values, count, flags)
    if error:
        key = bytes(keys[done * target.key_size :][: target.key_size])
        raise element_error(target, Command.MAP_UPDATE_ELEM, error, _decoded(target, key))


def delete(target: KeyedMap, keys: bytes) -> int:
    """Delete encoded keys, in as few calls as the kernel allows; how many were there."""
    size, deleted, position = target.key_size, 0, 0
    start = syscall.address_of(keys)
    while position < len(keys) and target.type in BATCH_TYPES:
        done, error = syscall.map_batch(
            Command.MAP_DELETE_BATCH,
            target.fileno(),
            keys=start + position,
            values=None,
            count=(len(keys) - position) // size,
        )
        if error in UNSUPPORTED and not done:
            break
        deleted += done
        position += done * size
        if error == errno.ENOENT:
            position += size  # the key that was not there
        elif error:
            raise _delete_error(target, error, keys[position:][:size])
    return deleted + sum(
        _delete_one(target, keys[at : at + size]) for at in range(position, len(keys), size)
    )


def clear(target: KeyedMap) -> None:
    """Delete all entries, or set all to zero where entries cannot be deleted."""
    if target.type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
        _zero(target)
        return
    taker = start(target, chunk_entries(target), take=True)
    if taker is not None:
        for _ in taker:
            pass
        return
    delete(target, b"".join(keys for keys, _ in read(target)))


def _zero(target: KeyedMap) -> None:
    chunk = chunk_entries(target)
    zeros = bytes(chunk * target.entry_value_size)
    for first in range(0, target.max_entries, chunk):
        indices = array("I", range(first, min(first + chunk, target.max_entries)))
        update(target, indices.tobytes(), zeros, 0)


def _update_singly(
    target: KeyedMap, keys: bytearray | bytes, values: bytearray | bytes, count: int, flags: int
) -> tuple[int, int]:
    """(entries stored, 0 or the errno of the one after them)."""
    key_size, value_size = target.key_size, target.entry_value_size
    call = ElementCall(target.fileno(), key_size, value_size)
    for index in range(count):
        call.key.raw = bytes(keys[index * key_size : (index + 1) * key_size])
        call.value.raw = bytes(values[index * value_size : (index + 1) * value_size])
        if error := call(Command.MAP_UPDATE_ELEM, flags):
            return index, error
    return count, 0


def _delete_one(target: KeyedMap, key: bytes) -> bool:
    error = -syscall.map_element(Command.MAP_DELETE_ELEM, target.fileno(), key=key)
    if error > 0 and error != errno.ENOENT:
        raise _delete_error(target, error, key)
    return error <= 0


def _delete_error(target: KeyedMap, error: int, key: bytes) -> OsmiaError:
    return element_error(target, Command.MAP_DELETE_ELEM, error, _decoded(target, key))


def _decoded(target: KeyedMap, key: bytes) -> object:
    return key if target.key_codec is None else target.key_codec.decode(key)
