"""What a loaded object counts, read as it is now."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from osmia.closing import ClosedByWith
from osmia.engine.maps import Map
from osmia.errors import OsmiaError
from osmia.metrics.choice import Choice
from osmia.metrics.families import Families, Family, Kind, Point, named
from osmia.metrics.parts import Parts
from osmia.named_tuples import NamedTuple
from osmia.summaries.keys import Key, MapKeys
from osmia.summaries.map_histograms import histogram_shape, histograms, variable_histogram
from osmia.summaries.readings import (
    Sample,
    is_internal,
    map_samples,
    value_samples,
)
from osmia.values import ArrayCodec, Codec, IntCodec, StructCodec
from osmia.values.meaning import meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osmia.engine.loaded import LoadedObject
    from osmia.metrics.choice import View
    from osmia.metrics.feeds import Feed
    from osmia.metrics.settings import EventLog

_Found = TypeVar("_Found")

#: How often and how long programs ran: what the kernel calls it, and what one is.
_RUNS = (
    ("program_runs", "run_cnt", "How often a program ran.", "", 1),
    ("program_seconds", "run_time_ns", "How long a program ran, in seconds.", "s", 1e-9),
)


class Reading(NamedTuple):
    """The metrics of a host ("": this one), and for how many ns they may have been counting;
    of a host that is `lost`, that it is."""

    host: str
    families: list[Family]
    age: int = 0
    lost: bool = False


class Readable(Protocol):
    """What metrics are read of."""

    def read(self) -> list[Reading]:
        """The metrics as they are now, a Reading for each host."""


class Source(Readable, Protocol):
    """What metrics and events are read of: a loaded object, a fleet."""

    def feed(self, logs: Sequence[EventLog]) -> Feed:
        """The events of some buffers. ValueError for what they do not have."""


class ObjectReader(ClosedByWith):
    """Reads a loaded object, or what is pinned, until it is closed, or this is; from any thread.
    ValueError for views of what there is not."""

    def __init__(self, parts: Parts, choice: Choice) -> None:
        if choice.views:
            from osmia.metrics.checks import check_view, facts_of_parts

            facts = facts_of_parts(parts)
            for view in choice.views:
                check_view(view, facts)
        self._parts = parts
        self._choice = choice
        self._lock = threading.Lock()
        self._closed = False

    def read(self) -> list[Reading]:
        """The metrics as they are now; none once this, or the object, is closed."""
        with self._lock:
            if self._closed or self._parts.closed:
                return []
            return [Reading("", read_object(self._parts, self._choice), age_of(self._parts))]

    def feed(self, logs: Sequence[EventLog]) -> Feed:
        """See `Source`."""
        from osmia.metrics.feeds import ObjectFeed

        return ObjectFeed(self._parts, logs)

    def close(self) -> None:
        """Read nothing any more; waits for a reading that is being made."""
        with self._lock:
            self._closed = True


def read_object(parts: Parts, choice: Choice) -> list[Family]:
    """The metrics of a loaded object, or of what is pinned."""
    families = Families(choice.prefix)
    drawn = set(_add_histograms(families, parts, choice))
    shown: dict[tuple[str, str], list[tuple[Kind, View | None]]] = {}
    for sample in _samples(families, parts, choice, drawn):
        of = sample.source, sample.field
        if of not in shown:
            shown[of] = [(_kind(sample, choice, view), view) for view in choice.of(*of)]
        for kind, view in shown[of]:
            families.add(sample, kind, view)
    made = families.all()
    return [*made, *_runs(parts, choice.prefix)] if choice.programs else made


def age_of(parts: Parts) -> int:
    """Since how many ns an object's programs are loaded, as far as its engine tells; 0."""
    infos = map(_info, parts.programs.values())
    loads = [info.load_time for info in infos if info is not None]
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - min(loads)) if loads else 0


def checked_gauges(loaded: LoadedObject, gauges: Collection[str]) -> frozenset[str]:
    """The same; ValueError for one that is nothing of the object's."""
    for name in gauges:
        source = name.partition(".")[0]
        if source not in loaded.maps and name not in loaded.data:
            raise ValueError(f"gauges: there is no map and no variable {name!r}")
    return frozenset(gauges)


def _runs(parts: Parts, prefix: str) -> Iterator[Family]:
    for name, field, text, unit, factor in _RUNS:
        points = []
        for program in parts.programs.values():
            info = _info(program)
            if info is not None:
                value = getattr(info, field) * factor
                points.append(Point((("program", program.name),), value))
        if points:
            yield Family(named(prefix, name), "counter", text, unit, points)


def _info(program: Any) -> Any:
    """What the kernel says of a program; None where it is in no kernel."""
    try:
        return program.info
    except OsmiaError:
        return None


def _samples(
    families: Families, parts: Parts, choice: Choice, without: Collection[str]
) -> Iterator[Sample]:
    for name, source in parts.maps.items():
        if _is_read(name, source, choice) and name not in without:
            yield from _entries(families, name, source, choice.most_entries)
    for name, codec, value in _readable(parts.variables()):
        if name not in without and choice.wants(name):
            yield from value_samples(name, codec, value)


def _entries(families: Families, name: str, source: Map, limit: int) -> Iterator[Sample]:
    """A map's numbers, those of one entry after the other."""
    entries = 0
    last: Key | None = None
    for each in _readable(map_samples(name, source, most_entries=limit + 1)):
        if each.key != last:
            last, entries = each.key, entries + 1
        if entries > limit:
            families.truncated(name)
            return
        yield each


def _is_read(name: str, source: Any, choice: Choice) -> bool:
    return hasattr(source, "items") and not is_internal(name) and choice.wants(name)


def _kind(sample: Sample, choice: Choice, view: View | None) -> Kind:
    if view is not None and view.kind:
        return view.kind
    named = {sample.source, f"{sample.source}.{sample.field}"}
    unsigned = isinstance(sample.codec, IntCodec) and not sample.codec.signed
    moment = meaning(sample.codec, sample.field.rpartition(".")[2] or sample.source) == "ktime"
    return "counter" if unsigned and not moment and not named & choice.gauges else "gauge"


def _add_histograms(families: Families, parts: Parts, choice: Choice) -> Iterator[str]:
    """The names of what is a histogram, and was added."""
    for name, source in parts.maps.items():
        if _is_read(name, source, choice) and _is_drawn(name, choice):
            shape = histogram_shape(source)
            if shape is not None and _add_map_histograms(families, name, source, shape, choice):
                yield name
    for name, codec, value in _readable(parts.variables()):
        if choice.wants(name) and _is_drawn(name, choice):
            drawn = variable_histogram(name, codec, value)
            if drawn is not None:
                for view in choice.of(name):
                    families.add_histogram(name, (), drawn, 0, {}, view)
                yield name


def _is_drawn(name: str, choice: Choice) -> bool:
    """Whether it may be a histogram: not where a view says that it is something else."""
    return not any(
        view is not None and (view.kind or view.member)
        for view in choice.views
        if view.source == name
    )


def _add_map_histograms(
    families: Families, name: str, source: Any, shape: Any, choice: Choice
) -> bool:
    try:
        found = histograms(source, shape=shape)
    except OsmiaError:
        return False
    slots = {
        "entries": source.max_entries,
        "value": _slot_count(source.value_codec, shape.member),
    }.get(shape.where, 0)
    codecs = MapKeys(source).codecs
    for key, each in found.items():
        for view in choice.of(name):
            families.add_histogram(name, key, each, slots, codecs, view)
    return True


def _slot_count(codec: Codec, member: str) -> int:
    inner = codec.by_name[member].codec if member and isinstance(codec, StructCodec) else codec
    return inner.count if isinstance(inner, ArrayCodec) else 0


def _readable(found: Iterator[_Found]) -> Iterator[_Found]:
    """What is found, up to where something cannot be read."""
    try:
        yield from found
    except OsmiaError:
        return
