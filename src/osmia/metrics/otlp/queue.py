"""Log records that wait to be sent, and what became of them: a bounded queue that counts."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from osmia.metrics.families import Family, Point, named
from osmia.metrics.records import Record

#: So many records are sent at once.
_BATCH = 512


class LogQueue:
    """Records from those who read events to the one who sends them.

    A record waits for others for `delay` seconds. Where there is no room who puts waits, so that
    events stay in their buffers, where programs see that these are full; but while `is_failing()`
    a record without room is dropped, and counted.
    """

    def __init__(self, size: int, delay: float, is_failing: Callable[[], bool]) -> None:
        self._size, self._delay = size, delay
        self._batch = min(size, _BATCH)
        self._is_failing = is_failing
        self._waiting: deque[tuple[float, Record]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._sent: Counter[tuple[str, str]] = Counter()
        self._dropped: Counter[tuple[str, str]] = Counter()

    def put(self, record: Record) -> None:
        """Add a record, or count it as dropped."""
        with self._changed:
            while len(self._waiting) >= self._size and not self._closed and not self._is_failing():
                self._changed.wait(0.1)
            if self._closed or len(self._waiting) >= self._size:
                self._dropped[record.host, record.map] += 1
                return
            self._waiting.append((time.monotonic(), record))
            if len(self._waiting) in (1, self._batch):
                self._changed.notify_all()

    def take(self) -> list[Record]:
        """The next records, when they are to be sent; none once it is closed and empty."""
        with self._changed:
            while not self._is_due():
                self._changed.wait(self._patience())
            taken = [
                self._waiting.popleft()[1] for _ in range(min(self._batch, len(self._waiting)))
            ]
            self._changed.notify_all()
            return taken

    def count(self, records: list[Record], dropped: int) -> None:
        """Say what became of records that were taken: the last of them were dropped."""
        with self._changed:
            for at, record in enumerate(records):
                of = self._sent if at < len(records) - dropped else self._dropped
                of[record.host, record.map] += 1

    def close(self) -> None:
        """Take no more; what waits is still given."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Drop what waits."""
        self.close()
        with self._changed:
            for _, record in self._waiting:
                self._dropped[record.host, record.map] += 1
            self._waiting.clear()

    @property
    def dropped(self) -> int:
        """How many records were dropped."""
        with self._changed:
            return self._dropped.total()

    def families(
        self, prefix: str, lost: Mapping[tuple[str, str], int | None]
    ) -> dict[str, list[Family]]:
        """What was sent, dropped, and `lost` before it was read (None: nobody knows), by host."""
        with self._changed:
            counted: dict[str, tuple[Mapping[tuple[str, str], int | None], str]] = {
                "log_records_sent": (dict(self._sent), "Events sent as log records."),
                "log_records_dropped": (dict(self._dropped), "Events that could not be sent."),
                "events_lost": (lost, "Events that found no room in their buffer."),
            }
        keys = sorted({key for counts, _ in counted.values() for key in counts})
        made: dict[str, list[Family]] = {}
        for name, (counts, text) in counted.items():
            families: dict[str, Family] = {}
            for host, source in keys:
                value = counts.get((host, source), None if counts is lost else 0)
                if value is not None:
                    empty = Family(named(prefix, name), "counter", text, "", [])
                    found = families.setdefault(host, empty)
                    found.points.append(Point((("map", source),), value))
            for host, found in families.items():
                made.setdefault(host, []).append(found)
        return made

    def _is_due(self) -> bool:
        return self._closed or len(self._waiting) >= self._batch or self._patience() == 0

    def _patience(self) -> float | None:
        """How long the first record may still wait; None where there is none."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] + self._delay - time.monotonic())
