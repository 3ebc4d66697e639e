"""The metrics of one scrape: valid names and labels, counters, gauges, histograms."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from osmia.errors import MissingPackageError
from osmia.summaries.histogram import Histogram
from osmia.summaries.keys import Key, value_text
from osmia.summaries.readings import Sample
from osmia.values import Codec

try:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
except ImportError as error:
    raise MissingPackageError("prometheus_client", extra="metrics") from error

_UNFIT = re.compile(r"[^a-zA-Z0-9_]")
#: Powers of two that have a bucket for each slot of the program's; more are those that it used.
_MOST_SLOTS = 64


class Families:
    """The metrics of one scrape. No two have one name, nor two series of one the same labels."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names: dict[str, tuple[str, ...]] = {}
        self._numbers: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
        self._kinds: dict[tuple[str, ...], tuple[str, bool, list[str]]] = {}
        self._histograms: dict[str, HistogramMetricFamily] = {}
        self._truncated: list[str] = []

    def add(self, sample: Sample, is_counter: bool) -> None:
        """A number of a counter or gauge."""
        source = (sample.source, sample.field)
        if source not in self._kinds:
            names = [name for name, _ in sample.key] + ["element"] * len(sample.indices)
            self._kinds[source] = (self._name(source), is_counter, _label_names(names))
            self._numbers[source] = {}
        codecs = sample.key_codecs
        key = (_text(value, codecs.get(name), name) for name, value in sample.key)
        values = (*key, *map(str, sample.indices))
        numbers = self._numbers[source]
        numbers[values] = numbers.get(values, 0) + sample.value

    def add_histogram(
        self, source: str, key: Key, found: Histogram, slots: int, codecs: dict[str, Codec]
    ) -> None:
        """A histogram, with a bucket for each of so many slots, and for those that it has."""
        family = self._histograms.get(source)
        if family is None:
            labels = _label_names([name for name, _ in key], reserved=("le",))
            family = HistogramMetricFamily(
                self._name((source,)), f"Histogram {source} of a BPF program.", labels=labels
            )
            self._histograms[source] = family
        values = [_text(value, codecs.get(name), name) for name, value in key]
        family.add_metric(values, _cumulative(found, slots), None)

    def truncated(self, name: str) -> None:
        """A map has more entries than are told."""
        self._truncated.append(name)

    def metrics(self) -> list[Metric]:
        """All, as `prometheus_client` has them."""
        made: list[Metric] = [*self._histograms.values()]
        for source, (name, is_counter, labels) in self._kinds.items():
            of = ".".join(filter(None, source))
            family = (CounterMetricFamily if is_counter else GaugeMetricFamily)(
                name, f"{of} of a BPF program.", labels=labels
            )
            for values, number in self._numbers[source].items():
                family.add_metric(list(values), number)
            made.append(family)
        if self._truncated:
            name = self._name(("truncated",))
            told = GaugeMetricFamily(name, "Maps with more entries than told.", labels=["map"])
            for each in self._truncated:
                told.add_metric([each], 1)
            made.append(told)
        return made

    def _name(self, source: tuple[str, ...]) -> str:
        parts = [self._prefix, *source] if self._prefix else list(source)
        # Counters get their "_total" when they are written.
        name = identifier("_".join(filter(None, parts))).removesuffix("_total") or "total"
        unique, number = name, 2
        while unique in self._names:
            unique, number = f"{name}_{number}", number + 1
        self._names[unique] = source
        return unique


def _cumulative(found: Histogram, slots: int) -> list[tuple[str, float]]:
    """Buckets as Prometheus has them: upper ends, and how many values are not above."""
    counts = {bucket.high: bucket.count for bucket in found.buckets if bucket.high is not None}
    ends = {(2 << slot) - 1 for slot in range(min(slots, _MOST_SLOTS))} | set(counts)
    total, buckets = 0, []
    for end in sorted(ends):
        total += counts.get(end, 0)
        buckets.append((f"{float(end)!r}", float(total)))
    return [*buckets, ("+Inf", float(found.total))]


def _text(value: Any, codec: Codec | None, name: str) -> str:
    """A label's value, which is UTF-8: what is none is escaped."""
    text = value_text(value, codec, name)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def identifier(text: str) -> str:
    name = _UNFIT.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


def _label_names(names: list[str], reserved: Collection[str] = ()) -> list[str]:
    """Valid names for labels, no two the same; those with two underscores are Prometheus' own."""
    made: list[str] = []
    for name in names:
        label = identifier(name)
        if label.startswith("__") or label in reserved:
            label = f"key_{label.lstrip('_')}"
        while label in made:
            label += "_"
        made.append(label)
    return made
