"""`VmMap`: what Python holds of a map of a vm, by its bytes."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Callable, Iterator

from osmia.engine.raw_map import ARRAYS, Packed, RawMap
from osmia.errors import BpfPermissionError, ClosedError, KernelError
from osmia.object.uapi import ElementFlag, MapFlag, MapType
from osmia.vm.maps.body import SPARSE, Arguments, MapBody

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Self

    from osmia.engine.maps import Map
    from osmia.engine.maps.errors import Operation
    from osmia.engine.maps.info import MapInfo
    from osmia.errors import OsmiaError
    from osmia.values import Codec
    from osmia.vm.engine import Vm

CHUNK_ENTRIES = 16384
CHUNK_BYTES = 4 << 20
_SLOTS = (MapType.PROG_ARRAY, MapType.PERF_EVENT_ARRAY)
_HASHES = (MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH, MapType.LRU_PERCPU_HASH)


class VmMap(RawMap):
    """A handle on a map: it ends with `close`, while programs go on with the map itself.

    Lookups from here leave no trace: an entry of an LRU map counts as used only by what
    programs do, unless `lookup_with(…, mark=True)` says otherwise. `access` may be
    MapFlag.RDONLY or WRONLY: as in the kernel that is the handle's, not the map's.
    """

    engine = "vm"

    def __init__(self, body: MapBody, access: MapFlag) -> None:
        self.body = body
        self.vm: Vm = body.vm
        self.name, self.id, self.type, self.flags = body.name, body.number, body.type, body.flags
        self.key_size, self.value_size = body.key_size, body.value_size
        self.max_entries, self.cpus = body.max_entries, body.cpus
        self.entry_value_size = body.step if body.cpus else body.value_size
        self._closed = False
        self._face: Map | None = None
        self.make_face: Callable[[VmMap], Map] = VmMap.typed
        """What makes the face when it is asked for."""
        self._lock = body.lock
        self._memory, self._natives = body.vm.memory, body.vm.natives
        self._value = body.arguments + -(-body.key_size // 8) * 8
        self._access = access
        self._readable = MapFlag.WRONLY not in access
        self._unwritable = MapFlag.RDONLY in access

    def typed(self, key_codec: Codec | None = None, value_codec: Codec | None = None) -> Map:
        """A typed map over this handle; CodecError for a codec of another size."""
        from osmia.engine.maps import Map

        return Map.class_for(self.type)(self, key_codec, value_codec)

    @property
    def face(self) -> Map:
        """The typed map over this handle, the same each time; made when it is first asked for."""
        with self.vm.lock:
            if self._face is None:
                self._face = self.make_face(self)
            return self._face

    @face.setter
    def face(self, made: Map) -> None:
        self._face = made

    @property
    def closed(self) -> bool:
        return self._closed or self.body.released

    def check_open(self) -> None:
        if self._closed or self.body.released:
            what = "the vm" if self.vm.closed else f"map {self.name!r}"
            raise ClosedError(f"{what} is closed")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.vm.forget_map(self)

    def another(self) -> Self:
        """Another handle on the map, with the same access and an end of its own."""
        with self.vm.lock:
            self.check_open()
            handle = type(self)(self.body, self._access)
            self.body.handles.add(handle)
        return handle

    @property
    def info(self) -> MapInfo:
        from osmia.engine.maps.info import MapInfo

        self.check_open()
        body = self.body
        return MapInfo(
            id=self.id,
            type=self.type,
            name=self.name,
            key_size=self.key_size,
            value_size=self.value_size,
            max_entries=self.max_entries,
            flags=self.flags,
            map_extra=body.definition.map_extra,
            frozen=body.frozen,
            owner_prog_type=body.owner[0] if body.owner else None,
        )

    def freeze(self) -> None:
        with self._lock:
            self.check_open()
            if error := self._unchangeable():
                hint = self._why_not(error)
                raise BpfPermissionError(error, f"freeze map {self.name!r}", hint=hint)
            if self.body.is_mapped:
                hint = "it is mapped writable"
                raise KernelError(errno.EBUSY, f"freeze map {self.name!r}", hint=hint)
            self.body.frozen = True

    # Where the map is, for who looks at it beside the programs. ClosedError after `close`: the
    # memory may be somebody else's by then.

    @property
    def header(self) -> int:
        """The address of the map's header."""
        self.check_open()
        return self.body.header

    @property
    def values_address(self) -> int:
        """The address of the first value."""
        self.check_open()
        return self.body.values_address

    def slot(self, index: int) -> int:
        """The address of a prog array's slot."""
        self.check_open()
        return self.body.slot(index)

    # One entry.

    def lookup(self, key: bytes) -> bytes | int:
        return self._read("map_peek", key)

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        if flags and self._refuses(flags):
            return errno.EINVAL
        return self._read("map_lookup" if mark else "map_peek", key)

    def address_of(self, key: bytes) -> int | None:
        """Where in the vm's memory the value of an entry is; None without such an entry."""
        self.check_open()
        with self._lock, Arguments(self.body):
            self._memory.write(self.body.arguments, key)
            return self._natives.call("map_peek", self.body.header, self.body.arguments, 0) or None

    def _read(self, native: str, key: bytes) -> bytes | int:
        body = self.body
        with self._lock:
            if self._closed or body.released:
                self.check_open()
            if not self._readable:
                return errno.EPERM
            # `Arguments` by hand: lookups are many.
            saved = self._memory.read(body.arguments, body.arguments_size) if body.busy else b""
            body.busy = True
            try:
                self._memory.write(body.arguments, key)
                address = self._natives.call(native, body.header, body.arguments, 0)
                if not address:
                    return errno.ENOENT
                return self._memory.read(address, self.entry_value_size)
            finally:
                if saved:
                    self._memory.write(body.arguments, saved)
                body.busy = bool(saved)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        stride = self.body.definition.stride
        without_lock = flags & ElementFlag.LOCK and self.body.definition.lock_offset is None
        for cpu in range(self.body.copies):
            with self._lock:
                if error := self._unchangeable() or (without_lock and errno.EINVAL):
                    return error
                one = value[cpu * stride : cpu * stride + self.value_size]
                with Arguments(self.body):
                    self._memory.write(self.body.arguments, key)
                    self._memory.write(self._value, one)
                    error = self._call("map_update", self.body.arguments, self._value, flags, cpu)
            if error:
                return error
            flags = 0
        return 0

    def delete(self, key: bytes) -> int:
        with self._lock:
            if error := self._unchangeable():
                return error
            with Arguments(self.body):
                self._memory.write(self.body.arguments, key)
                return self._call("map_delete", self.body.arguments)

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        self.check_open()
        if flags and self._refuses(flags):
            return errno.EINVAL
        if self.type not in _HASHES:
            return errno.EOPNOTSUPP
        with self._lock:
            if error := self._unchangeable() or (not self._readable and errno.EPERM):
                return error
            with Arguments(self.body):
                self._memory.write(self.body.arguments, key)
                failed = self._call("map_extract", self.body.arguments, self._value)
                return failed or self._memory.read(self._value, self.entry_value_size)

    def next_key(self, key: bytes | None) -> bytes | int | None:
        with self._lock:
            self.check_open()
            if not self._readable:
                return errno.EPERM
            if self.body.is_indexed or self.type in _SLOTS:
                index = -1 if key is None else int.from_bytes(key, "little")
                index = index + 1 if index < self.max_entries else 0
                return index.to_bytes(4, "little") if index < self.max_entries else None
            with Arguments(self.body):
                return self._node_after(key)

    def _node_after(self, key: bytes | None) -> bytes | None:
        body, memory = self.body, self._memory
        live, at, stride = body.node_layout()
        last = -1
        if key is not None:
            memory.write(body.arguments, key)
            address = self._natives.call("map_peek", body.header, body.arguments, 0)
            found = (address - body.values_address) // body.step
            node = body.nodes_address + found * stride
            if address and memory.read(node + at, self.key_size) == key:
                last = found  # else it is gone, or a trie has a shorter one
        for number in body.node_numbers():
            node = body.nodes_address + number * stride
            if number > last and memory.load8(node + live):
                return memory.read(node + at, self.key_size)
        return None

    # Values without keys.

    def push(self, value: bytes, flags: int = 0) -> int:
        with self._lock:
            if error := self._unchangeable():
                return error
            with Arguments(self.body):
                self._memory.write(self.body.arguments, value)
                return self._call("map_push", self.body.arguments, flags)

    def pop(self) -> bytes | int:
        with self._lock:
            return self._unchangeable() or self._next(b"", 1)

    def peek(self) -> bytes | int:
        with self._lock:
            return self._next(b"", 0)

    def has(self, value: bytes) -> int:
        with self._lock:
            found = self._next(value, 0)
            return found if isinstance(found, int) else 0

    def _next(self, value: bytes, remove: int) -> bytes | int:
        self.check_open()
        if not self._readable:
            return errno.EPERM
        with Arguments(self.body):
            self._memory.write(self.body.arguments, value)
            failed = self._call("map_take", self.body.arguments, remove)
            return failed or self._memory.read(self.body.arguments, self.value_size)

    # Many entries.

    def count(self) -> int:
        with self._lock:
            self.check_open()
            if self._readable:
                return self.body.count()
        raise self._failed("READ", errno.EPERM)

    def read(self, *, take: bool = False) -> Iterator[tuple[Packed, Packed]]:
        self.check_open()
        if not self._readable:
            raise self._failed("READ", errno.EPERM)
        if take and (error := self._unchangeable()):
            raise self._failed("TAKE", error)
        for keys, values in self._chunks():
            yield self._taken(keys) if take else (keys, values)

    def _taken(self, keys: bytes) -> tuple[bytes, bytes]:
        taken = []
        for at in range(0, len(keys), self.key_size):
            key = keys[at : at + self.key_size]
            value = self.take_out(key)
            if not isinstance(value, int):
                taken.append((key, value))
            elif value != errno.ENOENT:
                raise self._failed("TAKE", value)
        return b"".join(key for key, _ in taken), b"".join(value for _, value in taken)

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        body = self.body
        chunk = max(1, min(CHUNK_ENTRIES, CHUNK_BYTES // (self.key_size + body.step)))
        ranges = [range(self.max_entries)] if body.is_indexed else body.node_ranges()
        for numbers in ranges:
            for first in range(numbers.start, numbers.stop, chunk):
                with self._lock:
                    self.check_open()
                    some = range(first, min(first + chunk, numbers.stop))
                    found = self._indexed(some) if body.is_indexed else self._nodes(some)
                yield found

    def _indexed(self, numbers: range) -> tuple[bytes, bytes]:
        """The entries of an array that have these numbers."""
        values = self._values_of(numbers)
        if self.type not in SPARSE:
            return array("I", numbers).tobytes(), b"".join(values)
        live = [(n, value) for n, value in zip(numbers, values, strict=True) if any(value)]
        return array("I", [n for n, _ in live]).tobytes(), b"".join(value for _, value in live)

    def _nodes(self, numbers: range) -> tuple[bytes, bytes]:
        """The entries in nodes that have these numbers."""
        live, key, stride = self.body.node_layout()
        first = self.body.nodes_address + numbers.start * stride
        nodes = self._memory.read(first, len(numbers) * stride)
        values = self._values_of(numbers)
        used = [at for at, flag in enumerate(nodes[live::stride]) if flag]
        keys = (nodes[at * stride + key : at * stride + key + self.key_size] for at in used)
        return b"".join(keys), b"".join([values[at] for at in used])

    def _values_of(self, numbers: range) -> list[bytes]:
        step, size = self.body.step, self.entry_value_size
        first = self.body.values_address + numbers.start * step
        data = self._memory.read(first, len(numbers) * step)
        return [data[at : at + size] for at in range(0, len(data), step)]

    def clear(self) -> int:
        if self.type not in ARRAYS:
            return self._unchangeable() or super().clear()
        with self._lock:
            if error := self._unchangeable():
                return error
            self._memory.zero(self.body.values_address, self.body.values_size)
        return 0

    def memory(self, *, writable: bool = True) -> memoryview:
        """The values; release the view before the vm is closed."""
        with self._lock:
            self.check_open()
            what = f"map map {self.name!r} into memory"
            if not self._readable or (writable and (self._unwritable or self.body.frozen)):
                error = errno.EPERM if self.body.frozen else errno.EACCES
                hint = self._why_not(errno.EPERM)
                raise BpfPermissionError(error, what, hint=hint)
            size = self.body.values_size
            values = self._memory.slice(self.body.values_address, size)
            if not writable:
                return values.toreadonly()
            import ctypes
            from weakref import ref

            owner = (ctypes.c_char * size).from_buffer(values)  # lives as long as any view
            self.body.views.append(ref(owner))
            return memoryview(owner).cast("B")

    def memory_address(self, view: memoryview) -> int:
        return self.body.values_address

    def hint(self, operation: Operation, error: int) -> str:
        return self._why_not(error)

    def _failed(self, operation: str, error: int) -> OsmiaError:
        """The error for an errno of an operation, by its name."""
        from osmia.engine.maps.errors import Operation, element_error  # which no start needs

        return element_error(self, Operation[operation], error)

    def _why_not(self, error: int) -> str:
        """See `hint`: whatever was attempted."""
        if error != errno.EPERM:
            return ""
        if self._unwritable:
            return "it was opened read-only (BPF_F_RDONLY)"
        if not self._readable:
            return "it was opened write-only (BPF_F_WRONLY)"
        return "the map is frozen" if self.body.frozen else ""

    def _unchangeable(self) -> int:
        """0, or why nothing may be changed from here. ClosedError after `close`."""
        if self._closed or self.body.released:
            self.check_open()
        return errno.EPERM if self._unwritable or self.body.frozen else 0

    def _refuses(self, flags: int) -> bool:
        """Whether there is no such flag for a lookup; that for a lock needs one."""
        without_lock = self.body.definition.lock_offset is None
        return bool(flags & ~int(ElementFlag.LOCK)) or without_lock

    def _call(self, name: str, *arguments: int) -> int:
        """A native operation: 0 or the errno. Under the lock."""
        result = self._natives.call(name, self.body.header, *arguments)
        return (1 << 64) - result if result >> 63 else result
