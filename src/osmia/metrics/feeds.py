"""Events of a loaded object, read for whoever sends them as log records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Any, Protocol

from osmia.errors import ClosedError
from osmia.events import EventSource
from osmia.events.merged import merged, present
from osmia.events.record_types import PresumedCodec
from osmia.metrics.checks import check_apart, check_log, facts_of_parts, record_codec
from osmia.metrics.parts import Parts
from osmia.metrics.records import Members, Record, Records
from osmia.metrics.settings import EventLog
from osmia.values.moments import CLOCKS, offset_now

#: How often it is looked whether it is over, in seconds.
_LOOK = 0.2


class Feed(Protocol):
    """Where log records come from."""

    def run(self, take: Callable[[Record], object], over: Event) -> None:
        """Give records as events come, until it is `over`; then those that are there."""

    def lost(self) -> dict[tuple[str, str], int | None]:
        """How many events found no room in their buffers, by host and map; None where nobody
        counts them."""


class ObjectFeed:
    """The events of a loaded object's buffers. ValueError for what they do not have."""

    def __init__(self, parts: Parts, logs: Sequence[EventLog]) -> None:
        self._logs = {log.map: log for log in logs}
        self._records = {log.map: Records(log) for log in logs}
        self._maps: dict[str, Any] = {}
        self._codecs: dict[str, PresumedCodec] = {}
        self._members: dict[str, Members] = {}
        facts = facts_of_parts(parts)
        check_apart(logs)
        for log in logs:
            check_log(log, facts)
            source: Any = parts.maps[log.map]
            codec = record_codec(log, facts)
            if codec is not None:  # records of other sizes stay bytes
                source.event_codec = self._codecs[log.map] = PresumedCodec(codec)
                self._members[log.map] = Members(codec)
            self._maps[log.map] = source
        # Now: a perf buffer keeps nothing for a reader that comes later.
        self._sources: dict[str, EventSource[Any]] = {
            name: source.events for name, source in self._maps.items()
        }

    def run(self, take: Callable[[Record], object], over: Event) -> None:
        """See `Feed`; ends when the object is closed."""
        try:
            while not over.is_set():
                self._give(merged(self._sources, timeout=_LOOK), take)
            self._give(present(self._sources), take)
        except ClosedError:
            return

    def lost(self) -> dict[tuple[str, str], int | None]:
        """See `Feed`: the kernel counts them for perf buffers."""
        return {("", name): _lost(source) for name, source in self._maps.items()}

    def _give(self, events: Iterable[tuple[str, Any]], take: Callable[[Record], object]) -> None:
        offsets = {name: _offset(log) for name, log in self._logs.items()}
        for name, event in events:
            cpu: dict[str, Any] = {}
            if isinstance(event, tuple):  # perf buffers tell the CPU
                cpu, event = {"cpu": event[0]}, event[1]
            records = self._records[name]
            if isinstance(event, bytes) and name in self._codecs:  # its reader was open before
                event = self._codecs[name].decode(event)
            if isinstance(event, bytes):
                take(records.raw(event))
                continue
            members = cpu | self._members[name].of(event)
            at = members.get(self._logs[name].time)
            when = at + offsets[name] if isinstance(at, int) and at else 0
            take(records.record(members, when))


def _lost(source: Any) -> int | None:
    try:
        found: int | None = getattr(source, "lost", None)
    except ClosedError:
        return None
    return found


def _offset(log: EventLog) -> int:
    """What to add to an event's time to have ns since 1970."""
    counts_already = not log.time or log.clock == "realtime"
    return 0 if counts_already else offset_now(CLOCKS[log.clock])
