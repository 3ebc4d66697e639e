"""What `osmia run` prints while programs run: events, and what they print with bpf_printk."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.formats import Formats
from osmia.cli.json_values import typed
from osmia.cli.output import Output, note, printable, remarks_noted
from osmia.cli.typed_text import typed_text
from osmia.errors import KernelError, OsmiaError
from osmia.events import EventSource, TraceLine, TracePipe
from osmia.events.merged import merged, present
from osmia.events.record_types import PresumedCodec, presumed_record_codec
from osmia.isa import walk
from osmia.object import Object
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.cli.summaries import Summaries

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
        self.codecs: dict[str, Codec] = {}
        """The types of the events that are known, by map."""
        self.takers: list[Callable[[str, Any], None]] = []
        """Where the events go that are not to be printed; a perf buffer's with the CPU."""
        self.summaries: Summaries | None = None
        self._count = count
        self._sources: dict[str, EventSource[Any]] = {}
        for name in types:
            if name and name not in loaded.maps:
                raise click.UsageError(f"--event: there is no map {name!r}")
        for name, each in loaded.maps.items():
            if hasattr(each, "event_codec"):
                presumed = _record_codec(loaded.object, name, types)
                if presumed is not None:
                    each.event_codec = presumed
                    self.codecs[name] = presumed.codec
                elif each.event_codec is not None:
                    self.codecs[name] = each.event_codec
                self._sources[name] = undo.enter_context(each.events)
        formats.check_loaded(loaded, self.codecs)
        # A vm keeps the lines itself.
        self._vm_lines: deque[str] | None = loaded.vm.trace if hasattr(loaded, "vm") else None
        if self._vm_lines is None and prints(loaded.object):
            self._watch_trace_pipe(undo)

    @property
    def event_maps(self) -> list[str]:
        """The maps whose events are watched."""
        return [name for name in self._sources if name != _PRINTK]

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
        """Print events as they come, for `duration` seconds, or until `count` were there; report
        the summaries meanwhile."""
        deadline = None if duration is None else time.monotonic() + duration
        if self.summaries is not None:
            self.summaries.begin()
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            due = self.summaries.due_in() if self.summaries is not None else None
            waits = [each for each in (left, due) if each is not None]
            self._print(merged(self._sources, timeout=min(waits, default=None)))
            if self.summaries is not None:
                self.summaries.report_if_due()
            if self._count and self.seen >= self._count:
                return
            if deadline is not None and time.monotonic() >= deadline:
                return

    def drain(self) -> None:
        """Print the events that are there now."""
        self._print(present(self._sources))
        while self._vm_lines:
            line = self._vm_lines.popleft()
            if self.output.json:
                self.output.record({"printk": {"message": line}})
            else:
                self.output.line(printable(line))
        if self.summaries is not None:
            self.summaries.report_if_due()

    def _print(self, events: Iterator[tuple[str, Any]]) -> None:
        left = max(0, self._count - self.seen) if self._count else None
        for name, event in islice(events, left):
            if isinstance(event, TraceLine):
                self._print_trace(event)
            elif self.takers:
                for take in self.takers:
                    take(name, event)
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
        codec = self.formats.meant(self.codecs.get(name), name)
        if self.output.json:
            place = {} if cpu is None else {"cpu": cpu}
            shown = typed(codec, event)
            self.output.record({"event": {"map": name, **place, "value": shown}})
            return
        place_text = "" if cpu is None else f" [{cpu}]"
        text = typed_text(codec, event)
        self.output.line(printable(f"{name}{place_text}: {text}"))


def _record_codec(obj: Object, name: str, types: Mapping[str, str]) -> PresumedCodec | None:
    """The codec of the named type, or of the one that sources usually mean."""
    named = types.get(name) or types.get("")
    if named:
        return PresumedCodec(obj.codec(named))
    definition = obj.maps[name]
    if definition.value_type_id:
        return None  # the map itself tells
    return presumed_record_codec(obj, name)
