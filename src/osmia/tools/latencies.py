"""Tools that measure how long things take: what `histogram.bpf.h` counts, as histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osmia.summaries.histogram import Histogram
from osmia.tools.running import Summary, attached

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject

_UNITS = {True: ("msecs", 10**6), False: ("usecs", 10**3)}


@contextmanager
def measuring(
    name: str,
    key: str,
    label: Callable[[int], str],
    settings: Mapping[str, object],
    *,
    milliseconds: bool,
) -> Iterator[Summary[Histogram]]:
    """The histograms of a tool's programs: one for each `key`, whose number `label` names."""
    unit, unit_ns = _UNITS[milliseconds]
    with attached(name, {"unit_ns": unit_ns, **settings}) as loaded:
        yield Summary(key, "", lambda: {label(n): each for n, each in _histograms(loaded, unit)})


def _histograms(loaded: LoadedObject, unit: str) -> Iterator[tuple[int, Histogram]]:
    for key, each_cpus in loaded.maps["histograms"].items():
        slots = map(sum, zip(*(one.slots for one in each_cpus), strict=True))
        yield key, Histogram.from_slots(slots, unit=unit)
