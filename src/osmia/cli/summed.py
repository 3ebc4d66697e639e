"""What `osmia run` sums up: fields of events, entries of maps, counters. No printing.

Each part has its `report`: of the time since the last `restart`, or of the `whole` run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import click

from osmia.cli.event_fields import EventFields
from osmia.records import dataclass
from osmia.summaries.histogram import Histogram
from osmia.summaries.keys import Key, MapKeys
from osmia.summaries.map_histograms import (
    Shape,
    histogram_shape,
    histograms,
    variable_histogram,
)
from osmia.summaries.rates import Rate, Rates
from osmia.summaries.readings import (
    is_internal,
    map_samples,
    number_fields,
    variable_names,
    variable_samples,
)
from osmia.summaries.top import Top
from osmia.values import Codec, IntCodec

#: Histograms of one summary, one a key; further keys share one.
_MOST_HISTOGRAMS = 1000
_OTHERS: Key = (("key", "all others"),)
#: Entries of a map that are ranked.
_MOST_RANKED = 100_000


@dataclass(frozen=True)
class TopReport:
    """Keys, with what each has (its `amount` of what is called so); `total` of all, `dropped` of
    those that were forgotten. `codecs` are the types in the keys."""

    title: str
    columns: tuple[str, ...]
    amount: str
    rows: list[tuple[Key, float]]
    codecs: Mapping[str, Codec]
    total: float
    dropped: float


@dataclass(frozen=True)
class HistogramReport:
    """Histograms by key, those of most values first; () is the only one's."""

    title: str
    histograms: dict[Key, Histogram]
    codecs: Mapping[str, Codec]


@dataclass(frozen=True)
class RateReport:
    """Counters, those that changed most first."""

    rates: list[Rate]


Report: TypeAlias = TopReport | HistogramReport | RateReport


class EventTop:
    """Events counted by fields, or the sums of another field by them."""

    def __init__(self, title: str, fields: Mapping[str, EventFields], sums: Mapping[str, Any]):
        self._title, self._fields, self._sums = title, fields, sums
        first = next(iter(fields.values()))
        self._columns = tuple(name or "value" for name in first.names)
        self._codecs = dict(zip(self._columns, first.codecs, strict=True))
        self._amount = next(iter(sums.values())).names[0] if sums else "events"
        self._whole, self._part = Top(), Top()

    def take(self, name: str, event: Any) -> None:
        """Count an event of a map."""
        fields, sums = self._fields.get(name), self._sums.get(name)
        key = fields.read(event) if fields is not None else None
        amount = sums.read(event) if sums is not None else (1,)
        if key is None or amount is None or (self._sums and sums is None):
            return
        self._whole.add(key, amount[0])
        self._part.add(key, amount[0])

    def restart(self) -> None:
        """Begin the next interval."""
        self._part = Top()

    def report(self, whole: bool, rows: int) -> Report:
        """What was counted."""
        top = self._whole if whole else self._part
        found: list[tuple[Key, float]] = [
            (tuple(zip(self._columns, key, strict=True)), amount)  # type: ignore[call-overload]
            for key, amount in top.rows(rows)
        ]
        return TopReport(
            self._title, self._columns, self._amount, found, self._codecs, top.total, top.dropped
        )


class EventHistogram:
    """How often a field of events had which values; one histogram for each value of others."""

    def __init__(
        self,
        title: str,
        fields: Mapping[str, EventFields],
        by: Mapping[str, EventFields],
        step: int | None,
    ) -> None:
        self._title, self._fields, self._by, self._step = title, fields, by, step
        self._whole: dict[Key, Histogram] = {}
        self._part: dict[Key, Histogram] = {}
        self._codecs = {
            name: codec
            for each in by.values()
            for name, codec in zip(each.names, each.codecs, strict=True)
        }

    def take(self, name: str, event: Any) -> None:
        """Count an event of a map."""
        fields, by = self._fields.get(name), self._by.get(name)
        value = fields.read(event) if fields is not None else None
        if value is None or fields is None or (self._by and by is None):
            return
        values = by.read(event) if by is not None else ()
        key: Key = tuple(zip(by.names, values or (), strict=True)) if by is not None else ()
        for known in (self._whole, self._part):
            self._of(known, key).add(value[0])

    def restart(self) -> None:
        """Begin the next interval."""
        self._part = {}

    def report(self, whole: bool, rows: int) -> Report:
        """What was counted, of the keys with most of it."""
        return _histogram_report(self._title, self._whole if whole else self._part, self._codecs)

    def _of(self, known: dict[Key, Histogram], key: Key) -> Histogram:
        if key not in known and len(known) >= _MOST_HISTOGRAMS:
            key = _OTHERS
        if key not in known:
            known[key] = Histogram(step=self._step, unit=self._title)
        return known[key]


class MapTop:
    """The entries of a map, ranked by a number in their values."""

    def __init__(self, name: str, source: Any, field: str, keys: MapKeys) -> None:
        self._name, self._source, self._keys = name, source, keys
        codec = source.value_codec
        present = number_fields(codec) if codec is not None else {}
        if not present or not hasattr(source, "items"):
            raise click.UsageError(f"--top {name}: no numbers are in the values of that map")
        if field and field not in present:
            names = ", ".join(each for each in present if each)
            raise click.UsageError(f"--sum {field}: map {name!r} has no such number; {names}")
        if not field and len(present) > 1:
            names = ", ".join(present)
            raise click.UsageError(f"--top {name}: say with --sum which number: {names}")
        self._field = field or next(iter(present))
        self._before = self._latest = self._read()

    def restart(self) -> None:
        """Begin the next interval."""
        self._before = self._latest

    def report(self, whole: bool, rows: int) -> Report:
        """The values, or how much they grew."""
        top, self._latest = Top(most_keys=_MOST_RANKED), self._read()
        for key, value in self._latest.items():
            grown = value if whole else value - self._before.get(key, 0)
            if grown:
                top.add(key, grown)
        found: list[tuple[Any, float]] = list(top.rows(rows))
        columns = tuple(name for name, _ in found[0][0]) if found else ("key",)
        amount = self._field or "value"
        return TopReport(
            self._name, columns, amount, found, self._keys.codecs, top.total, top.dropped
        )

    def _read(self) -> dict[Key, float]:
        read: dict[Key, float] = {}
        samples = map_samples(self._name, self._source, most_entries=_MOST_RANKED, keys=self._keys)
        for each in samples:
            if each.field == self._field:
                read[each.key] = read.get(each.key, 0) + each.value
        return read


class CountedHistogram:
    """The histograms that programs count in a map or a variable."""

    def __init__(
        self, loaded: Any, name: str, step: int | None, codecs: Mapping[str, Codec]
    ) -> None:
        self._loaded, self._name, self._step = loaded, name, step
        source = loaded.maps.get(name)
        self._shape = histogram_shape(source) if source is not None else None
        if source is not None and self._shape is None:
            self._shape = _shape_if_told(source, name)
        self._codecs = codecs
        self._before = self._latest = self._read()

    def restart(self) -> None:
        """Begin the next interval."""
        self._before = self._latest

    def report(self, whole: bool, rows: int) -> Report:
        """What was counted."""
        found = self._latest = self._read()
        if not whole:
            found = {
                key: each - self._before[key] if key in self._before else each
                for key, each in found.items()
            }
        return _histogram_report(self._name, found, self._codecs)

    def _read(self) -> dict[Key, Histogram]:
        if self._name in self._loaded.maps:
            source = self._loaded.maps[self._name]
            return histograms(source, shape=self._shape, step=self._step, unit=self._name)
        codec, value = self._loaded.data.slot(self._name).codec, self._loaded.data[self._name]
        found = variable_histogram(self._name, codec, value, step=self._step, unit=self._name)
        if found is None:
            raise click.UsageError(f"--histogram {self._name}: that variable holds no slots")
        return {(): found}


class Counters:
    """All numbers in maps and variables, and how fast they change."""

    def __init__(self, loaded: Any, without: set[str]) -> None:
        self._loaded, self._without = loaded, without
        self._rates = Rates(self._read())

    def restart(self) -> None:
        """Begin the next interval: the report did."""

    def report(self, whole: bool, rows: int) -> Report:
        """What changed since the last report."""
        rates = [each for each in self._rates.update(self._read()) if each.change]
        return RateReport(sorted(rates, key=lambda each: -abs(each.change)))

    def _read(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, source in self._loaded.maps.items():
            if hasattr(source, "items") and not is_internal(name) and name not in self._without:
                found |= {each.name: each.value for each in map_samples(name, source)}
        variables = variable_samples(self._loaded)
        return found | {e.name: e.value for e in variables if e.source not in self._without}


def counted_histograms(loaded: Any) -> list[str]:
    """The maps and variables that say themselves that they are histograms."""
    maps = [
        name
        for name, each in loaded.maps.items()
        if hasattr(each, "items") and not is_internal(name) and histogram_shape(each) is not None
    ]
    present = set(loaded.data)
    return maps + [
        name
        for name in variable_names(loaded.object, constants=False)
        if name in present
        and variable_histogram(name, loaded.data.slot(name).codec, loaded.data[name]) is not None
    ]


def _shape_if_told(source: Any, name: str) -> Shape:
    """A map that does not look like a histogram, and is one since the user says so."""
    if type(source.key_codec) is type(source.value_codec) is IntCodec:
        return Shape("entries")
    raise click.UsageError(
        f"--histogram {name}: that map holds no slots: no array of counters, none in its values"
        " (slots, hist, buckets), and no slot in its key"
    )


def _histogram_report(
    title: str, found: Mapping[Key, Histogram], codecs: Mapping[str, Codec]
) -> HistogramReport:
    ordered = sorted(found.items(), key=lambda each: -each[1].total)
    return HistogramReport(title, {key: each for key, each in ordered if each.total}, codecs)
