"""Handles on maps whose values are no plain data: programs, maps, events, records."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Iterator

from osmia.errors import CodecError, KernelError, NotSupportedError
from osmia.object.uapi import MapFlag, MapType
from osmia.vm.maps import ring
from osmia.vm.maps.body import OUTER, MapBody
from osmia.vm.maps.build import Definition
from osmia.vm.maps.events import EventQueue
from osmia.vm.maps.numbers import SparseMap
from osmia.vm.maps.raw import VmMap

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.engine.maps import Map
    from osmia.events import EventCodec, EventSource, UserRingBuffer
    from osmia.events.user_ring_buffer import RecordCodec


class _Outer(VmMap):
    """Maps in maps: values are numbers of maps of the same vm."""

    def reference(self, value: Any) -> bytes:
        from osmia.engine.maps import Map

        raw = value.raw if isinstance(value, Map) else None
        if not isinstance(raw, VmMap) or raw.vm is not self.vm:
            raise CodecError(f"a map of this vm is needed, not {value!r:.80}")
        raw.check_open()
        given = raw.body.definition
        if self.body.template is None:
            set_template(self.body, given)
        assert self.body.template is not None
        if unlike := _unlike(self.body.template, given):
            hint = f"it differs from the inner map's template: {'; '.join(unlike)}"
            what = f"store map {value.name!r} in map {self.name!r}"
            raise KernelError(errno.EINVAL, what, hint=hint)
        return raw.id.to_bytes(4, "little")

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        inner = self.vm.lifetimes.maps.get(int.from_bytes(value, "little"))
        if inner is None:
            return errno.EBADF
        template = self.body.template
        if template is not None and _unlike(template, inner.definition):
            return errno.EINVAL
        return super().update(key, value, flags)

    def opened(self, number: int) -> Map:
        return self.vm.open_map(number)


class OuterArray(_Outer, SparseMap):
    """BPF_MAP_TYPE_ARRAY_OF_MAPS."""


class OuterHash(_Outer):
    """BPF_MAP_TYPE_HASH_OF_MAPS."""


def set_template(outer: MapBody, template: Definition) -> None:
    """Say what the maps in a map must agree with. KernelError for maps that can be in none."""
    what = f"put {template.type.name} maps into map {outer.name!r}"
    if template.type in OUTER:
        raise KernelError(errno.EINVAL, what, hint="maps in maps go one level deep")
    if template.type is MapType.PROG_ARRAY:
        raise KernelError(errno.EOPNOTSUPP, what, hint="prog arrays can be in none")
    outer.template = template


def _unlike(template: Definition, given: Definition) -> tuple[str, ...]:
    """In what an inner map differs from its template, as far as the kernel minds."""
    from osmia.engine.reuse import differences

    counted = template.type is MapType.ARRAY and not template.flags & MapFlag.INNER_MAP
    ignored = ("map_extra",) if counted else ("map_extra", "max entries")
    found = differences(template, given, ignored, whose=("the template", "the map"))
    if template.special != given.special:
        found += ("other locks, timers or the like in the values",)
    return found


class ProgramSlots(VmMap):
    """A prog array: slots that hold programs of the same vm."""

    def lookup(self, key: bytes) -> bytes | int:
        with self._lock:
            self.check_open()
            if not self._readable:
                return errno.EPERM
            index = int.from_bytes(key, "little")
            number = self.body.program_number(index) if index < self.max_entries else 0
        return number.to_bytes(4, "little") if number else errno.ENOENT

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        return errno.EINVAL if flags else self.lookup(key)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        """Store a program. A vm with compiled programs repoints their direct jumps."""
        index = int.from_bytes(key, "little")
        if error := self._unchangeable() or (flags and errno.EINVAL):
            return error
        if index >= self.max_entries:
            return errno.E2BIG
        program = self.vm.lifetimes.programs.get(int.from_bytes(value, "little"))
        if program is None:
            return errno.EBADF
        self.vm.fill_slot(self.body, index, program)
        return 0

    def delete(self, key: bytes) -> int:
        index = int.from_bytes(key, "little")
        if error := self._unchangeable():
            return error
        if index >= self.max_entries:
            return errno.E2BIG
        if not self.body.program_number(index):
            return errno.ENOENT
        self.vm.empty_slot(self.body, index)
        return 0

    def reference(self, value: Any) -> bytes:
        return self.vm.number_of(value).to_bytes(4, "little")

    def opened(self, number: int) -> Any:
        return self.vm.open_program(number)

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        found = [(n, self.body.program_number(n)) for n in range(self.max_entries)]
        held = [(index, number) for index, number in found if number]
        keys, values = array("I", [n for n, _ in held]), array("I", [n for _, n in held])
        yield keys.tobytes(), values.tobytes()


class Ring(VmMap):
    """A ring buffer, or a user ring buffer, in the vm's memory."""

    def events(self, codec: EventCodec | None, *, pages: int | None = None) -> EventSource[Any]:
        from osmia.events import RingBuffer

        if self.type is not MapType.RINGBUF:
            return super().events(codec, pages=pages)
        views = self._views()
        reader = RingBuffer.from_memory(
            *views, self.max_entries, codec=codec, close=lambda: _release(views), name=self.name
        )
        self.body.readers.add(reader)
        return reader

    def records(self, codec: RecordCodec | None) -> UserRingBuffer:
        from osmia.events import UserRingBuffer

        if self.type is not MapType.USER_RINGBUF:
            return super().records(codec)
        views = self._views()
        writer = UserRingBuffer.from_memory(
            *views, self.max_entries, codec=codec, close=lambda: _release(views), name=self.name
        )
        self.body.readers.add(writer)
        return writer

    def _views(self) -> tuple[memoryview, memoryview, memoryview]:
        """The consumer's and the producer's position, and the data."""
        self.check_open()
        memory, positions = self._memory, self.body.nodes_address
        return (
            memory.slice(positions + ring.CONSUMER, 4096),
            memory.slice(positions + ring.PRODUCER, 4096),
            memory.slice(self.body.values_address, 2 * self.max_entries),
        )


def _release(views: tuple[memoryview, ...]) -> None:
    for view in views:
        view.release()


class PerfEventQueue(VmMap):
    """A perf event array: events wait in a queue."""

    @property
    def queue(self) -> EventQueue:
        """The events that wait to be read."""
        self.check_open()
        assert self.body.queue is not None
        return self.body.queue

    def events(self, codec: EventCodec | None, *, pages: int | None = None) -> EventSource[Any]:
        from osmia.vm.maps.perf_events import PerfEvents

        reader = PerfEvents(self.queue, codec, self.name)
        self.body.readers.add(reader)
        return reader

    def reference(self, value: Any) -> bytes:
        raise NotSupportedError(
            f"map {self.name!r}: the vm has no perf events that could be stored"
        )

    def lookup_with(self, key: bytes, flags: int, *, mark: bool = False) -> bytes | int:
        found = super().lookup_with(key, flags, mark=mark)
        return errno.EOPNOTSUPP if found == errno.ENOENT else found

    def lookup(self, key: bytes) -> bytes | int:
        return self.lookup_with(key, 0)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        if error := self._unchangeable() or (flags and errno.EINVAL):
            return error
        there = int.from_bytes(key, "little") < self.max_entries
        return errno.EBADF if there else errno.E2BIG  # as no number names one

    def delete(self, key: bytes) -> int:
        if error := self._unchangeable():
            return error
        there = int.from_bytes(key, "little") < self.max_entries
        return errno.ENOENT if there else errno.E2BIG  # as there are none
