"""Maps that programs send events through: ring buffers and perf event arrays."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from osmia.errors import KernelError
from osmia.kernel.maps.base import Map
from osmia.kernel.maps.descriptors import descriptor_of
from osmia.kernel.maps.errors import element_error
from osmia.kernel.maps.info import MapInfo
from osmia.kernel.sys import perf_events, syscall
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.kernel.sys.cpus import online_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.perf_events import PerfFlag, PerfIoctl
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import MapType
from osmia.values import Codec

# Readers of events are imported when the first one is opened: not every program sends any.
if TYPE_CHECKING:
    import numpy

    from osmia.events import EventCodec, EventSource, PerfBuffer, RingBuffer

# include/uapi/linux/perf_event.h
_TYPE_SOFTWARE = 1
_SW_BPF_OUTPUT = 10  # since 4.4
_SAMPLE_RAW = 1 << 10


class EventMap(Map):
    """A map whose entries are events: iterate over it, or use `events` for everything else.

    `event_codec` types the events; set it before the first is read. Without one events
    are `bytes`. The reader is opened at the first use and closed with the map.
    """

    def __init__(
        self,
        fd: FileDescriptor,
        info: MapInfo,
        name: str = "",
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        # Where the map has no values of its own, the values' type is the events'.
        self.event_codec: EventCodec | None = None if info.value_size else value_codec
        own_values = value_codec if info.value_size else None
        super().__init__(fd, info, name, key_codec, own_values)
        self._source: EventSource[Any] | None = None

    @property
    def events(self) -> EventSource[Any]:
        """The map's reader: `poll`, `read`, `drain`, `async for`, `pending`, `fileno`."""
        self.fileno()  # closed maps say so
        if self._source is None or self._source.closed:
            self._source = self._open()
        return self._source

    @abstractmethod
    def _open(self) -> EventSource[Any]: ...

    def __iter__(self) -> Iterator[Any]:
        """The events as they come; waits for ever."""
        return iter(self.events)

    def __aiter__(self) -> AsyncIterator[Any]:
        """The events as they come, for `async for`."""
        return aiter(self.events)

    def iterate(self, timeout: float | None = None) -> Iterator[Any]:
        """The events as they come; ends when none came for `timeout` seconds."""
        return self.events.iterate(timeout)

    def poll(self, timeout: float | None = None) -> bool:
        """Wait until an event is there, `timeout` seconds at most (None: for ever)."""
        return self.events.poll(timeout)

    def read(self) -> list[Any]:
        """The events that are there now."""
        return self.events.read()

    def drain(self, callback: Callable[[Any], object]) -> int:
        """Call `callback` with each event that is there now; how many there were."""
        return self.events.drain(callback)

    def close(self) -> None:
        """Close the reader and let go of the map."""
        if self._source is not None:
            self._source.close()
        super().close()


class RingBufferMap(EventMap, types=(MapType.RINGBUF,)):
    """BPF_MAP_TYPE_RINGBUF (since 5.8): events of all CPUs in one order."""

    def _open(self) -> RingBuffer:
        from osmia.events import RingBuffer

        return RingBuffer(self.fileno(), self.max_entries, codec=self.event_codec, name=self.name)

    def to_numpy(self, dtype: Any = None) -> numpy.ndarray[Any, Any]:
        """The events that are there now, all of one size, as an array. Imports numpy."""
        reader: Any = self.events
        events: numpy.ndarray[Any, Any] = reader.to_numpy(dtype)
        return events


class PerfEventArray(EventMap, types=(MapType.PERF_EVENT_ARRAY,)):
    """BPF_MAP_TYPE_PERF_EVENT_ARRAY: a stream of events per CPU, as (CPU, event).

    Reading opens a perf event on every CPU that is online and has an entry, with
    `pages` pages of data each (a power of two; None: PerfBuffer's default), and takes
    them out of the map again when the reader is closed. Programs that count with
    `bpf_perf_event_read` want perf events of the caller's instead: `array[cpu] = event`,
    anything with a `fileno()`.
    """

    pages: int | None = None

    def __setitem__(self, cpu: int, event: Any) -> None:
        number = descriptor_of(event).to_bytes(4, sys.byteorder)
        self._operate(Command.MAP_UPDATE_ELEM, cpu, number)

    def __delitem__(self, cpu: int) -> None:
        self._operate(Command.MAP_DELETE_ELEM, cpu, None)

    @property
    def lost(self) -> int:
        """Events that found no room, as far as what was read so far tells."""
        reader: Any = self.events
        lost: int = reader.lost
        return lost

    def _operate(self, command: Command, cpu: int, value: bytes | None) -> None:
        key = cpu.to_bytes(4, sys.byteorder)
        if error := -syscall.map_element(command, self.fileno(), key=key, value=value):
            raise element_error(self, command, error, cpu)

    def _open(self) -> PerfBuffer:
        from osmia.events.perf_buffer import DEFAULT_PAGES, PerfBuffer

        with ExitStack() as opened:
            events = {}
            for cpu in online_cpus():
                if cpu < self.max_entries:
                    events[cpu] = opened.enter_context(_output_event(cpu))
            numbers = {cpu: event.fileno() for cpu, event in events.items()}
            buffer = PerfBuffer(
                numbers,
                pages=self.pages or DEFAULT_PAGES,
                codec=self.event_codec,
                close=lambda: self._take_out(events),
                name=self.name,
            )
            # From here on closing the buffer undoes all of it.
            opened.pop_all()
        try:
            for cpu, event in events.items():
                self[cpu] = event
                perf_events.perf_event_ioctl(event.fileno(), PerfIoctl.ENABLE)
        except BaseException:
            buffer.close()
            raise
        return buffer

    def _take_out(self, events: dict[int, FileDescriptor]) -> None:
        for cpu, event in events.items():
            with suppress(KernelError):  # not stored yet, or replaced by somebody
                del self[cpu]
            event.close()


def _output_event(cpu: int) -> FileDescriptor:
    """A perf event that takes what programs on `cpu` send, not enabled yet."""
    attribute = PerfEventAttr(
        type=_TYPE_SOFTWARE,
        config=_SW_BPF_OUTPUT,
        sample_type=_SAMPLE_RAW,
        sample_period=1,
        wakeup_events=1,
        flags=PerfFlag.DISABLED,
    )
    what = f"open the perf event of CPU {cpu}"
    return FileDescriptor(perf_events.perf_event_open(attribute, cpu=cpu, what=what), what)
