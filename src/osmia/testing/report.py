"""What the report of a failed test shows: the last run's packet and path, what maps have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from osmia.captures.summary import summary
from osmia.engine.loaded import LoadedObject
from osmia.engine.maps.keyed import KeyedMap
from osmia.engine.results import as_packet
from osmia.errors import OsmiaError
from osmia.object.uapi import MapType
from osmia.testing.recording import Path, Recording, Run

_TABLES = {MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH}
_TABLES |= {MapType.LPM_TRIE}
_ARRAYS = {MapType.ARRAY, MapType.PERCPU_ARRAY}

#: Entries of a map that are shown, and those of an array that are looked at.
_SHOWN, _LOOKED_AT = 10, 10_000


def report(recording: Recording) -> str:
    """The text; "" where there was no run and nothing changed.

    The test has failed for a reason that matters more: what cannot be read is said in a line.
    """
    lines: list[str] = []
    try:
        if recording.last is not None:
            lines += _run(recording.last)
        changed = [f"  {line}" for line in changes(recording.bpf)]
        if changed:
            lines += ["changed since it was loaded:", *changed]
    except OsmiaError as error:
        lines.append(f"what else there is cannot be read: {error}")
    return "\n".join(lines)


def _run(run: Run) -> Iterator[str]:
    result = run.result
    gave = "no result" if result is None else f"{result.verdict} (retval {result.retval})"
    yield f"run {run.number}, program {run.program.name!r}, {run.program.engine}: {gave}"
    packet = as_packet(run.data) if run.data else b""
    if packet:
        yield "packet:"
        yield from (f"  {line}" for line in summary(packet))
        if result is not None and result.data and result.data != packet:
            yield "left as:"
            yield from (f"  {line}" for line in summary(result.data))
    if run.path is not None and run.path.lines:
        yield "lines that ran:"
        yield from (f"  {line}" for line in _path(run.path))
    elif run.program.engine == "vm" and run.path is None:
        yield 'lines that ran: not known, run(…, executor="interpreter") tells them'


def _path(path: Path) -> Iterator[str]:
    if path.left_out:
        yield f"… {path.left_out} before"
    file = ""
    for line in path.lines:
        if line.file != file:
            file = line.file
            yield f"{file}:"
        yield f"{line.line:6}  {line.text.strip()}"


def changes(bpf: LoadedObject) -> Iterator[str]:
    """Global variables that are no more what they were at load, entries of hash maps, and those of
    arrays that are not zero."""
    initial = bpf.object.data
    for name, value in bpf.data.items():
        before = initial.get(name)
        if value != before:
            yield f"{name}: {before!r:.200} → {value!r:.200}"
    for name, held in bpf.maps.items():
        if isinstance(held, KeyedMap):
            yield from _entries(name, held)


def _entries(name: str, held: KeyedMap) -> Iterator[str]:
    kind = held.info.type
    if kind in _TABLES:
        keys = iter(held)
    elif kind in _ARRAYS:
        keys = (key for key in islice(held, _LOOKED_AT) if any(_bytes(held, key)))
    else:
        return
    for key in islice(keys, _SHOWN):
        yield f"{name}[{key!r:.100}] = {held.get(key)!r:.300}"
    if next(keys, None) is not None:
        yield f"{name}: …"


def _bytes(held: KeyedMap, key: Any) -> bytes:
    return held.read_encoded(held.encode_key(key)) or b""
