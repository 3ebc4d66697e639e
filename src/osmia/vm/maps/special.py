"""Maps whose values are no plain data: programs, maps, queues, filters, events."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from osmia.errors import KernelError
from osmia.events import EventSource, RingBuffer
from osmia.events.source import Batch, EventCodec
from osmia.object.uapi import MapType
from osmia.values import Codec
from osmia.vm.maps import ring, slots
from osmia.vm.maps.base import RawMap
from osmia.vm.maps.errors import EmptyMapError, map_error
from osmia.vm.maps.mapping import KeyedMap, VmMap

if TYPE_CHECKING:
    import numpy

    from osmia.vm.programs import Program


class QueueMap(VmMap):
    """A queue (first in, first out) or a stack (last in, first out)."""

    def push(self, value: Any, *, replace_oldest: bool = False) -> None:
        """Add a value. A full map is a MapFullError, or gives up its oldest value."""
        data = self._encode(self.value_codec, value, "value")
        self._check(self.raw.push_bytes(data, 2 if replace_oldest else 0), "push to")

    def pop(self) -> Any:
        """Take the next value out; EmptyMapError (a LookupError) when there is none."""
        return self._next("pop from", remove=True)

    def peek(self) -> Any:
        """The next value, which stays; EmptyMapError when there is none."""
        return self._next("peek into", remove=False)

    def drain(self) -> Iterator[Any]:
        """Take values out until there is none left."""
        while True:
            try:
                value = self.pop()
            except EmptyMapError:
                return
            yield value

    def __len__(self) -> int:
        return len(self.raw)

    def _next(self, verb: str, *, remove: bool) -> Any:
        result, data = self.raw.take_bytes(remove=remove)
        if result == -errno.ENOENT:
            raise EmptyMapError(errno.ENOENT, f"{verb} map {self.name!r}", hint="it is empty")
        self._check(result, verb)
        return data if self.value_codec is None else self.value_codec.decode(data)


class BloomFilter(VmMap):
    """A Bloom filter: `value in map` may be wrong when True, never when False."""

    def add(self, value: Any) -> None:
        """Add a value; nothing can be taken out again."""
        self._check(self.raw.push_bytes(self._encode(self.value_codec, value, "value")), "add to")

    def __contains__(self, value: object) -> bool:
        data = self._encode(self.value_codec, value, "value")
        return self.raw.take_bytes(data, remove=False)[0] == 0


class MapOfMaps(KeyedMap):
    """Maps in maps: `map[key] = inner` stores a map, `map[key]` gives its number."""

    template: Any = None
    """The definition that inner maps must agree with, once one is known."""

    def encode_value(self, value: Any) -> bytes:
        """A map's number; it must agree with the template in type and sizes."""
        if not isinstance(value, VmMap) or value.vm is not self.vm:
            raise KernelError(errno.EINVAL, f"store {value!r} in map {self.name!r}")
        value.raw.check_open()
        given = value.raw.definition
        if self.template is None:
            self.template = given
        wanted = self.template
        same = (given.type, given.key_size, given.value_size, given.flags) == (
            wanted.type,
            wanted.key_size,
            wanted.value_size,
            wanted.flags,
        )
        if not same or (given.type is MapType.ARRAY and given.max_entries != wanted.max_entries):
            hint = "it differs from the inner map's template"
            raise KernelError(errno.EINVAL, f"store {value!r} in map {self.name!r}", hint=hint)
        return value.raw.number.to_bytes(4, "little")

    def open(self, key: Any) -> VmMap:
        """The map under a key."""
        inner = self.vm.maps.get(self[key])
        if inner is None:
            raise map_error(errno.ENOENT, "look up an entry of", self.name, key)
        return inner

    def lookup(self, key: Any, *, mark: bool = False) -> Any:
        """The number of the map under a key."""
        number = super().lookup(key, mark=mark)
        if not number:
            raise map_error(errno.ENOENT, "look up an entry of", self.name, key)
        return number

    def __delitem__(self, key: Any) -> None:
        if self.type is MapType.ARRAY_OF_MAPS:
            self.lookup(key)
            self.raw.write(self._key_bytes(key), bytes(4))
        else:
            super().__delitem__(key)

    def __iter__(self) -> Iterator[Any]:
        for key, where in self.raw.entries():
            if self.vm.memory.load32(where):
                yield self.decode_key(key)

    def numbers(self) -> set[int]:
        """The numbers of the maps in it."""
        return {self.vm.memory.load32(where) for _, where in self.raw.entries()} - {0}

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ProgramArray(KeyedMap):
    """Programs for tail calls: `array[key] = program`; `array[key]` gives its number.

    The first program that is stored, or that uses the array, owns it: others must agree in
    type, expected attach type and return type (EINVAL).
    """

    owner: tuple[Any, ...] | None = None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def update(self, key: Any, value: Any = None, flags: int = 0) -> None:  # type: ignore[override]
        """Store a program. A vm with compiled programs repoints their direct jumps."""
        self.vm.fill_slot(self, self._index(key), value)

    def claim(self, program: Program) -> None:
        """Make a program the array's owner, or see that it agrees with the owner."""
        wanted = (program.type, program.expected_attach_type, program.return_type)
        if self.owner is None:
            self.owner = wanted
        elif self.owner != wanted:
            hint = f"its owner is of type {self.owner[0]}, attach type {self.owner[1]}"
            if self.owner[:2] == wanted[:2]:
                hint = f"its programs return {self.owner[2]!r}, this one {program.return_type!r}"
            what = f"store program {program.name!r} in map {self.name!r}"
            raise KernelError(errno.EINVAL, what, hint=hint)

    def __delitem__(self, key: Any) -> None:
        index = self._index(key)
        self.lookup(key)
        self.vm.empty_slot(self, index)

    def lookup(self, key: Any, *, mark: bool = False) -> int:
        """The number of the program under a key."""
        number = self._number(self._index(key))
        if not number:
            raise map_error(errno.ENOENT, "look up an entry of", self.name, key)
        return number

    def get(self, key: Any, default: Any = None) -> Any:
        """The number of the program under a key, or `default`."""
        return self._number(self._index(key)) or default

    def __contains__(self, key: object) -> bool:
        return bool(self._number(self._index(key)))

    def open(self, key: Any) -> Program:
        """The program under a key, for the caller to close."""
        return self.stored(key).borrowed()

    def stored(self, key: Any) -> Program:
        """The program under a key, as the vm has it."""
        number: int = self[key]
        return self.vm.lifetimes.programs[number]

    def clear(self) -> None:
        """Empty all slots."""
        for key in list(self):
            del self[key]

    def __iter__(self) -> Iterator[int]:
        return (index for index in range(self.max_entries) if self._number(index))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def numbers(self) -> set[int]:
        """The numbers of the programs in it."""
        return {self._number(index) for index in self}

    def _index(self, key: Any) -> int:
        index = int.from_bytes(self._key_bytes(key), "little")
        if index >= self.max_entries:
            raise map_error(errno.E2BIG, "use an entry of", self.name, key)
        return index

    def _number(self, index: int) -> int:
        return self.vm.memory.load64(self.slot(index) + slots.SLOT_PROGRAM)

    def slot(self, index: int) -> int:
        """The address of a slot."""
        return self.raw.nodes_address + index * slots.SLOT_SIZE


class EventMap(VmMap):
    """A map whose entries are events: iterate over it. Iteration ends when there are no more:
    programs of a vm only run when somebody runs them.

    `event_codec` types the events; set it before the first is read.
    """

    def __init__(
        self,
        raw: RawMap,
        name: str,
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        self.event_codec: EventCodec | None = None if raw.value_size else value_codec
        super().__init__(raw, name, key_codec, value_codec if raw.value_size else None)
        self._source: EventSource[Any] | None = None

    @property
    def events(self) -> EventSource[Any]:
        """The map's reader: `poll`, `read`, `drain`, `async for`, `pending`."""
        if self._source is None or self._source.closed:
            self._source = self._open()
        return self._source

    def _open(self) -> EventSource[Any]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        return iter(self.events)

    def __aiter__(self) -> AsyncIterator[Any]:
        return aiter(self.events)

    def iterate(self, timeout: float | None = None) -> Iterator[Any]:
        """The events that are there."""
        return self.events.iterate(timeout)

    def poll(self, timeout: float | None = None) -> bool:
        """Whether an event is there; there is nothing to wait for."""
        return self.events.poll(timeout)

    def read(self) -> list[Any]:
        """The events that are there now."""
        return self.events.read()

    def drain(self, callback: Callable[[Any], object]) -> int:
        """Call `callback` with each event that is there now; how many there were."""
        return self.events.drain(callback)

    def close(self) -> None:
        """Close the reader and take the map out of the vm."""
        self.let_go()
        super().close()

    def let_go(self) -> None:
        """See `VmMap.let_go`."""
        if self._source is not None:
            self._source.close()


class RingBufferMap(EventMap):
    """A ring buffer in the vm's memory."""

    def _open(self) -> RingBuffer:
        memory, size = self.vm.memory, self.max_entries
        positions = self.raw.nodes_address
        views = [
            memory.slice(positions + ring.CONSUMER, 4096),
            memory.slice(positions + ring.PRODUCER, 4096),
            memory.slice(self.raw.values_address, 2 * size),
        ]

        def release() -> None:
            for view in views:
                view.release()

        consumer, producer, data = views
        return RingBuffer.from_memory(
            consumer, producer, data, size, codec=self.event_codec, close=release, name=self.name
        )

    def to_numpy(self, dtype: Any = None) -> numpy.ndarray[Any, Any]:
        """The events that are there now, all of one size, as an array. Imports numpy."""
        reader = self.events
        assert isinstance(reader, RingBuffer)
        return reader.to_numpy(dtype)


class PerfEvents(EventSource[tuple[int, Any]]):
    """What programs sent through a perf event array: (CPU, event)."""

    def __init__(self, owner: PerfEventArray) -> None:
        super().__init__(f"perf buffer {owner.name!r}")
        self._owner = owner

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def _refill(self) -> int:
        codec = self._owner.event_codec
        taken = self._owner.take()
        counter = iter(taken)
        events = ((cpu, data if codec is None else codec.decode(data)) for cpu, data in counter)
        self._batch = Batch(events, counter)
        return len(taken)

    def _backlog(self) -> int:
        return len(self._owner.queue)

    def _release(self) -> None:
        """Nothing to give back."""


class PerfEventArray(EventMap):
    """Events by CPU. At most `LIMIT` of `LIMIT_BYTES` wait to be read; `lost` counts the rest."""

    LIMIT = 1 << 16
    LIMIT_BYTES = 1 << 26

    def __init__(self, raw: RawMap, name: str, *codecs: Codec | None) -> None:
        super().__init__(raw, name)
        self.event_codec = None
        self.queue: deque[tuple[int, bytes]] = deque()
        self.waiting = 0  # bytes
        self.lost = 0

    def put(self, cpu: int, data: bytes) -> int:
        """Store an event; 0, or -ENOSPC when nobody reads them."""
        if len(self.queue) >= self.LIMIT or self.waiting + len(data) > self.LIMIT_BYTES:
            self.lost += 1
            return -errno.ENOSPC
        self.queue.append((cpu, data))
        self.waiting += len(data)
        return 0

    def take(self) -> list[tuple[int, bytes]]:
        """The events that wait: they do no more."""
        taken = [self.queue.popleft() for _ in range(len(self.queue))]
        self.waiting -= sum(len(data) for _, data in taken)
        return taken

    def _open(self) -> PerfEvents:
        return PerfEvents(self)


KINDS: dict[MapType, type[VmMap]] = {
    MapType.QUEUE: QueueMap,
    MapType.STACK: QueueMap,
    MapType.BLOOM_FILTER: BloomFilter,
    MapType.ARRAY_OF_MAPS: MapOfMaps,
    MapType.HASH_OF_MAPS: MapOfMaps,
    MapType.PROG_ARRAY: ProgramArray,
    MapType.RINGBUF: RingBufferMap,
    MapType.PERF_EVENT_ARRAY: PerfEventArray,
}
