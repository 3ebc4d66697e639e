"""A map of a vm as the vm and its programs have it: memory, live until nothing names it."""

from __future__ import annotations

from _weakref import ref
from _weakrefset import WeakSet  # all of `weakref` is dear
from collections.abc import Iterator

from osmia.errors import RelocationError
from osmia.locks import Order, at_fork, held_here, make_lock
from osmia.object.uapi import MapFlag, MapType
from osmia.vm import layout
from osmia.vm.maps import build, lpm, ring, slots
from osmia.vm.maps import hash as hash_map
from osmia.vm.maps.build import PAGE, Definition
from osmia.vm.maps.events import EventQueue

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.vm.engine import Vm

#: Keys are indices of values that are always there.
INDEXED = frozenset(
    {
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.DEVMAP,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.CGROUP_ARRAY,
        MapType.SOCKMAP,
        MapType.REUSEPORT_SOCKARRAY,
    }
)
#: Of those, the ones where zero says that there is no entry.
SPARSE = INDEXED - {MapType.ARRAY, MapType.PERCPU_ARRAY}
OUTER = frozenset({MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS})


class Arguments:
    """A map's `arguments` for one operation, under the lock: what is in them of an operation that
    a signal came into is there again afterwards."""

    __slots__ = ("_body", "_saved")

    def __init__(self, body: MapBody) -> None:
        self._body = body
        self._saved = b""

    def __enter__(self) -> None:
        body = self._body
        if body.busy:
            self._saved = body.vm.memory.read(body.arguments, body.arguments_size)
        body.busy = True

    def __exit__(self, *_: object) -> None:
        body = self._body
        if self._saved and not body.vm.closed:
            body.vm.memory.write(body.arguments, self._saved)
        body.busy = bool(self._saved)


class MapBody:
    """A map's place in the vm's memory, and what is kept about it that programs do not see.

    What Python holds of it are handles (`osmia.vm.maps.raw.VmMap`), each with its own end.
    """

    def __init__(self, vm: Vm, number: int, name: str, definition: Definition) -> None:
        self.vm = vm
        self.number = number
        self.name = name
        self.definition = definition
        self.type = definition.type
        self.key_size = definition.key_size
        self.value_size = definition.value_size
        self.max_entries = definition.max_entries
        self.flags = MapFlag(definition.flags)
        self.copies = len(vm.cpus) if definition.per_cpu else 1
        self.cpus = len(vm.cpus) if definition.per_cpu else 0
        self.is_indexed = definition.type in INDEXED
        self._built = build.build(vm.memory, len(vm.cpus), number, definition)
        self.header = self._built.header
        self.values_address = self._built.values
        """The address of the first value."""
        self.values_size = self._built.values_size
        """Bytes of all values."""
        self.nodes_address = self._built.nodes
        """The address of the first node or slot, in control memory."""
        self.step = definition.stride * self.copies
        """Bytes of all copies of a value."""
        # Where keys and values are put for native functions.
        self.arguments_size = 2 * layout.MAP_HEADER_SIZE + definition.key_size + self.step
        self.arguments = vm.memory.control.allocate(self.arguments_size, 64)
        self.lock = make_lock(Order.MAP)
        """What every native operation of Python holds: no other thread's goes on meanwhile. One of
        a signal handler may, in the middle of its own thread's; see `Arguments`."""
        self.busy = False
        """Whether an operation has its key or value in `arguments`."""
        at_fork(self)
        self.released = False
        self.frozen = False
        self.handles: WeakSet[Any] = WeakSet()
        """Those that keep the map, beside the one that made it."""
        self.views: list[ref[Any]] = []
        """Writable views of its memory that were given out."""
        self.readers: WeakSet[Any] = WeakSet()
        """What has views of its memory until it is closed."""
        self.owner: tuple[Any, ...] | None = None
        """Of a prog array: the type, attach type and return type of its programs."""
        self.template: Definition | None = None
        """Of a map of maps: what inner maps must agree with, once one is known."""
        self.stacks: dict[int, bytes] = {}
        """Of a map of stacks: each by its number."""
        self.queue = EventQueue() if definition.type is MapType.PERF_EVENT_ARRAY else None

    def before_fork(self) -> None:
        """The lock is taken."""

    def after_fork(self, child: bool) -> None:
        """In a child no operation of another thread goes on."""
        if child and not held_here(self.lock):
            self.busy = False

    @property
    def memory_blocks(self) -> tuple[int, ...]:
        """The addresses of the blocks that it has of the vm's memory."""
        return self._built.region_blocks + self._built.control_blocks

    @property
    def handle(self) -> int:
        """What a program sees as this map's address."""
        return layout.MAP_HANDLE + (self.number << layout.MAP_HANDLE_SHIFT)

    @property
    def is_mapped(self) -> bool:
        """Whether somebody has a writable view of the memory."""
        self.views = [view for view in self.views if view() is not None]
        return bool(self.views)

    def release(self) -> None:
        """Give the map's memory back; programs must not use it any more."""
        with self.lock:
            if not self.released and not self.vm.closed:
                build.release(self.vm.memory, self._built)
                self.vm.memory.control.free(self.arguments)
            self.released = True

    def let_go(self) -> None:
        """The vm's memory is about to go: close what has views of it. Under the lock."""
        self.released = True
        for reader in list(self.readers):
            reader.close()

    # Iteration, without a lock: an entry that comes or goes meanwhile may or may not be seen.

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """Every key, and the address of its value."""
        if self.is_indexed:
            for index in range(self.max_entries):
                yield index.to_bytes(4, "little"), self.values_address + index * self.step
            return
        memory, (live, key, stride) = self.vm.memory, self.node_layout()
        for number in self.node_numbers():
            node = self.nodes_address + number * stride
            if memory.load8(node + live):
                address = self.values_address + number * self.step
                yield memory.read(node + key, self.key_size), address

    def node_layout(self) -> tuple[int, int, int]:
        """Where in a node is whether it lives, where its key, and bytes from one to the next."""
        stride = self.vm.memory.load32(self.header + layout.MAP_NODE_STRIDE)
        if self.type is MapType.LPM_TRIE:
            return lpm.NODE_LIVE, lpm.NODE_PREFIX, stride
        return hash_map.NODE_LIVE, hash_map.NODE_KEY, stride

    def node_ranges(self) -> list[range]:
        """The numbers of nodes that were ever used."""
        count = self.vm.memory.load32(self.header + layout.MAP_NODE_COUNT)
        fresh = min(self.vm.memory.load32(self.header + layout.MAP_FRESH), count)
        return [range(fresh), range(max(fresh, min(self.max_entries, count)), count)]

    def node_numbers(self) -> Iterator[int]:
        """The numbers of nodes that were ever used, one by one."""
        for numbers in self.node_ranges():
            yield from numbers

    def fill_pages(self, contents: bytes | bytearray) -> None:
        """Put the values of variables to the start of an arena. RelocationError where they are
        too many."""
        size = self.max_entries * PAGE
        if len(contents) > size:
            what = f"variables of {len(contents)} bytes do not fit in arena"
            raise RelocationError(f"{what} {self.name!r}, which has {size}")
        self.vm.memory.write(self.values_address, contents)
        self.vm.memory.write(self.nodes_address, b"\1" * -(-len(contents) // PAGE))

    def numbers(self) -> set[int]:
        """The numbers of the maps in a map of maps, of the programs in a prog array."""
        memory = self.vm.memory
        if self.type is MapType.PROG_ARRAY:
            found = {self.program_number(index) for index in range(self.max_entries)}
        else:
            found = {memory.load32(where) for _, where in self.entries()}
        return found - {0}

    def slot(self, index: int) -> int:
        """The address of a prog array's slot."""
        return self.nodes_address + index * slots.SLOT_SIZE

    def program_number(self, index: int) -> int:
        """The number of the program in a slot, or 0."""
        return self.vm.memory.load64(self.slot(index) + slots.SLOT_PROGRAM)

    def count(self) -> int:
        """How many entries there are."""
        if self.type is MapType.PROG_ARRAY:
            return sum(1 for index in range(self.max_entries) if self.program_number(index))
        if self.type in SPARSE:
            return sum(1 for _, where in self.entries() if self.vm.memory.load32(where))
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
        if self.type is MapType.ARENA:
            return self._forbids_pages(address, size)
        offset = address - self.values_address
        step = self.definition.stride
        number = offset // self.step
        if offset % step + size > self.value_size:
            return f"an access of {size} bytes at {offset % step} runs over a map value"
        if write and self.flags & MapFlag.RDONLY_PROG:
            return "a write to a map that is read-only for programs"
        if not self.is_indexed and not self._is_live(number):
            return "an access to a map value after its entry was deleted"
        return None

    def _forbids_pages(self, address: int, size: int) -> str | None:
        first, last = (
            (at - self.values_address) // PAGE for at in (address, address + max(size, 1) - 1)
        )
        states = self.vm.memory.read(self.nodes_address + first, last + 1 - first)
        if last < self.max_entries and all(state == 1 for state in states):
            return None
        return "an access to a page of an arena that is not allocated"

    def _is_live(self, number: int) -> bool:
        stride = self.vm.memory.load32(self.header + layout.MAP_NODE_STRIDE)
        live = lpm.NODE_LIVE if self.type is MapType.LPM_TRIE else hash_map.NODE_LIVE
        if self.type in (MapType.QUEUE, MapType.STACK):
            return False
        return bool(self.vm.memory.load8(self.nodes_address + number * stride + live))

    def _forbids_record(self, address: int, size: int) -> str | None:
        memory, mask = self.vm.memory, self.max_entries - 1
        position = memory.load64(self.nodes_address + ring.CONSUMER)
        end = memory.load64(self.nodes_address + ring.PRODUCER)
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
        position = memory.load64(self.nodes_address + ring.CONSUMER) & (self.max_entries - 1)
        record = self.values_address + position
        start = record + ring.HEADER_SIZE
        if start <= address and address + size <= start + memory.load32(record):
            return None
        return "an access to a user ring buffer outside of the record"
