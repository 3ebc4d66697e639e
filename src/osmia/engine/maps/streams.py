"""Maps that programs send events through: ring buffers and perf event arrays."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from osmia.engine.maps.base import Map
from osmia.engine.maps.errors import Operation, element_error
from osmia.engine.raw_map import RawMap
from osmia.errors import CodecError, OsmiaWarning
from osmia.object.uapi import MapType
from osmia.values import Codec

# Readers of events are imported when the first one is opened: not every program sends any.
if TYPE_CHECKING:
    import numpy
    import pandas

    from osmia.events import EventCodec, EventSource
    from osmia.events.arrow_batches import ArrowBatches, BatchOptions
    from osmia.events.record_source import RecordSource
    from osmia.values.table import Table
    from osmia.values.wall_time import TimeColumns


class EventMap(Map):
    """A map whose entries are events: iterate over it, or use `events` for everything else.

    `event_codec` types the events; set it before the first is read. Without one events
    are `bytes`; where a map was opened by pin or id and no program tells the type of its
    records, an OsmiaWarning says so, unless `event_codec` was set, be it to None. The reader
    is opened at the first use and closed with the map. A vm's map has nothing to wait for:
    its iteration ends when it is empty.
    """

    def __init__(
        self, raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None
    ) -> None:
        # Where the map has no values of its own, the values' type is the events'.
        self._event_codec: EventCodec | None = None if raw.value_size else value_codec
        self._asked_for_type = False
        super().__init__(raw, key_codec, value_codec if raw.value_size else None)
        self._source: EventSource[Any] | None = None

    @property
    def event_codec(self) -> EventCodec | None:
        """The type of the events; None: they are bytes."""
        return self._event_codec

    @event_codec.setter
    def event_codec(self, codec: EventCodec | None) -> None:
        self._event_codec = codec
        self._asked_for_type = False

    def _set_record_type(self, codec: Codec | None) -> None:
        """The type that programs tell; where they tell none, readers are told where to give it."""
        self._event_codec = codec
        self._asked_for_type = codec is None

    @property
    def events(self) -> EventSource[Any]:
        """The map's reader: `poll`, `read`, `drain`, `async for`, `pending`, `fileno`."""
        self.raw.check_open()
        if self._source is None or self._source.closed:
            if self._asked_for_type:
                self._warn_of_bytes()
            self._source = self._open()
        return self._source

    def __repr__(self) -> str:
        codec = self._event_codec
        of = "bytes" if codec is None else getattr(codec, "type_name", "a type")
        return self._described(f"events of {of}")

    def _warn_of_bytes(self) -> None:
        self._asked_for_type = False
        message = f"events of map {self.name!r} are bytes: no program that uses it tells their type"
        opened = "" if self.value_size else "give value_codec where it is opened, or "
        where = f"{opened}set event_codec"
        warnings.warn(f"{message}; {where}", OsmiaWarning, stacklevel=4)

    def _open(self) -> EventSource[Any]:
        return self.raw.events(self.event_codec)

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

    def arrow_batches(self, **options: Unpack[BatchOptions]) -> ArrowBatches:
        """The events as they come, in tables, for `for` and `async for`: see
        `osmia.events.record_source.RecordSource.arrow_batches`."""
        return self._records.arrow_batches(**options)

    def to_arrow(self, *, times: TimeColumns = ()) -> Table:
        """The events that are there now as a table, see `RecordSource.to_arrow`."""
        return self._records.to_arrow(times=times)

    def to_columns(self, *, times: TimeColumns = ()) -> dict[str, numpy.ndarray[Any, Any]]:
        """The events that are there now as arrays by column, see `RecordSource.to_columns`."""
        return self._records.to_columns(times=times)

    def to_pandas(self, *, times: TimeColumns = ()) -> pandas.DataFrame:
        """The events that are there now as a DataFrame, see `RecordSource.to_pandas`."""
        return self._records.to_pandas(times=times)

    @property
    def _records(self) -> RecordSource[Any]:
        reader: Any = self.events  # ring and perf buffers are
        records: RecordSource[Any] = reader
        return records

    def close(self) -> None:
        """Close the reader and let go of the map."""
        if self._source is not None:
            self._source.close()
        super().close()


class RingBufferMap(EventMap, types=(MapType.RINGBUF,)):
    """BPF_MAP_TYPE_RINGBUF (since 5.8): events of all CPUs in one order."""

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
    anything with a `fileno()`. In a vm there are no perf events to store.
    """

    pages: int | None = None

    def __setitem__(self, cpu: int, event: Any) -> None:
        value = self.raw.reference(event)
        if error := self.raw.update(self._encoded(cpu), value):
            raise element_error(self.raw, Operation.UPDATE, error, cpu)

    def __delitem__(self, cpu: int) -> None:
        if error := self.raw.delete(self._encoded(cpu)):
            raise element_error(self.raw, Operation.DELETE, error, cpu)

    def _encoded(self, cpu: Any) -> bytes:
        try:
            return self._encoder(self.key_codec, "key")(cpu)
        except CodecError as error:
            raise self._codec_error("key", error) from None

    @property
    def lost(self) -> int:
        """Events that found no room, as far as what was read so far tells."""
        reader: Any = self.events
        lost: int = reader.lost
        return lost

    def _open(self) -> EventSource[Any]:
        return self.raw.events(self.event_codec, pages=self.pages)
