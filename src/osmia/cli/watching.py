"""What `osmia run` prints while programs run: events, bpf_printk, iterators; then the maps."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any

import click

from osmia.cli.formats import Formats, MapTypes
from osmia.cli.json_values import typed
from osmia.cli.output import Output, note, printable, remarks_noted
from osmia.cli.typed_text import print_entries, typed_text
from osmia.errors import KernelError, OsmiaError
from osmia.events import EventSource, TraceLine, TracePipe
from osmia.events.merged import merged
from osmia.events.record_types import PresumedCodec, presumed_record_codec
from osmia.isa import walk
from osmia.object import DataKind, Object
from osmia.values import Codec

#: Entries of a map that are shown; -v and JSON show all.
_SHOWN_ENTRIES = 20
#: Numbers of bpf_trace_printk and bpf_trace_vprintk.
_PRINT_HELPERS = (6, 177)
_PRINTK = ""


def prints(obj: Object) -> bool:
    """Whether a function of the object uses bpf_printk."""
    return any(
        insn.is_helper_call and insn.imm in _PRINT_HELPERS
        for function in obj.functions.values()
        for _, insn in walk(function.code, "little" if obj.byteorder == "little" else "big")
    )


class Watcher:
    """Prints what a loaded object's programs say, until `count` events are there.

    `types` names the events' types: {"events": "flow_event"}, or {"": …} for all maps.
    What they print with bpf_printk is shown too: in the kernel that of the whole system,
    which has one trace pipe.
    """

    def __init__(
        self,
        output: Output,
        loaded: Any,
        undo: ExitStack,
        *,
        types: Mapping[str, str],
        formats: Formats,
        count: int = 0,
    ) -> None:
        self.output = output
        self.formats = formats
        self.seen = 0
        self._count = count
        self._sources: dict[str, EventSource[Any]] = {}
        self._codecs: dict[str, Codec] = {}
        for name in types:
            if name and name not in loaded.maps:
                raise click.UsageError(f"--event: there is no map {name!r}")
        for name, each in loaded.maps.items():
            if hasattr(each, "event_codec"):
                presumed = _record_codec(loaded.object, name, types)
                if presumed is not None:
                    each.event_codec = presumed
                    self._codecs[name] = presumed.codec
                elif each.event_codec is not None:
                    self._codecs[name] = each.event_codec
                self._sources[name] = undo.enter_context(each.events)
        formats.check_loaded(loaded, self._codecs)
        # A vm keeps the lines itself.
        self._vm_lines: deque[str] | None = loaded.vm.trace if hasattr(loaded, "vm") else None
        if self._vm_lines is None and prints(loaded.object):
            self._watch_trace_pipe(undo)

    def _watch_trace_pipe(self, undo: ExitStack) -> None:
        try:
            with remarks_noted():
                pipe = undo.enter_context(TracePipe())
        except OsmiaError as error:
            busy = isinstance(error, KernelError) and error.errno == errno.EBUSY
            reason = "somebody else reads the trace pipe" if busy else str(error)
            note(f"what programs print with bpf_printk is not shown: {reason}")
            return
        pipe.read()  # what others printed before
        self._sources[_PRINTK] = pipe

    def watch(self, duration: float | None) -> None:
        """Print events as they come, for `duration` seconds, or until `count` were there."""
        self._print(merged(self._sources, timeout=duration))

    def drain(self) -> None:
        """Print the events that are there now."""
        for name, source in self._sources.items():
            self._print((name, event) for event in source.read())
        while self._vm_lines:
            line = self._vm_lines.popleft()
            if self.output.json:
                self.output.record({"printk": {"message": line}})
            else:
                self.output.line(printable(line))

    def _print(self, events: Iterator[tuple[str, Any]]) -> None:
        left = max(0, self._count - self.seen) if self._count else None
        for name, event in islice(events, left):
            if isinstance(event, TraceLine):
                self._print_trace(event)
            else:
                self._print_event(name, event)
            self.output.flush()
            self.seen += 1

    def _print_trace(self, line: TraceLine) -> None:
        if self.output.json:
            self.output.record({"printk": line._asdict()})
        else:
            self.output.line(printable(f"{line.task}-{line.pid}: {line.message}"))

    def _print_event(self, name: str, event: Any) -> None:
        cpu = None
        if isinstance(event, tuple):  # perf buffers tell the CPU
            cpu, event = event
        codec = self.formats.meant(self._codecs.get(name), name)
        if self.output.json:
            place = {} if cpu is None else {"cpu": cpu}
            shown = typed(codec, event)
            self.output.record({"event": {"map": name, **place, "value": shown}})
            return
        place_text = "" if cpu is None else f" [{cpu}]"
        text = typed_text(codec, event)
        self.output.line(printable(f"{name}{place_text}: {text}"))


def print_final_state(output: Output, loaded: Any, formats: Formats) -> None:
    """The maps' entries and the global variables, when all is over."""
    maps = {
        name: each
        for name, each in loaded.maps.items()
        if hasattr(each, "items") and not hasattr(each, "events")
    }
    # A dot is in the names of variables within functions: format strings, mostly.
    hidden = {
        key
        for section in loaded.object.data_sections.values()
        for key, variable in section.variables.items()
        if section.kind in (DataKind.KCONFIG, DataKind.STRUCT_OPS) or "." in variable.name
    }
    variables = [name for name in loaded.data if name not in hidden]
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
        _print_map(output, name, each, _types(formats, name, each))
    if variables:
        output.heading("globals")
        rows = ((name, _variable_text(loaded, name, formats)) for name in variables)
        output.table(("name", "value"), rows)


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


def _print_map(output: Output, name: str, each: Any, types: MapTypes) -> None:
    output.heading(f"map {name}")
    limit = None if output.verbose else _SHOWN_ENTRIES
    entries = _entries(each)
    shown = islice(entries, limit)
    print_entries(output, *types, shown, per_cpu=bool(each.cpus))
    more = sum(1 for _ in entries)
    if more:
        output.line(f"… and {more} more entries (-v shows all)", "dim")


def _variable_text(loaded: Any, name: str, formats: Formats) -> str:
    return typed_text(formats.meant(loaded.data.slot(name).codec, name), loaded.data[name])


def _record_codec(obj: Object, name: str, types: Mapping[str, str]) -> PresumedCodec | None:
    """The codec of the named type, or of the one that sources usually mean."""
    named = types.get(name) or types.get("")
    if named:
        return PresumedCodec(obj.codec(named))
    definition = obj.maps[name]
    if definition.value_type_id:
        return None  # the map itself tells
    return presumed_record_codec(obj, name)
