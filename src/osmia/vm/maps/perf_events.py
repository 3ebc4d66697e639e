"""The reader of a perf event array's events: imported when somebody reads."""

from __future__ import annotations

from osmia.events import EventSource
from osmia.events.source import Batch, EventCodec
from osmia.vm.maps.events import EventQueue


class PerfEvents(EventSource[tuple[int, object]]):
    """What programs sent through a perf event array: (CPU, event)."""

    def __init__(self, queue: EventQueue, codec: EventCodec | None, name: str) -> None:
        super().__init__(f"perf buffer {name!r}")
        self._queue = queue
        self._codec = codec
        queue.opened(self)

    @property
    def lost(self) -> int:
        """Events that found no room."""
        return self._queue.lost

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def _refill(self) -> int:
        decode = None if self._codec is None else self._codec.decode
        taken = self._queue.take()
        counter = iter(taken)
        events = ((cpu, data if decode is None else decode(data)) for cpu, data in counter)
        self._batch = Batch(events, counter)
        return len(taken)

    def _backlog(self) -> int:
        return len(self._queue.events)

    def _release(self) -> None:
        self._queue.closed(self)
