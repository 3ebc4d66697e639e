"""Metrics of one reading, for whoever sends them: names, labels, counters, gauges, histograms."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from osmia.metrics.choice import View
from osmia.named_tuples import NamedTuple
from osmia.summaries.histogram import Histogram
from osmia.summaries.keys import Key, value_text
from osmia.summaries.readings import Sample
from osmia.values import Codec

_UNFIT = re.compile(r"[^a-zA-Z0-9_]")
#: Powers of two that have a bucket for each slot of the program's; more are those that it used.
_MOST_SLOTS = 64
#: Units, as UCUM writes them, that the last word of a name says.
_UNITS = {
    "bytes": "By",
    "ns": "ns",
    "us": "us",
    "usecs": "us",
    "ms": "ms",
    "msecs": "ms",
    "seconds": "s",
    "secs": "s",
}

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
#: Labels' names and values.
LabelValues: TypeAlias = tuple[tuple[str, str], ...]


class Buckets(NamedTuple):
    """A histogram: upper ends, and how many values each bucket has; behind the last end one more,
    of the values above all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]


class Point(NamedTuple):
    """A number, or a histogram, with its labels."""

    labels: LabelValues
    value: float | Buckets


class Family(NamedTuple):
    """A metric: a name without what a format adds to it ("_total"), its unit as UCUM writes it
    ("" where it is not known), and its points, no two with the same labels."""

    name: str
    kind: Kind
    help: str
    unit: str
    points: list[Point]


class Families:
    """The metrics of one reading. No two have one name, nor two points of one the same labels."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names: set[str] = set()
        self._numbers: dict[_Of, _Numbers] = {}
        self._histograms: dict[_Of, _Histograms] = {}
        self._truncated: list[str] = []

    def add(self, sample: Sample, kind: Kind, view: View | None) -> None:
        """A number of a counter or gauge. Those that differ only by labels that the view leaves
        out are added up."""
        of = (sample.source, sample.field, id(view))
        known = self._numbers.get(of)
        if known is None:
            names = [name for name, _ in sample.key] + ["element"] * len(sample.indices)
            about = ".".join(filter(None, of[:2]))
            family = self._family(of, kind, f"{about} of a BPF program.", view)
            known = self._numbers[of] = _Numbers(family, _Labels(names, view), {})
        codecs = sample.key_codecs
        key = [_text(value, codecs.get(name), name) for name, value in sample.key]
        labels = known.labels.of([*key, *map(str, sample.indices)])
        known.values[labels] = known.values.get(labels, 0) + sample.value

    def add_histogram(
        self,
        source: str,
        key: Key,
        found: Histogram,
        slots: int,
        codecs: Mapping[str, Codec],
        view: View | None,
    ) -> None:
        """A histogram, with a bucket for each of so many slots, and for those that it has."""
        of = (source, "", id(view))
        known = self._histograms.get(of)
        if known is None:
            text = f"Histogram {source} of a BPF program."
            family = self._family(of, "histogram", text, view)
            labels = _Labels([name for name, _ in key], view, reserved=("le",))
            known = self._histograms[of] = _Histograms(family, labels, {})
        values = [_text(value, codecs.get(name), name) for name, value in key]
        known.values.setdefault(known.labels.of(values), _Counts()).add(found, slots)

    def truncated(self, name: str) -> None:
        """A map has more entries than are told."""
        self._truncated.append(name)

    def all(self) -> list[Family]:
        """All of them."""
        made = []
        for family, _, drawn in self._histograms.values():
            family.points.extend(Point(labels, each.buckets()) for labels, each in drawn.items())
            made.append(family)
        for family, _, values in self._numbers.values():
            family.points.extend(Point(labels, value) for labels, value in values.items())
            made.append(family)
        if self._truncated:
            name = self._unique(named(self._prefix, "truncated"))
            told = [Point((("map", each),), 1) for each in self._truncated]
            made.append(Family(name, "gauge", "Maps with more entries than told.", "", told))
        return made

    def _family(self, of: _Of, kind: Kind, text: str, view: View | None) -> Family:
        source, field, _ = of
        name = named(self._prefix, source, field)
        unit = unit_of(field or source)
        if view is not None:
            if view.name:
                name = view.name if view.member else named(view.name, field)
            text, unit = view.help or text, view.unit or unit
        return Family(self._unique(name), kind, text, unit, [])

    def _unique(self, text: str) -> str:
        # Counters get their "_total" when they are written.
        name = text.removesuffix("_total") or "total"
        unique, number = name, 2
        while unique in self._names:
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        return unique


#: A map or variable, the member of its values, and who asked for it.
_Of: TypeAlias = tuple[str, str, int]


class _Labels:
    """Which labels points have of the names and values in a key."""

    def __init__(
        self, names: Sequence[str], view: View | None, reserved: Collection[str] = ()
    ) -> None:
        wanted = None if view is None else view.renamed
        kept = [at for at, name in enumerate(names) if wanted is None or name in wanted]
        called = [names[at] if wanted is None else wanted[names[at]] for at in kept]
        self._kept = list(zip(kept, label_names(called, reserved), strict=True))

    def of(self, values: Sequence[str]) -> LabelValues:
        """Names and values of those that are kept."""
        return tuple([(label, values[at]) for at, label in self._kept])


class _Numbers(NamedTuple):
    family: Family
    labels: _Labels
    values: dict[LabelValues, float]


class _Counts:
    """Histograms added up."""

    def __init__(self) -> None:
        self._by_end: dict[int, int] = {}
        self._total = 0

    def add(self, found: Histogram, slots: int) -> None:
        """One more, with a bucket for each of so many slots, and for those that it has."""
        for slot in range(min(slots, _MOST_SLOTS)):
            self._by_end.setdefault((2 << slot) - 1, 0)
        for bucket in found.buckets:
            if bucket.high is not None:
                self._by_end[bucket.high] = self._by_end.get(bucket.high, 0) + bucket.count
        self._total += found.total

    def buckets(self) -> Buckets:
        ends = sorted(self._by_end)
        counts = [self._by_end[end] for end in ends]
        return Buckets(tuple(map(float, ends)), (*counts, self._total - sum(counts)))


class _Histograms(NamedTuple):
    family: Family
    labels: _Labels
    values: dict[LabelValues, _Counts]


def _text(value: Any, codec: Codec | None, name: str) -> str:
    """A label's value, which is UTF-8: what is none is escaped."""
    text = value_text(value, codec, name)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unit_of(name: str) -> str:
    """The unit that a name ends with, as UCUM writes it: "By" of `rx_bytes`; "" for none."""
    return _UNITS.get(re.split(r"[._]", name)[-1], "")


def named(*parts: str) -> str:
    """A valid name of a metric, made of what there is of some parts."""
    return identifier("_".join(filter(None, parts)))


def identifier(text: str) -> str:
    """A valid name."""
    name = _UNFIT.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


def label_names(names: Sequence[str], reserved: Collection[str] = ()) -> list[str]:
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
