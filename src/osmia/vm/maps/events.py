"""The events of perf event arrays: a queue that programs fill."""

from __future__ import annotations

import errno
from _weakrefset import WeakSet  # all of `weakref` is dear
from collections import deque

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.maps.perf_events import PerfEvents


class EventQueue:
    """Events by CPU, as long as somebody reads them. At most `LIMIT` of `LIMIT_BYTES` wait to be
    read; `lost` counts the rest."""

    LIMIT = 1 << 16
    LIMIT_BYTES = 1 << 26

    def __init__(self) -> None:
        self.events: deque[tuple[int, bytes]] = deque()
        self.waiting = 0  # bytes
        self.lost = 0
        self._readers: WeakSet[PerfEvents] = WeakSet()

    @property
    def is_read(self) -> bool:
        """Whether there is a reader: without one there are no perf events in the map."""
        return bool(self._readers)

    def opened(self, reader: PerfEvents) -> None:
        """There is a reader, until `closed`."""
        self._readers.add(reader)

    def closed(self, reader: PerfEvents) -> None:
        """A reader went; with the last one go the events that wait."""
        self._readers.discard(reader)
        if not self._readers:
            self.take()

    def put(self, cpu: int, data: bytes) -> int:
        """Store an event; 0, -ENOENT without a reader, -ENOSPC when it does not keep up."""
        if not self._readers:
            return -errno.ENOENT
        if len(self.events) >= self.LIMIT or self.waiting + len(data) > self.LIMIT_BYTES:
            self.lost += 1
            return -errno.ENOSPC
        self.events.append((cpu, data))
        self.waiting += len(data)
        return 0

    def take(self) -> list[tuple[int, bytes]]:
        """The events that wait: they do no more."""
        taken = [self.events.popleft() for _ in range(len(self.events))]
        self.waiting -= sum(len(data) for _, data in taken)
        return taken
