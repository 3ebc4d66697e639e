"""`Metrics`: a loaded object's numbers, for a registry of `prometheus_client`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from osmia.closing import ClosedByWith
from osmia.engine.loaded import LoadedObject
from osmia.metrics.choice import Choice, View
from osmia.metrics.parts import ObjectParts
from osmia.metrics.prometheus import Collector
from osmia.metrics.reading import ObjectReader, checked_gauges
from osmia.summaries.readings import MOST_ENTRIES

if TYPE_CHECKING:
    pass


class Metrics(Collector, ClosedByWith):
    """A collector for `prometheus_client` of a loaded object's numbers; `close` it before the
    object, or use it in a `with` block.

    Of a map `flows` with members `packets` and `bytes` in its values there are
    `bpf_flows_packets_total` and `bpf_flows_bytes_total`, with a label for each member of its key;
    of a variable `depth` there is `bpf_depth`. Unsigned integers are counters; other numbers, and
    moments (`last_seen_ns`), are gauges, and so are the maps, variables and `map.member`s that
    `gauges` names. Histograms (see `osmia.summaries.histograms`) are histograms, without a sum,
    which programs do not keep. Values of per-CPU maps are added up; constants, addresses and
    ports are no metrics. Of a map `most_entries` entries are told at most, and
    `bpf_truncated{map="flows"}` where it has more. With `views` those numbers alone are metrics,
    called as these say. Once it, or the object, is closed there are none.
    """

    def __init__(
        self,
        loaded: LoadedObject,
        *,
        prefix: str = "bpf",
        gauges: Collection[str] = (),
        most_entries: int = MOST_ENTRIES,
        views: Sequence[View] = (),
    ) -> None:
        gauges = checked_gauges(loaded, gauges)
        choice = Choice(prefix, tuple(views), gauges=gauges, most_entries=most_entries)
        self._reader = ObjectReader(ObjectParts(loaded), choice)
        super().__init__(self._reader.read)

    def close(self) -> None:
        """Read nothing any more; waits for a scrape that is being answered."""
        self._reader.close()
