"""What `osmia tool` prints: rows as they come, or a report of what was counted."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from osmia.cli.output import Output, note, printable
from osmia.cli.termination import Ended, ends_cleanly
from osmia.tools.running import Stream, Summary

if TYPE_CHECKING:
    from osmia.summaries.histogram import Histogram

#: A field of a row's format: its name, and where it stands without how numbers are written.
_FIELD = re.compile(r"{(\w+):?([^}.]*)[^}]*}")


def show_stream(
    output: Output,
    tool: Callable[[], AbstractContextManager[Stream[Any]]],
    duration: float | None,
    time: bool,
) -> None:
    """Show rows as they come, for so long or until a signal; with the `time` when they came."""
    with ends_cleanly(), tool() as stream:
        _say_how_it_ends(duration)
        line = "{time:<8} " + stream.line if time else stream.line
        try:
            if not output.json:
                output.line(heading(line), "bold")
                output.flush()
            for row in stream.rows(duration):
                _show_row(output, line, (_now(output) if time else {}) | row._asdict())
                output.flush()
        finally:
            if stream.lost:
                note(f"osmia: warning: {stream.lost} events were lost: no room")


def _now(output: Output) -> dict[str, str]:
    now = datetime.now().astimezone()
    return {"time": now.isoformat(timespec="microseconds") if output.json else f"{now:%H:%M:%S}"}


def show_summary(
    output: Output,
    tool: Callable[[], AbstractContextManager[Summary[Any]]],
    duration: float | None,
    interval: float | None,
) -> None:
    """Show what was counted at the end, or after each interval; a signal is an end, too."""
    ended: Ended | None = None
    with ends_cleanly(), tool() as summary:
        end = None if duration is None else monotonic() + duration
        try:
            _say_how_it_ends(duration)
            while _wait(interval, end):
                _report(output, summary, again=True)
        except Ended as reason:
            ended = reason
        _report(output, summary)
    if ended is not None:
        output.flush()
        raise ended


def _say_how_it_ends(duration: float | None) -> None:
    if duration is None:
        note("Ctrl-C ends")


def _wait(interval: float | None, end: float | None) -> bool:
    """Wait for an interval to be over; False when the end came before."""
    left = None if end is None else max(0.0, end - monotonic())
    if interval is None or (left is not None and left <= interval):
        if left is None:
            signal.pause()
        else:
            sleep(left)
        return False
    sleep(interval)
    return True


def _report(output: Output, summary: Summary[Any], *, again: bool = False) -> None:
    """Show what was counted since the last report."""
    counts = summary.report()
    if summary.line:
        _show_counts(output, summary, counts)
    else:
        _show_histograms(output, summary.key, counts)
    if again and not output.json:
        output.line()
    output.flush()


def _show_counts(
    output: Output, summary: Summary[Any], counts: dict[str, dict[str, float]]
) -> None:
    if not output.json:
        output.line(heading(summary.line), "bold")
    for key, count in counts.items():
        _show_row(output, summary.line, {summary.key: key, **count})


def _show_histograms(output: Output, what: str, histograms: dict[str, Histogram]) -> None:
    shown = {key: each for key, each in histograms.items() if each.total}
    for key, histogram in shown.items():
        _show_histogram(output, what, key, histogram)
    if not shown and not output.json:
        output.line("nothing was counted")


def _show_histogram(output: Output, what: str, key: str, histogram: Histogram) -> None:
    if output.json:
        buckets = [{"low": b.low, "high": b.high, "count": b.count} for b in histogram.buckets]
        named = {what: key} if key else {}
        output.record({**named, "unit": histogram.unit, "buckets": buckets})
        return
    if key:
        output.heading(f"{what} {key}")
    for line in histogram.lines():
        output.line(line)


def _show_row(output: Output, line: str, row: dict[str, Any]) -> None:
    if output.json:
        output.record(row)
    else:
        output.line(printable(line.format(**row)))


def heading(line: str) -> str:
    """The names of the fields of a format, where its values will stand."""
    return _FIELD.sub(lambda field: f"{field[1]:{field[2]}}", line)
