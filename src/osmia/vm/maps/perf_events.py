"""The reader of a perf event array's events: imported when somebody reads."""

from __future__ import annotations

from osmia.events.samples import SampleSource
from osmia.events.source import EventCodec
from osmia.vm.maps.events import EventQueue


class PerfEvents(SampleSource):
    """What programs sent through a perf event array: (CPU, event)."""

    def __init__(self, queue: EventQueue, codec: EventCodec | None, name: str) -> None:
        super().__init__(f"perf buffer {name!r}", codec)
        self._queue = queue
        queue.opened(self)

    @property
    def lost(self) -> int:
        """Events that found no room."""
        return self._queue.lost

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def _refill(self) -> int:
        taken = self._queue.take()
        records = iter([data for _, data in taken])
        self._serve(iter([cpu for cpu, _ in taken]), records, records)
        return sum(len(data) + 1 for _, data in taken)  # those without a byte count too

    def _backlog(self) -> int:
        return self._queue.waiting + len(self._queue.events)

    def _release(self) -> None:
        self._queue.closed(self)
