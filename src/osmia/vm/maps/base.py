"""A map of the vm over bytes: the operations that everything typed is built on."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from osmia.errors import ClosedError
from osmia.object.uapi import MapType
from osmia.vm import layout
from osmia.vm.maps import build, lpm, ring
from osmia.vm.maps import hash as hash_map
from osmia.vm.maps.build import Definition

if TYPE_CHECKING:
    from osmia.vm.engine import Vm


class RawMap:
    """A map by its bytes. Results are what the native operation gave: 0, or an errno value
    as a negative number."""

    def __init__(self, vm: Vm, number: int, definition: Definition) -> None:
        self.vm = vm
        self.number = number
        self.definition = definition
        self.type = definition.type
        self.key_size = definition.key_size
        self.value_size = definition.value_size
        self.max_entries = definition.max_entries
        self.flags = definition.flags
        self._built = build.build(vm.memory, len(vm.cpus), number, definition)
        scratch = 2 * layout.MAP_HEADER_SIZE + definition.key_size + definition.stride
        self._arguments = vm.memory.control.allocate(scratch, 64)
        self._lock = threading.Lock()
        self.frozen = False
        self._closed = False

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self._closed or self.vm.closed:
            raise ClosedError("the map is closed")

    def in_use(self) -> threading.Lock:
        """The lock that every native operation of Python holds: none goes on meanwhile."""
        return self._lock

    def closed_copy(self) -> Self:
        """What is left to Python of a map that programs go on with."""
        with self._lock:
            left = copy.copy(self)
            left._closed = True
        return left

    @property
    def header(self) -> int:
        """The address of the map's header; ClosedError after `close`."""
        self.check_open()
        return self._built.header

    @property
    def _scratch(self) -> int:
        """Where keys and values are put for native functions; ClosedError after `close`: the
        memory may be somebody else's by then."""
        self.check_open()
        return self._arguments

    @property
    def handle(self) -> int:
        """What a program sees as this map's address."""
        return layout.MAP_HANDLE + (self.number << layout.MAP_HANDLE_SHIFT)

    @property
    def values_address(self) -> int:
        """The address of the first value."""
        self.check_open()
        return self._built.values

    @property
    def nodes_address(self) -> int:
        """The address of the first node or slot, in control memory."""
        self.check_open()
        return self._built.nodes

    @property
    def values_size(self) -> int:
        """Bytes of all values."""
        return self._built.values_size

    @property
    def cpus(self) -> int:
        """How many copies of each value there are, 1 where it is not per CPU."""
        return len(self.vm.cpus) if self.definition.per_cpu else 1

    def release(self) -> None:
        """Give the map's memory back; programs must not use it any more."""
        with self._lock:
            if not self._closed and not self.vm.closed:
                build.release(self.vm.memory, self._built)
                self.vm.memory.control.free(self._arguments)
            self._closed = True

    # Operations. Keys and values have exactly the map's sizes.

    def find(self, key: bytes, *, mark: bool = False) -> int:
        """The address of the value under a key (CPU 0's copy), or 0."""
        with self._lock:
            self.vm.memory.write(self._scratch, key)
            name = "map_lookup" if mark else "map_peek"
            return self.vm.natives.call(name, self.header, self._scratch, 0)

    def read(self, key: bytes, *, mark: bool = False) -> bytes | None:
        """The value under a key; of a per-CPU map all copies, each padded to 8 bytes."""
        address = self.find(key, mark=mark)
        return self.value_at(address) if address else None

    def value_at(self, address: int) -> bytes:
        """The value (or all copies of it) at an address."""
        if self.definition.per_cpu:
            return self.vm.memory.read(address, self.definition.stride * self.cpus)
        return self.vm.memory.read(address, self.value_size)

    def write(self, key: bytes, value: bytes, flags: int = 0) -> int:
        """Store a value, or all copies of a per-CPU one."""
        copies = [value]
        if self.definition.per_cpu:
            stride = self.definition.stride
            copies = [value[n * stride : (n + 1) * stride] for n in range(self.cpus)]
        where = self._scratch + -(-self.key_size // 8) * 8
        for cpu, one in enumerate(copies):
            with self._lock:
                self.vm.memory.write(self._scratch, key)
                self.vm.memory.write(where, one[: self.value_size])
                result = self._call("map_update", self._scratch, where, flags, cpu)
            if result:
                return result
            flags = 0
        return 0

    def remove(self, key: bytes) -> int:
        """Delete a key."""
        with self._lock:
            self.vm.memory.write(self._scratch, key)
            return self._call("map_delete", self._scratch)

    def push_bytes(self, value: bytes, flags: int = 0) -> int:
        """Push a value on a queue or stack, add it to a bloom filter."""
        with self._lock:
            self.vm.memory.write(self._scratch, value)
            return self._call("map_push", self._scratch, flags)

    def take_bytes(self, value: bytes = b"", *, remove: bool) -> tuple[int, bytes]:
        """Pop or peek; of a bloom filter, ask for `value`."""
        with self._lock:
            self.vm.memory.write(self._scratch, value)
            result = self._call("map_take", self._scratch, int(remove))
            return result, self.vm.memory.read(self._scratch, self.value_size)

    def _call(self, name: str, *arguments: int) -> int:
        result = self.vm.natives.call(name, self.header, *arguments)
        return result - (1 << 64) if result >> 63 else result

    # Iteration, without a lock: an entry that comes or goes meanwhile may or may not be seen.

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """Every key, and the address of its value."""
        match self.type:
            case _ if self.is_indexed:
                step = self.definition.stride * self.cpus
                for index in range(self.max_entries):
                    yield index.to_bytes(4, "little"), self.values_address + index * step
            case MapType.LPM_TRIE:
                yield from self._nodes(lpm.NODE_LIVE, lpm.NODE_PREFIX)
            case _:
                yield from self._nodes(hash_map.NODE_LIVE, hash_map.NODE_KEY)

    @property
    def is_indexed(self) -> bool:
        """Whether keys are indices of values that are always there."""
        return self.type in (
            MapType.ARRAY,
            MapType.PERCPU_ARRAY,
            MapType.ARRAY_OF_MAPS,
            MapType.DEVMAP,
            MapType.CPUMAP,
            MapType.XSKMAP,
        )

    def _nodes(self, live: int, key: int) -> Iterator[tuple[bytes, int]]:
        memory = self.vm.memory
        header = self.header
        stride = memory.load32(header + layout.MAP_NODE_STRIDE)
        count = memory.load32(header + layout.MAP_NODE_COUNT)
        fresh = memory.load32(header + layout.MAP_FRESH)
        step = self.definition.stride * self.cpus
        spare = range(self.max_entries, count)
        for number in [*range(min(fresh, count)), *(n for n in spare if n >= fresh)]:
            node = self._built.nodes + number * stride
            if memory.load8(node + live):
                yield memory.read(node + key, self.key_size), self.values_address + number * step

    def __len__(self) -> int:
        if self.is_indexed:
            return self.max_entries
        return self.vm.memory.load32(self.header + layout.MAP_COUNT)

    # Strict mode: what of the map's memory a program may touch now.

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        if self.type is MapType.RINGBUF:
            return self._forbids_record(address, size)
        if self.type is MapType.USER_RINGBUF:
            return self._forbids_sample(address, size)
        offset = address - self.values_address
        step = self.definition.stride
        number = offset // (step * self.cpus)
        if offset % step + size > self.value_size:
            return f"an access of {size} bytes at {offset % step} runs over a map value"
        if write and self.definition.flags & 128:
            return "a write to a map that is read-only for programs"
        if not self.is_indexed and not self._is_live(number):
            return "an access to a map value after its entry was deleted"
        return None

    def _is_live(self, number: int) -> bool:
        stride = self.vm.memory.load32(self.header + layout.MAP_NODE_STRIDE)
        live = lpm.NODE_LIVE if self.type is MapType.LPM_TRIE else hash_map.NODE_LIVE
        if self.type in (MapType.QUEUE, MapType.STACK):
            return False
        return bool(self.vm.memory.load8(self._built.nodes + number * stride + live))

    def _forbids_record(self, address: int, size: int) -> str | None:
        memory, mask = self.vm.memory, self.max_entries - 1
        position = memory.load64(self._built.nodes + ring.CONSUMER)
        end = memory.load64(self._built.nodes + ring.PRODUCER)
        while position < end:
            record = self.values_address + (position & mask)
            header = memory.load32(record)
            length = header & ~(ring.BUSY | ring.DISCARD)
            start = record + ring.HEADER_SIZE
            if start <= address < start + length:
                if not header & ring.BUSY:
                    return "an access to a ring buffer record after it was submitted"
                return None if address + size <= start + length else "runs over the record"
            position += (length + ring.HEADER_SIZE + 7) // 8 * 8
        return "an access to a ring buffer outside of a reservation"

    def _forbids_sample(self, address: int, size: int) -> str | None:
        """Of a user ring buffer, programs see the record that they are called back with."""
        memory = self.vm.memory
        position = memory.load64(self._built.nodes + ring.CONSUMER) & (self.max_entries - 1)
        record = self.values_address + position
        start = record + ring.HEADER_SIZE
        if start <= address and address + size <= start + memory.load32(record):
            return None
        return "an access to a user ring buffer outside of the record"
