"""Many entries of a map at a time: batch commands, where the kernel has them.

Batch commands (since 5.6) walk a hash bucket by bucket under the bucket's lock: no entry
is seen twice, and a concurrent delete never makes them start again.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osmia.engine.maps.errors import Operation, element_error
from osmia.engine.raw_map import UNSUPPORTED
from osmia.kernel.sys import syscall
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.kernel.maps.raw import KernelMap

_OPERATIONS = {
    Command.MAP_LOOKUP_BATCH: Operation.READ,
    Command.MAP_LOOKUP_AND_DELETE_BATCH: Operation.TAKE,
}

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


def start(source: KernelMap, *, take: bool = False) -> BatchReader | None:
    """A reader, or taker, of all entries; None where the kernel has no batches."""
    if source.type not in BATCH_TYPES:
        return None
    entry = source.key_size + source.entry_value_size
    entries = max(1, min(CHUNK_ENTRIES, source.max_entries, CHUNK_BYTES // entry))
    command = Command.MAP_LOOKUP_AND_DELETE_BATCH if take else Command.MAP_LOOKUP_BATCH
    reader = BatchReader(source, entries, command)
    return reader if reader.supported else None


class BatchReader:
    """BPF_MAP_LOOKUP_BATCH, or BPF_MAP_LOOKUP_AND_DELETE_BATCH, over a whole map; iterating
    gives how many entries a step got.

    The entries of a step are in the buffers until the next one. The first step is made at
    construction: `supported` is False where the kernel knows no batches for this map.
    """

    def __init__(
        self,
        source: KernelMap,
        entries: int,
        command: Command,
    ) -> None:
        self._source = source
        self._command = command
        self._operation = _OPERATIONS[command]
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
                raise element_error(self._source, self._operation, error)
            if count:
                yield count
            if error == errno.ENOSPC:
                # The next bucket holds more than all the room there is.
                self._resize(2 * self._entries)
            elif error or not count:
                return
            self._count, self._error = self._step()

    def keys_of(self, count: int) -> memoryview:
        """The step's keys, still encoded."""
        return memoryview(self.keys).cast("B")[: count * self._key_size]

    def values_of(self, count: int) -> memoryview:
        """The step's values, still encoded."""
        return memoryview(self.values).cast("B")[: count * self._value_size]

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


def unsupported(done: int, error: int) -> bool:
    """Whether a batch command was refused as such, before any entry."""
    return error in UNSUPPORTED and not done


def update(target: KernelMap, keys: bytes, values: bytes, flags: int) -> tuple[int, int]:
    """BPF_MAP_UPDATE_BATCH: how many entries are stored, 0 or the errno of the one after them."""
    if target.type not in BATCH_TYPES:
        return 0, errno.EOPNOTSUPP
    return syscall.map_batch(
        Command.MAP_UPDATE_BATCH,
        target.fileno(),
        keys=keys,
        values=values,
        count=len(keys) // target.key_size,
        element_flags=flags,
    )


def delete(target: KernelMap, keys: bytes) -> tuple[int, int, int]:
    """BPF_MAP_DELETE_BATCH as often as it takes: how many keys were there, 0 and the end, or the
    errno and the position of the key that it is about."""
    size, deleted, position = target.key_size, 0, 0
    start = syscall.address_of(keys)
    while position < len(keys):
        if target.type not in BATCH_TYPES:
            return deleted, errno.EOPNOTSUPP, position
        done, error = syscall.map_batch(
            Command.MAP_DELETE_BATCH,
            target.fileno(),
            keys=start + position,
            values=None,
            count=(len(keys) - position) // size,
        )
        deleted += done
        position += done * size
        if error == errno.ENOENT:
            position += size  # the key that was not there
        elif error:
            return deleted, error, position
    return deleted, 0, position
