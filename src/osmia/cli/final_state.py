"""What `osmia run` shows when all is over: maps' entries, histograms drawn, global variables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from osmia.cli.formats import Formats, MapTypes
from osmia.cli.json_values import typed
from osmia.cli.output import Output, shortened
from osmia.cli.typed_text import print_entries, typed_text
from osmia.errors import OsmiaError
from osmia.object import MapType
from osmia.summaries.readings import is_internal, is_set, variable_names
from osmia.values import PointerCodec

#: Entries of a map and histograms that are shown; -v and JSON show all.
_SHOWN_ENTRIES = 20
_SHOWN_HISTOGRAMS = 10
#: Columns of a cell; -v shows all.
_WIDEST = 60
_ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)


def print_final_state(output: Output, loaded: Any, formats: Formats) -> None:
    """The maps' entries and the global variables, but for what is none of the author's.

    In text entries of arrays that are all zero are left out, and CPUs that have only zeros;
    histograms are drawn. -v shows all as it is.
    """
    maps = {
        name: each
        for name, each in loaded.maps.items()
        if hasattr(each, "items") and not hasattr(each, "events") and not is_internal(name)
    }
    present = set(loaded.data)
    variables = [name for name in variable_names(loaded.object) if name in present]
    if output.json:
        shown = [
            {"map": name, "entries": list(_json_entries(each, _types(formats, name, each)))}
            for name, each in maps.items()
        ]
        values = {
            name: typed(formats.meant(loaded.data.slot(name).codec, name), loaded.data[name])
            for name in variables
        }
        output.record({"maps": shown, "globals": values})
        return
    for name, each in maps.items():
        types = _types(formats, name, each)
        if output.verbose or not _drew(output, name, each, types):
            _print_map(output, name, each, types)
    _print_variables(output, loaded, variables, formats)


def _entries(each: Any) -> Iterator[tuple[Any, Any]]:
    """The entries, none of maps that cannot be walked (storage of sockets, tasks, …)."""
    try:
        yield from each.items()
    except OsmiaError:
        return


def _types(formats: Formats, name: str, each: Any) -> MapTypes:
    return formats.map_types(each, name, each.key_codec, each.value_codec)


def _json_entries(each: Any, types: MapTypes) -> Iterator[dict[str, Any]]:
    codec = types.value
    for key, value in _entries(each):
        shown = [typed(codec, part) for part in value] if each.cpus else typed(codec, value)
        yield {"key": typed(types.key, key), "value": shown}


def _drew(output: Output, name: str, each: Any, types: MapTypes) -> bool:
    """Whether the map is a histogram, and was drawn."""
    from osmia.summaries.map_histograms import histogram_shape

    if histogram_shape(each) is None:
        return False
    from osmia.cli.summary_text import print_histogram
    from osmia.summaries.keys import MapKeys
    from osmia.summaries.map_histograms import histograms

    try:
        found = sorted(histograms(each, unit="value").items(), key=lambda pair: -pair[1].total)
    except OsmiaError:
        return False
    output.heading(f"map {name}")
    codecs = MapKeys(each, types.key).codecs
    for index, (key, histogram) in enumerate(found[:_SHOWN_HISTOGRAMS]):
        if index:
            output.line()
        print_histogram(output, key, histogram, codecs)
    if not found:
        output.line("nothing was counted", "dim")
    if len(found) > _SHOWN_HISTOGRAMS:
        output.line(f"… and {len(found) - _SHOWN_HISTOGRAMS} more histograms (-v)", "dim")
    return True


def _print_map(output: Output, name: str, each: Any, types: MapTypes) -> None:
    output.heading(f"map {name}")
    limit = None if output.verbose else _SHOWN_ENTRIES
    zeros = 0

    def present() -> Iterator[tuple[Any, Any]]:
        nonlocal zeros
        for key, value in _entries(each):
            if skips and not any(map(is_set, value if each.cpus else (value,))):
                zeros += 1
            elif each.cpus and not output.verbose and any(map(is_set, value)):
                yield key, [part if is_set(part) else None for part in value]
            else:
                yield key, value

    skips = each.type in _ARRAYS and not output.verbose
    entries = present()
    shown = list(islice(entries, limit))
    more = sum(1 for _ in entries)
    if shown:
        width = None if output.verbose else _WIDEST
        print_entries(output, *types, shown, per_cpu=bool(each.cpus), widest=width)
    else:
        output.line("all entries are zero" if zeros else "empty", "dim")
    if more:
        output.line(f"… and {more} more entries (-v shows all)", "dim")
    if zeros and shown:
        output.line(f"… and {zeros} {'entry' if zeros == 1 else 'entries'} of zeros", "dim")


def _print_variables(output: Output, loaded: Any, names: list[str], formats: Formats) -> None:
    """The variables' values; null pointers, which only name a type for BTF, not without -v."""
    width = None if output.verbose else _WIDEST
    rows = []
    for name in names:
        codec = formats.meant(loaded.data.slot(name).codec, name)
        value = loaded.data[name]
        if output.verbose or value or not isinstance(codec, PointerCodec):
            rows.append((name, shortened(typed_text(codec, value), width)))
    if rows:
        output.heading("globals")
        output.table(("name", "value"), rows)
