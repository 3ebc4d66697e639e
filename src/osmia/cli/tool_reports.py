"""What `osmia tool` prints: rows as they come, or a report of what was counted."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from osmia.cli.output import Output, note, printable
from osmia.cli.termination import Ended, ends_cleanly
from osmia.tools.running import Stream, Summary

#: A field of a row's format: its name, and where it stands without how numbers are written.
_FIELD = re.compile(r"{(\w+):?([^}.]*)[^}]*}")


def show_stream(
    output: Output,
    tool: Callable[[], AbstractContextManager[Stream[Any]]],
    duration: float | None,
) -> None:
    """Show rows as they come, for so long or until a signal."""
    with ends_cleanly(), tool() as stream:
        _say_how_it_ends(duration)
        try:
            if not output.json:
                output.line(_heading(stream.line), "bold")
                output.flush()
            for row in stream.rows(duration):
                _show_row(output, stream.line, row._asdict())
                output.flush()
        finally:
            if stream.lost:
                note(f"osmia: warning: {stream.lost} events were lost: no room")


def show_summary(
    output: Output,
    tool: Callable[[], AbstractContextManager[Summary]],
    duration: float | None,
    interval: float | None,
) -> None:
    """Show what was counted at the end, or after each interval; a signal is an end, too."""
    ended: Ended | None = None
    with ends_cleanly(), tool() as summary:
        end = None if duration is None else time.monotonic() + duration
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
    left = None if end is None else max(0.0, end - time.monotonic())
    if interval is None or (left is not None and left <= interval):
        if left is None:
            signal.pause()
        else:
            time.sleep(left)
        return False
    time.sleep(interval)
    return True


def _report(output: Output, summary: Summary, *, again: bool = False) -> None:
    """Show what was counted since the last report."""
    rows = [{summary.key: key, **count} for key, count in summary.report().items()]
    if not output.json:
        output.line(_heading(summary.line), "bold")
    for row in rows:
        _show_row(output, summary.line, row)
    if again and not output.json:
        output.line()
    output.flush()


def _show_row(output: Output, line: str, row: dict[str, Any]) -> None:
    if output.json:
        output.record(row)
    else:
        output.line(printable(line.format(**row)))


def _heading(line: str) -> str:
    """The names of the fields of a format, where its values will stand."""
    return _FIELD.sub(lambda field: f"{field[1]:{field[2]}}", line)
