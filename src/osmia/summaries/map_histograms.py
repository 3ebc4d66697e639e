"""Histograms that programs count in maps and global variables: which these are, and reading them.

Four shapes say "histogram": a value that is a struct with an array of integers called `slots`
(`hist`, `buckets`, …), under any key; a key that is a struct with an integer called `slot` (or
`bucket`), with a count under it; an array map of integers, where the map's name says it
(`latency_hist`, `dist`, …); and values that are arrays of integers, where the name does. Variables
may have the first and the last shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from osmia.arguments import names_wrong_arguments
from osmia.engine.maps import Map
from osmia.named_tuples import NamedTuple
from osmia.object import MapType
from osmia.summaries.histogram import MOST_BUCKETS, Histogram
from osmia.summaries.keys import Key, MapKeys
from osmia.values import ArrayCodec, Codec, EnumCodec, IntCodec, PointerCodec, StructCodec

_MEMBERS = ("slots", "hist", "histogram", "buckets", "bins", "dist")
_KEY_MEMBERS = ("slot", "bucket")
_NAMES = re.compile(
    r"(.*_)?((hist|histo|histogram|dist|distribution)s?(_.*)?|slots|lat|latency|latencies)",
    re.IGNORECASE,
)
#: Fewer counters are no histogram.
_LEAST_SLOTS = 4
_ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)


class Shape(NamedTuple):
    """Where a map keeps a histogram's slots: an entry each, in the value, or numbered by the key.

    `member` is the struct's that has them; "" where there is no struct.
    """

    where: Literal["entries", "value", "key"]
    member: str = ""


@names_wrong_arguments
def histogram_shape(source: Map) -> Shape | None:
    """How a map holds histograms; None for a map that says nothing of the kind."""
    codec, named = source.value_codec, bool(_NAMES.fullmatch(source.name))
    if codec is None or source.key_codec is None:
        return None
    if source.type in _ARRAYS and named and _is_count(codec):
        return Shape("entries") if _LEAST_SLOTS <= source.max_entries <= MOST_BUCKETS else None
    member = _slots_of(codec, named)
    if member is not None:
        return Shape("value", member)
    if isinstance(source.key_codec, StructCodec) and _is_count(codec):
        for name in _KEY_MEMBERS:
            field = source.key_codec.by_name.get(name)
            if field is not None and _is_count(field.codec):
                return Shape("key", name)
    return None


@names_wrong_arguments
def histograms(
    source: Map,
    *,
    shape: Shape | None = None,
    first: int = 0,
    step: int | None = None,
    unit: str = "value",
) -> dict[Key, Histogram]:
    """The histograms that a map holds now, by what is in its key beside the slot's number: names
    and values, () for a map that is one histogram.

    Values of per-CPU maps are added up. `first` and `step` are those of `Histogram.from_slots`;
    `shape` is for maps that do not say themselves that they are histograms. TypeError for a map
    that does not, and without `shape`.
    """
    shape = shape or histogram_shape(source)
    if shape is None:
        raise TypeError(f"map {source.name!r} does not look like a histogram; give its shape=")
    found: dict[Key, Histogram] = {}
    for key, slot, counts in _counts(source, shape):
        known = found.get(key)
        if known is None:
            known = found[key] = Histogram(step=step, unit=unit)
        for each, count in enumerate(counts, slot - first):
            known.add_slot(max(0, each), count)
    return {key: each for key, each in found.items() if each.total}


@names_wrong_arguments
def variable_histogram(
    name: str,
    codec: Codec,
    value: Any,
    *,
    first: int = 0,
    step: int | None = None,
    unit: str = "value",
) -> Histogram | None:
    """The histogram that a global variable is; None for one that does not look like it."""
    member = _slots_of(codec, bool(_NAMES.fullmatch(name)))
    if member is None:
        return None
    return Histogram.from_slots(
        value[member] if member else value, first=first, step=step, unit=unit
    )


def _counts(source: Any, shape: Shape) -> Iterator[tuple[Key, int, Sequence[int]]]:
    """A histogram's key, the number of a slot, and the counts from that slot on."""
    per_cpu, keys = bool(source.cpus), MapKeys(source)
    for key, value in source.items():
        match shape.where:
            case "entries":
                yield (), key, (sum(value) if per_cpu else value,)
            case "key":
                rest = keys.key(key, without=shape.member)
                yield rest, int(key[shape.member]), (sum(value) if per_cpu else value,)
            case "value":
                parts = value if per_cpu else (value,)
                slots = [part[shape.member] if shape.member else part for part in parts]
                whole = source.type in _ARRAYS and source.max_entries == 1
                totals = [sum(each) for each in zip(*slots, strict=True)]
                yield () if whole else keys.key(key), 0, totals


def _slots_of(codec: Codec, named: bool) -> str | None:
    """The member of a struct with the slots; "" where the value itself is them; else None."""
    if isinstance(codec, StructCodec):
        fields = ((name, codec.by_name.get(name)) for name in _MEMBERS)
        return next((name for name, each in fields if each and _are_counts(each.codec)), None)
    return "" if named and _are_counts(codec) else None


def _are_counts(codec: Codec) -> bool:
    if not isinstance(codec, ArrayCodec) or not _is_count(codec.element):
        return False
    return _LEAST_SLOTS <= codec.size // codec.element_size <= MOST_BUCKETS


def _is_count(codec: Codec) -> bool:
    return isinstance(codec, IntCodec) and not isinstance(codec, EnumCodec | PointerCodec)
