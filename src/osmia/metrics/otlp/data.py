"""Metrics as OpenTelemetry's library has them: cumulative sums with the time they began, gauges,
histograms; a resource for each host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from osmia.metrics.families import Buckets, Family, LabelValues
from osmia.metrics.otlp.origin import scope
from osmia.metrics.reading import Reading
from osmia.named_tuples import NamedTuple

_CUMULATIVE = AggregationTemporality.CUMULATIVE
#: An integer of OTLP has 64 bits and a sign.
_LARGEST = (1 << 63) - 1


class _Sum(NamedTuple):
    """When a sum began (ns since 1970), and what it was when it was last read."""

    start: int
    value: float


class _Host(NamedTuple):
    """When a host was read last, and the sums that there were, by name and labels."""

    read: int
    sums: dict[tuple[str, LabelValues], _Sum]


class Sums:
    """Makes the data of readings, one after the other; remembers when sums began.

    That is when the object was loaded; for a sum that was not there in the last reading, or was
    larger (somebody set it, or an entry made room for another), when that one was made.
    """

    def __init__(self, resource: Callable[[str], Resource]) -> None:
        self._resource = resource
        self._hosts: dict[str, _Host] = {}

    def data(self, readings: Iterable[Reading]) -> MetricsData:
        """The data of readings that are made now."""
        now = time.time_ns()
        made = []
        for reading in readings:
            before = self._hosts.get(reading.host)
            series = _Series(before, now - reading.age, now)
            metrics = [series.metric(family) for family in reading.families]
            resource = self._resource(reading.host)
            made.append(ResourceMetrics(resource, [ScopeMetrics(scope(), metrics, "")], ""))
            if not reading.lost:
                self._hosts[reading.host] = _Host(now, series.sums)
        return MetricsData(made)


class _Series:
    """What one host has in one reading."""

    def __init__(self, before: _Host | None, loaded: int, now: int) -> None:
        self.sums: dict[tuple[str, LabelValues], _Sum] = {}
        self._before = before.sums if before is not None else {}
        self._new_since = before.read if before is not None else loaded
        self._now = now

    def metric(self, family: Family) -> Metric:
        data: Sum | Gauge | Histogram
        match family.kind:
            case "counter":
                data = Sum(self._numbers(family), _CUMULATIVE, is_monotonic=True)
            case "gauge":
                data = Gauge(self._numbers(family))
            case "histogram":
                data = Histogram(list(self._histograms(family)), _CUMULATIVE)
        return Metric(family.name, family.help, family.unit, data)

    def _numbers(self, family: Family) -> list[NumberDataPoint]:
        made = []
        for point in family.points:
            value = _number(point.value)
            start = self._start(family.name, point.labels, value) if family.kind != "gauge" else 0
            made.append(NumberDataPoint(dict(point.labels), start, self._now, value))
        return made

    def _histograms(self, family: Family) -> Iterator[HistogramDataPoint]:
        for point in family.points:
            assert isinstance(point.value, Buckets)
            bounds, counts = point.value
            total = sum(counts)
            start = self._start(family.name, point.labels, total)
            yield HistogramDataPoint(
                attributes=dict(point.labels),
                start_time_unix_nano=start,
                time_unix_nano=self._now,
                count=total,
                sum=None,  # type: ignore[arg-type]  # programs keep none; it is optional in OTLP
                bucket_counts=counts,
                explicit_bounds=bounds,
                min=None,  # type: ignore[arg-type]
                max=None,  # type: ignore[arg-type]
            )

    def _start(self, name: str, labels: LabelValues, value: float) -> int:
        """Since when a sum counts, by what it was."""
        before = self._before.get((name, labels))
        same = before is not None and before.value <= value
        start = before.start if before is not None and same else self._new_since
        self.sums[name, labels] = _Sum(start, value)
        return start


def _number(value: float | Buckets) -> float:
    """As OTLP has numbers: integers of 64 bits with a sign, others as floats."""
    assert not isinstance(value, Buckets)
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return float(value)
    return int(value) if isinstance(value, bool) else value
