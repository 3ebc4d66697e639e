"""`export`: metrics and events for OpenTelemetry, until it is closed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from osmia.closing import ClosedByWith
from osmia.engine.loaded import LoadedObject
from osmia.errors import OsmiaError
from osmia.metrics.choice import Choice
from osmia.metrics.otlp.origin import resources
from osmia.metrics.otlp.pushing import LogPusher, MetricPusher
from osmia.metrics.otlp.sending import Trouble
from osmia.metrics.parts import ObjectParts
from osmia.metrics.reading import ObjectReader, Reading, Source
from osmia.metrics.settings import EventLog, Otlp

#: How long what is left may take to be sent in the end, in seconds; and where nothing came through.
_FLUSH, _FLUSH_IN_VAIN = 5.0, 1.0
#: OpenTelemetry's variables, in ms, and what there is without, in seconds.
_INTERVAL = ("OTEL_METRIC_EXPORT_INTERVAL", 60.0)
_DELAY = ("OTEL_BLRP_SCHEDULE_DELAY", 1.0)


class Exporter(ClosedByWith):
    """Sends metrics again and again, and events as they come, in threads of its own, until it is
    closed; then what is left. What `export` gives."""

    def __init__(
        self,
        source: Source,
        otlp: Otlp,
        logs: Sequence[EventLog],
        prefix: str,
        say: Callable[[str], object],
    ) -> None:
        interval, delay = otlp.interval or _seconds(*_INTERVAL), _seconds(*_DELAY)
        feed = source.feed(logs) if logs else None
        resource = resources(otlp.resource)
        self._source, self._prefix, self._say = source, prefix, say
        self._trouble = Trouble(say)
        self._logs = None if feed is None else LogPusher(feed, resource, otlp, delay, self._trouble)
        self._metrics: MetricPusher | None = None
        self._closed = False
        if otlp.metrics:
            try:
                self._metrics = MetricPusher(self.read, resource, otlp, interval, self._trouble)
            except BaseException:
                self.close()
                raise

    @property
    def places(self) -> list[str]:
        """The addresses that it sends to."""
        return [each.where for each in (self._metrics, self._logs) if each is not None]

    def read(self) -> list[Reading]:
        """The metrics as they are now, with what became of events."""
        readings = self._source.read()
        if self._logs is None:
            return readings
        counted = self._logs.families(self._prefix)
        made = [
            each._replace(families=[*each.families, *counted.pop(each.host, ())])
            for each in readings
        ]
        return made + [Reading(host, families) for host, families in counted.items()]

    def close(self) -> None:
        """Send what is left, as far as it can be in a few seconds; says how many log records
        were dropped. Close it before the object."""
        if self._closed:
            return
        self._closed = True
        in_vain = self._trouble.has("logs") or self._trouble.has("metrics")
        deadline = time.monotonic() + (_FLUSH_IN_VAIN if in_vain else _FLUSH)
        dropped = self._logs.close(deadline) if self._logs is not None else 0
        if self._metrics is not None:
            self._metrics.close(deadline)
        if dropped:
            self._say(f"OTLP: {dropped} log records could not be sent")


def export(
    source: LoadedObject | Source,
    otlp: Otlp | str = "",
    *,
    logs: Sequence[EventLog] = (),
    choice: Choice | None = None,
    say: Callable[[str], object] | None = None,
) -> Exporter:
    """Send a loaded object's metrics to a collector, by OTLP over HTTP, and events of its buffers.

    `otlp` is the collector's address, or an `Otlp` with what else there is to say; without, what
    OTEL_EXPORTER_OTLP_ENDPOINT says, or http://localhost:4318. Metrics are those of `Metrics`, and
    how often and how long programs ran, unless `choice` says otherwise; `logs` are buffers whose
    events are log records. Programs never wait for it. What does not come through is said once, by
    `say` (else by the logger "osmia.metrics"), and does not end anything.

    Needs `pip install 'osmia[otel]'`. Close it before the object. ValueError for what the object
    does not have.
    """
    choice = Choice(programs=True) if choice is None else choice
    settings = Otlp(otlp) if isinstance(otlp, str) else otlp
    told = logging.getLogger("osmia.metrics").warning if say is None else say
    if isinstance(source, LoadedObject):
        source = ObjectReader(ObjectParts(source), choice)
    return Exporter(source, settings, logs, choice.prefix, told)


def _seconds(variable: str, default: float) -> float:
    """What a variable of the environment says, which has milliseconds."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    try:
        found = float(text) / 1000
    except ValueError:
        found = 0
    if not 0 < found < 1e6:
        raise OsmiaError(f"{variable}={text}: a number of milliseconds above 0")
    return found
