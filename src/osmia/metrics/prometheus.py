"""Metrics as `prometheus_client` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from osmia.errors import MissingPackageError
from osmia.metrics.families import Buckets, Family, LabelValues
from osmia.metrics.reading import Reading

try:
    from prometheus_client.core import Metric
except ImportError as error:
    raise MissingPackageError("prometheus_client", extra="metrics") from error

#: What a unit is called at the end of a name.
_WORDS = {"s": "seconds", "By": "bytes"}
#: The label that says which host; a key's member of that name is told apart.
_HOST = "host"


class Collector:
    """A collector for a registry of what is read of something: `read` is that of a `Readable`."""

    def __init__(self, read: Callable[[], list[Reading]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: which metrics there are is known when they are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        return prometheus_metrics(self._read())


def prometheus_metrics(readings: Iterable[Reading]) -> list[Metric]:
    """The metrics of all readings, those of a host with a label `host`."""
    made: dict[str, Metric] = {}
    for reading in readings:
        for family in reading.families:
            metric = made.get(family.name)
            if metric is None:
                metric = made[family.name] = _metric(family)
            if metric.type == family.kind:  # hosts may have different objects during an upgrade
                _add_points(metric, family, reading.host)
    return list(made.values())


def _metric(family: Family) -> Metric:
    word = _WORDS.get(family.unit, "")
    unit = word if word and family.name.endswith(f"_{word}") else ""
    return Metric(family.name, family.help, family.kind, unit)


def _add_points(metric: Metric, family: Family, host: str) -> None:
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    for point in family.points:
        labels = with_host(point.labels, host)
        if isinstance(point.value, Buckets):
            _add_buckets(metric, labels, point.value)
        else:
            metric.add_sample(name, labels, float(point.value))


def with_host(labels: LabelValues, host: str) -> dict[str, str]:
    """Labels with the host's, if there is one."""
    if not host:
        return dict(labels)
    return {_HOST: host, **{f"key_{name}" if name == _HOST else name: v for name, v in labels}}


def _add_buckets(metric: Metric, labels: dict[str, str], value: Buckets) -> None:
    """As Prometheus has them: upper ends, and how many values are not above."""
    total = 0
    ends = [*(repr(each) for each in value.bounds), "+Inf"]
    for end, count in zip(ends, value.counts, strict=True):
        total += count
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": end}, float(total))
