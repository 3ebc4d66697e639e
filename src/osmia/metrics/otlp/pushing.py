"""Threads that send: metrics again and again, events as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from osmia.metrics.families import Family
from osmia.metrics.feeds import Feed
from osmia.metrics.otlp.data import Sums
from osmia.metrics.otlp.origin import scope
from osmia.metrics.otlp.queue import LogQueue
from osmia.metrics.otlp.sending import Sender, Trouble
from osmia.metrics.reading import Reading
from osmia.metrics.records import Record
from osmia.metrics.settings import SEVERITIES, Otlp

#: After so many seconds events that could not be read are tried again.
_AGAIN = 2.0
#: So long a thread may take that has nothing to wait for any more.
_SOON = 0.5


class MetricPusher:
    """Sends what `read` gives, at once, every `interval` seconds, and in the end."""

    def __init__(
        self,
        read: Callable[[], list[Reading]],
        resource: Callable[[str], Resource],
        otlp: Otlp,
        interval: float,
        trouble: Trouble,
    ) -> None:
        self._read, self._interval, self._trouble = read, interval, trouble
        self._sums = Sums(resource)
        self._sender = Sender("metrics", otlp, trouble)
        self._over = threading.Event()
        self._thread = _started("metrics", self._run)

    @property
    def where(self) -> str:
        """The address that it sends to."""
        return self._sender.where

    def close(self, deadline: float) -> None:
        """Send them once more, until the deadline (of time.monotonic)."""
        self._over.set()
        _join(self._thread, deadline)
        self._sender.stop()

    def _run(self) -> None:
        self._send()
        while not self._over.wait(self._interval):
            self._send()
        self._send()

    def _send(self) -> None:
        try:
            readings = self._read()
        except Exception as error:  # a fleet's scheduler that went away: it may come back
            self._trouble.failed("metrics", "reading", str(error) or type(error).__name__)
            return
        if any(each.families for each in readings):
            self._sender.send(self._sums.data(readings))


class LogPusher:
    """Sends the records of a feed as they come, and in the end those that are there."""

    def __init__(
        self,
        feed: Feed,
        resource: Callable[[str], Resource],
        otlp: Otlp,
        delay: float,
        trouble: Trouble,
    ) -> None:
        self._feed, self._resource, self._trouble = feed, resource, trouble
        self._queue = LogQueue(otlp.queue, delay, lambda: trouble.has("logs"))
        self._sender = Sender("logs", otlp, trouble)
        self._over = threading.Event()
        self._reading = _started("events", self._read)
        self._sending = _started("logs", self._send)

    @property
    def where(self) -> str:
        """The address that it sends to."""
        return self._sender.where

    def families(self, prefix: str) -> dict[str, list[Family]]:
        """What became of the events, by host."""
        return self._queue.families(prefix, self._feed.lost())

    def close(self, deadline: float) -> int:
        """Send what is there, until the deadline; how many records were dropped in all."""
        self._over.set()
        _join(self._reading, deadline)
        self._queue.close()
        _join(self._reading, time.monotonic() + _SOON)  # what waited for room is dropped
        _join(self._sending, deadline)
        self._sender.stop()
        self._queue.give_up()
        return self._queue.dropped

    def _read(self) -> None:
        while True:
            try:
                return self._feed.run(self._queue.put, self._over)
            except Exception as error:  # a fleet's scheduler that went away: it may come back
                self._trouble.failed("logs", "reading events", str(error) or type(error).__name__)
            if self._over.wait(_AGAIN):
                return None

    def _send(self) -> None:
        while records := self._queue.take():
            refused = self._sender.send([self._as_library(each) for each in records])
            self._queue.count(records, len(records) if refused < 0 else refused)

    def _as_library(self, record: Record) -> ReadableLogRecord:
        made = LogRecord(
            timestamp=record.time or None,
            observed_timestamp=record.observed,
            context=Context(),
            severity_text=record.severity,
            severity_number=SeverityNumber(SEVERITIES[record.severity]),
            body=record.body,
            attributes=record.attributes,
            event_name=record.name,
        )
        return ReadableLogRecord(made, self._resource(record.host), scope())


def _started(what: str, run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, name=f"osmia-otlp-{what}", daemon=True)
    thread.start()
    return thread


def _join(thread: threading.Thread, deadline: float) -> None:
    thread.join(max(0.0, deadline - time.monotonic()))
