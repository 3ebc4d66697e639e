"""`KernelMap`: a map in the kernel by its bytes, behind its descriptor."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from osmia.engine.maps.errors import Operation
from osmia.engine.maps.info import MapInfo
from osmia.engine.raw_map import ARRAYS, UNSUPPORTED, RawMap
from osmia.errors import CodecError, NotSupportedError
from osmia.kernel.maps import batches
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.memory import map_memory
from osmia.kernel.sys import syscall
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.syscall import Command, ElementCall
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.events import EventCodec, EventSource, UserRingBuffer
    from osmia.events.user_ring_buffer import RecordCodec

_LOOKUP = int(Command.MAP_LOOKUP_ELEM)
_UPDATE = int(Command.MAP_UPDATE_ELEM)
_TAKE = int(Command.MAP_LOOKUP_AND_DELETE_ELEM)
_NEXT_KEY = int(Command.MAP_GET_NEXT_KEY)


def descriptor_of(value: Any) -> int:
    """The descriptor of something with a `fileno()`; CodecError where it has none."""
    if not hasattr(value, "fileno"):
        kind = type(value).__name__
        raise CodecError(f"something with a fileno() is needed, not {kind} {value!r:.80}")
    try:
        number: int = value.fileno()
    except NotSupportedError as error:  # another engine's
        raise CodecError(f"something of the kernel is needed: {error}") from None
    return number


class KernelMap(RawMap):
    """Owns its descriptor. Safe to use from several threads."""

    engine = "kernel"

    def __init__(self, fd: FileDescriptor, info: MapInfo, name: str = "") -> None:
        self.name = name or info.name
        self.id, self.type, self.flags = info.id, info.type, info.flags
        self.key_size, self.value_size = info.key_size, info.value_size
        self.max_entries = info.max_entries
        self.cpus = possible_cpus() if info.is_per_cpu else 0
        slot = -(-info.value_size // 8) * 8
        self.entry_value_size = slot * self.cpus if self.cpus else info.value_size
        self._fd = fd
        fd.what = f"map {self.name!r}"
        # Prepared calls that nobody uses now: list.pop and append are atomic. And all of them.
        self._calls: list[ElementCall] = []
        self._walks: list[ElementCall] = []
        self._made: list[ElementCall] = []
        self._closing = False

    @property
    def closed(self) -> bool:
        return self._fd.closed

    @property
    def info(self) -> MapInfo:
        return read_info(self.fileno())

    def check_open(self) -> None:
        self._fd.fileno()

    def fileno(self) -> int:
        return self._fd.fileno()

    def close(self) -> None:
        # The descriptor's number is soon somebody else's: no prepared call may still have it,
        # also none that another thread is about to make.
        self._closing = True
        self._calls, self._walks = [], []
        for call in list(self._made):
            call.disable()
        self._fd.close()

    def freeze(self) -> None:
        syscall.map_freeze(self.fileno(), what=f"freeze map {self.name!r}")

    def pin(self, path: str | os.PathLike[str]) -> None:
        from osmia.kernel.sys import pins

        pins.pin(self.fileno(), path, what=f"map {self.name!r}")

    def unpin(self, path: str | os.PathLike[str]) -> None:
        from osmia.kernel.sys import pins

        pins.unpin(path)

    # One entry. The hot path: nothing is prepared twice.

    def lookup(self, key: bytes) -> bytes | int:
        calls = self._calls
        try:
            call = calls.pop()
        except IndexError:
            call = self._new_call(self.key_size, self.entry_value_size)
        call.key.raw = key
        failed = call.lookup() and call.failure()
        value: bytes = call.value.raw
        calls.append(call)
        return failed or value

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        calls = self._calls
        try:
            call = calls.pop()
        except IndexError:
            call = self._new_call(self.key_size, self.entry_value_size)
        call.key.raw = key
        call.value.raw = value
        if flags:
            failed = call(_UPDATE, flags)
        else:
            failed = call.update() and call.failure()
        calls.append(call)
        return failed

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        if mark:
            what = "lookups through bpf(2) never count as a use"
            raise NotSupportedError(f"map {self.name!r}: {what}; those of programs do")
        return self._fetch(_LOOKUP, key, flags)

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        return self._fetch(_TAKE, key, flags)

    def delete(self, key: bytes) -> int:
        return -syscall.map_element(Command.MAP_DELETE_ELEM, self.fileno(), key=key)

    def next_key(self, key: bytes | None) -> bytes | int | None:
        size = self.key_size
        if key is None:
            call = self._new_call(0, size)
            failed, found = call(_NEXT_KEY), call.value.raw
            self._made.remove(call)
        else:
            walks = self._walks
            call = walks.pop() if walks else self._new_call(size, size)
            call.key.raw = key
            failed, found = call(_NEXT_KEY), call.value.raw
            walks.append(call)
        return None if failed == errno.ENOENT else failed or found

    def _fetch(self, command: int, key: bytes, flags: int) -> bytes | int:
        calls = self._calls
        call = calls.pop() if calls else self._new_call(self.key_size, self.entry_value_size)
        call.key.raw = key
        failed = call(command, flags)
        value: bytes = call.value.raw
        calls.append(call)
        return failed or value

    def _new_call(self, key_size: int, value_size: int) -> ElementCall:
        call = ElementCall(self.fileno(), key_size, value_size)
        self._made.append(call)
        if self._closing:  # looked at last: what `close` did not see in the list sees this
            call.disable()
        return call

    # Values without keys.

    def push(self, value: bytes, flags: int = 0) -> int:
        return self._operate(Command.MAP_UPDATE_ELEM, bytearray(value), flags)

    def pop(self) -> bytes | int:
        return self._get(Command.MAP_LOOKUP_AND_DELETE_ELEM)

    def peek(self) -> bytes | int:
        return self._get(Command.MAP_LOOKUP_ELEM)

    def has(self, value: bytes) -> int:
        return self._operate(Command.MAP_LOOKUP_ELEM, bytearray(value))

    def _get(self, command: Command) -> bytes | int:
        value = bytearray(self.value_size)
        return self._operate(command, value) or bytes(value)

    def _operate(self, command: Command, value: bytearray, flags: int = 0) -> int:
        return -syscall.map_element(command, self.fileno(), value=value, flags=flags)

    # Many entries.

    def read(
        self, *, take: bool = False
    ) -> Iterator[tuple[bytes | memoryview, bytes | memoryview]]:
        reader = batches.start(self, take=take)
        if reader is None:
            yield from super().read(take=take)
            return
        for count in reader:
            yield reader.keys_of(count), reader.values_of(count)

    def update_many(self, keys: bytes, values: bytes, flags: int = 0) -> tuple[int, int]:
        stored, error = batches.update(self, keys, values, flags)
        if batches.unsupported(stored, error):
            return super().update_many(keys, values, flags)
        return stored, error

    def delete_many(self, keys: bytes) -> tuple[int, int, int]:
        deleted, error, at = batches.delete(self, keys)
        if error not in UNSUPPORTED:
            return deleted, error, at
        more, error, further = super().delete_many(keys[at:])
        return deleted + more, error, at + further

    def clear(self) -> int:
        taker = None if self.type in ARRAYS else batches.start(self, take=True)
        if taker is None:
            return super().clear()
        for _ in taker:
            pass
        return 0

    # Values that stand for other things.

    def reference(self, value: Any) -> bytes:
        return descriptor_of(value).to_bytes(self.value_size, sys.byteorder)

    def opened(self, number: int) -> Any:
        if self.type == MapType.PROG_ARRAY:
            from osmia.kernel.programs.program import KernelProgram

            return KernelProgram.from_id(number)
        from osmia.kernel.maps.opening import map_from_id  # it imports this module

        return map_from_id(number)

    # What only some maps have.

    def memory(self, *, writable: bool = True) -> memoryview:
        size, address, what = self.max_entries * mmap.PAGESIZE, 0, f"arena {self.name!r}"
        if self.type == MapType.ARENA:
            address = self.info.map_extra
        else:
            size, what = -(-self.value_size // 8) * 8 * self.max_entries, f"map {self.name!r}"
        return map_memory(self.fileno(), size, writable=writable, address=address, what=what)

    def events(self, codec: EventCodec | None, *, pages: int | None = None) -> EventSource[Any]:
        if self.type == MapType.PERF_EVENT_ARRAY:
            from osmia.kernel.maps.perf import open_perf_buffer

            return open_perf_buffer(self, codec, pages)
        from osmia.events import RingBuffer

        return RingBuffer(self.fileno(), self.max_entries, codec=codec, name=self.name)

    def records(self, codec: RecordCodec | None) -> UserRingBuffer:
        from osmia.events import UserRingBuffer  # once, for maps that are really used

        return UserRingBuffer(self.fileno(), self.max_entries, codec=codec, name=self.name)

    def hint(self, operation: Operation, error: int) -> str:
        if error not in (errno.EPERM, errno.EACCES):
            return ""
        mode = fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_RDONLY:
            return "it was opened read-only (BPF_F_RDONLY)"
        if mode == os.O_WRONLY:
            return "it was opened write-only (BPF_F_WRONLY)"
        if self.info.frozen:
            return "the map is frozen"
        from osmia.kernel.sys.privileges import Capability, permission_hint

        return permission_hint((Capability.CAP_BPF,))
