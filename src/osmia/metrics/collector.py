"""`Metrics`: a loaded object's numbers, for a registry of `prometheus_client`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from osmia.closing import ClosedByWith
from osmia.engine.loaded import LoadedObject
from osmia.engine.maps import Map
from osmia.errors import OsmiaError
from osmia.metrics.families import Families, identifier
from osmia.summaries.keys import Key, MapKeys
from osmia.summaries.map_histograms import histogram_shape, histograms, variable_histogram
from osmia.summaries.readings import (
    MOST_ENTRIES,
    Sample,
    is_internal,
    map_samples,
    variable_names,
    variable_samples,
)
from osmia.values import ArrayCodec, Codec, IntCodec, StructCodec
from osmia.values.meaning import meaning

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Metrics(ClosedByWith):
    """A collector for `prometheus_client` of a loaded object's numbers; `close` it before the
    object, or use it in a `with` block.

    Of a map `flows` with members `packets` and `bytes` in its values there are
    `bpf_flows_packets_total` and `bpf_flows_bytes_total`, with a label for each member of its key;
    of a variable `depth` there is `bpf_depth`. Unsigned integers are counters; other numbers, and
    moments (`last_seen_ns`), are gauges, and so are the maps, variables and `map.member`s that
    `gauges` names. Histograms (see `osmia.summaries.histograms`) are histograms, without a sum,
    which programs do not keep. Values of per-CPU maps are added up; constants, addresses and
    ports are no metrics. Of a map `most_entries` entries are told at most, and
    `bpf_truncated{map="flows"}` where it has more.
    """

    def __init__(
        self,
        loaded: LoadedObject,
        *,
        prefix: str = "bpf",
        gauges: Collection[str] = (),
        most_entries: int = MOST_ENTRIES,
    ) -> None:
        self._loaded = loaded
        self._prefix = identifier(prefix) if prefix else ""
        self._gauges = frozenset(gauges)
        self._most_entries = most_entries
        self._lock = threading.Lock()
        self._closed = False
        for name in self._gauges:
            source = name.partition(".")[0]
            if source not in loaded.maps and name not in loaded.data:
                raise ValueError(f"gauges: there is no map and no variable {name!r}")

    def describe(self) -> Iterable[Metric]:
        """Nothing: which metrics there are is known when they are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now; none once this, or the object, is closed."""
        with self._lock:
            if self._closed or self._loaded.closed:
                return []
            families = Families(self._prefix)
            drawn = set(self._collect_histograms(families))
            for sample in self._samples(families, drawn):
                families.add(sample, self._is_counter(sample))
            return families.metrics()

    def close(self) -> None:
        """Read nothing any more; waits for a scrape that is being answered."""
        with self._lock:
            self._closed = True

    def _samples(self, families: Families, without: Collection[str]) -> Iterator[Sample]:
        for name, source in self._loaded.maps.items():
            if hasattr(source, "items") and not is_internal(name) and name not in without:
                yield from self._entries(families, name, source)
        for each in _readable(variable_samples(self._loaded)):
            if each.source not in without:
                yield each

    def _entries(self, families: Families, name: str, source: Map) -> Iterator[Sample]:
        """A map's numbers, those of one entry after the other."""
        limit, entries = self._most_entries, 0
        last: Key | None = None
        for each in _readable(map_samples(name, source, most_entries=limit + 1)):
            if each.key != last:
                last, entries = each.key, entries + 1
            if entries > limit:
                families.truncated(name)
                return
            yield each

    def _is_counter(self, sample: Sample) -> bool:
        named = {sample.source, f"{sample.source}.{sample.field}"}
        unsigned = isinstance(sample.codec, IntCodec) and not sample.codec.signed
        moment = meaning(sample.codec, sample.field.rpartition(".")[2] or sample.source) == "ktime"
        return unsigned and not moment and not named & self._gauges

    def _collect_histograms(self, families: Families) -> Iterator[str]:
        """The names of what is a histogram, and was added."""
        for name, source in self._loaded.maps.items():
            shape = histogram_shape(source) if hasattr(source, "items") else None
            if shape is None or is_internal(name):
                continue
            try:
                found = histograms(source, shape=shape)
            except OsmiaError:
                continue
            slots = {
                "entries": source.max_entries,
                "value": _slot_count(source.value_codec, shape.member),
            }.get(shape.where, 0)
            codecs = MapKeys(source).codecs
            for key, each in found.items():
                families.add_histogram(name, key, each, slots, codecs)
            yield name
        present = set(self._loaded.data)
        for name in variable_names(self._loaded.object, constants=False):
            if name in present:
                codec = self._loaded.data.slot(name).codec
                drawn = variable_histogram(name, codec, self._loaded.data[name])
                if drawn is not None:
                    families.add_histogram(name, (), drawn, 0, {})
                    yield name


def _slot_count(codec: Codec, member: str) -> int:
    inner = codec.by_name[member].codec if member and isinstance(codec, StructCodec) else codec
    return inner.count if isinstance(inner, ArrayCodec) else 0


def _readable(found: Iterator[Sample]) -> Iterator[Sample]:
    """The samples up to where something cannot be read."""
    try:
        yield from found
    except OsmiaError:
        return
