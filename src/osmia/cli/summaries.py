"""`osmia run --top`, `--histogram`, `--interval`: events and maps summed up while programs run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.output import Output
from osmia.records import dataclass
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.cli.formats import Formats
    from osmia.cli.summed import CountedHistogram, Counters, EventHistogram, EventTop, MapTop
    from osmia.summaries.keys import MapKeys


@dataclass(frozen=True)
class Wanted:
    """What the options ask for; `interval` in seconds, None: only at the end."""

    tops: tuple[str, ...] = ()
    histograms: tuple[str, ...] = ()
    by: str = ""
    summed: str = ""
    step: int | None = None
    rows: int = 20
    interval: float | None = None

    @property
    def anything(self) -> bool:
        """Whether something is summed up."""
        return bool(self.tops or self.histograms or self.interval)

    def check(self) -> None:
        """UsageError for options that say nothing without another."""
        if self.summed and not self.tops:
            raise click.UsageError("--sum is for --top: the number to add up instead of counting")
        if self.by and not self.histograms:
            raise click.UsageError("--by is for --histogram: one for each value of that field")
        if self.step is not None and not self.histograms:
            raise click.UsageError("--linear is for --histogram: the width of its buckets")


def takes_summaries(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `Wanted`, which the command gets as `wanted`. UsageError for options that say
    nothing without another."""
    names = Wanted.__match_args__

    @wraps(command)
    def with_wanted(*args: Any, **options: Any) -> Any:
        wanted = Wanted(**{name: options.pop(name) for name in names})
        wanted.check()
        return command(*args, wanted=wanted, **options)

    made: Callable[..., Any] = with_wanted
    for option in (
        click.option(
            "--rows", type=click.IntRange(1), default=20, help="Rows of a summary; else 20."
        ),
        click.option(
            "--linear", "step", type=click.IntRange(1), metavar="STEP", help="Buckets so wide."
        ),
        click.option("--by", default="", metavar="FIELD", help="A histogram for each value of it."),
        click.option(
            "--histogram",
            "histograms",
            multiple=True,
            metavar="FIELD|MAP",
            help="Draw which values a field of events had, or what a map or variable counts.",
        ),
        click.option("--sum", "summed", default="", metavar="FIELD", help="--top by its sum."),
        click.option(
            "--top",
            "tops",
            multiple=True,
            metavar="FIELD|MAP",
            help="Count events by a field (or several: pid,comm), or rank a map's entries.",
        ),
        click.option(
            "--interval",
            type=click.FloatRange(0.05, 86400),
            metavar="SECONDS",
            help="Report whenever so many are over: what came, what changed, how fast.",
        ),
    ):
        made = option(made)
    return made


class Summaries:
    """What is summed up of a loaded object; made before anything is attached, so that what cannot
    be is refused in time (UsageError). `codecs` are the types of its events, by map.

    Clears nothing: not the screen, and not the maps, whose growth is told.
    """

    def __init__(
        self,
        output: Output,
        wanted: Wanted,
        loaded: Any,
        codecs: Mapping[str, Codec],
        formats: Formats,
    ) -> None:
        self._output, self._wanted = output, wanted
        self._events: list[EventTop | EventHistogram] = []
        self._maps: list[MapTop | CountedHistogram | Counters] = []
        meant = {name: formats.meant(codec, name) or codec for name, codec in codecs.items()}
        self._choose(wanted, loaded, meant, formats)
        self._started = self._reported = time.monotonic()
        self.asked_for = bool(wanted.tops or wanted.histograms)
        """Whether something was to be summed up by name, instead of printing events."""

    def take(self, name: str, event: Any) -> None:
        """Sum up an event of a map; a perf buffer's has the CPU before it."""
        event = event[1] if isinstance(event, tuple) else event
        for each in self._events:
            each.take(name, event)

    def begin(self) -> None:
        """Time begins now: what is to be watched is there."""
        self._started = self._reported = time.monotonic()

    def due_in(self) -> float | None:
        """Seconds until the next report; None: there is none before the end."""
        if self._wanted.interval is None:
            return None
        return max(0.0, self._reported + self._wanted.interval - time.monotonic())

    def report_if_due(self) -> None:
        """Report what came since the last time, when that is an interval ago."""
        if self.due_in() == 0:
            self._report(whole=False)

    def report_whole(self) -> None:
        """Report all of the run, if summaries were asked for by name."""
        if self.asked_for:
            self._report(whole=True)

    def _choose(
        self, wanted: Wanted, loaded: Any, codecs: Mapping[str, Codec], formats: Formats
    ) -> None:
        from osmia.cli.summed import Counters, MapTop, counted_histograms

        for text in wanted.tops:
            if text in loaded.maps and not hasattr(loaded.maps[text], "events"):
                keys = _keys(loaded.maps[text], text, formats)
                self._maps.append(MapTop(text, loaded.maps[text], wanted.summed, keys))
            else:
                self._events.append(_event_top(text, wanted, codecs))
        for text in wanted.histograms:
            counted = text in loaded.maps and not hasattr(loaded.maps[text], "events")
            if counted or (text not in loaded.maps and text in set(loaded.data)):
                self._maps.append(_counted(loaded, text, wanted.step, formats))
            else:
                self._events.append(_event_histogram(text, wanted, codecs))
        if wanted.by and not any(type(each).__name__ == "EventHistogram" for each in self._events):
            raise click.UsageError("--by is for histograms of events; maps have their keys")
        if not self._events and not self._maps:
            drawn = counted_histograms(loaded)
            self._maps += [_counted(loaded, name, None, formats) for name in drawn]
            self._maps.append(Counters(loaded, set(drawn)))

    def _report(self, whole: bool) -> None:
        from osmia.cli.summary_text import print_report, report_json

        now = time.monotonic()
        seconds = now - (self._started if whole else self._reported)
        parts = [*self._events, *self._maps]
        reports = [each.report(whole, self._wanted.rows) for each in parts]
        if not whole:
            self._reported = now
            for each in parts:
                each.restart()
        clock = time.localtime()
        if self._output.json:
            told = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z", clock), "seconds": seconds}
            told |= {"reports": [report_json(each) for each in reports]}
            self._output.record({"summary" if whole else "interval": told})
            return
        of = f"all of {seconds:.1f} s" if whole else f"the last {seconds:.1f} s"
        self._output.heading(f"{time.strftime('%H:%M:%S', clock)}, {of}")
        for index, report in enumerate(reports):
            if index:
                self._output.line()
            print_report(self._output, report, seconds, self._wanted.rows)
        self._output.flush()


def _keys(source: Any, name: str, formats: Formats) -> MapKeys:
    from osmia.summaries.keys import MapKeys

    types = formats.map_types(source, name, source.key_codec, source.value_codec)
    return MapKeys(source, types.key)


def _counted(loaded: Any, name: str, step: int | None, formats: Formats) -> CountedHistogram:
    from osmia.cli.summed import CountedHistogram

    source = loaded.maps.get(name)
    codecs = {} if source is None else _keys(source, name, formats).codecs
    return CountedHistogram(loaded, name, step, codecs)


def _event_top(text: str, wanted: Wanted, codecs: Mapping[str, Codec]) -> EventTop:
    from osmia.cli.event_fields import find_fields
    from osmia.cli.summed import EventTop

    fields = find_fields("--top", text, codecs)
    sums = find_fields("--sum", wanted.summed, codecs) if wanted.summed else {}
    _check_numbers("--sum", sums)
    if sums and not fields.keys() & sums.keys():
        raise click.UsageError(f"--sum {wanted.summed}: no event has that and {text} too")
    return EventTop(text, fields, sums)


def _event_histogram(text: str, wanted: Wanted, codecs: Mapping[str, Codec]) -> EventHistogram:
    from osmia.cli.event_fields import find_fields
    from osmia.cli.summed import EventHistogram

    fields = find_fields("--histogram", text, codecs)
    _check_numbers("--histogram", fields)
    by = find_fields("--by", wanted.by, codecs) if wanted.by else {}
    if by and not fields.keys() & by.keys():
        raise click.UsageError(f"--by {wanted.by}: no event has that and {text} too")
    return EventHistogram(text, fields, by, wanted.step)


def _check_numbers(option: str, found: Mapping[str, Any]) -> None:
    from osmia.summaries.readings import number_fields
    from osmia.values.meant import MeantCodec

    for each in found.values():
        if len(each.names) > 1:
            raise click.UsageError(f"{option} {','.join(each.names)}: give one field")
        codec = each.codecs[0]
        if "" not in number_fields(codec.inner if isinstance(codec, MeantCodec) else codec):
            kind = codec.type_name
            raise click.UsageError(f"{option} {each.names[0]}: {kind} is no number")
