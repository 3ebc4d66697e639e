"""Tables that are shown again and again: redrawn in place on a terminal, one below the other, or
as lines of JSON, elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osmia.cli.output import Output, Row

#: What terminals do for it (ECMA-48): to the first cell; erase the line's rest, the screen's rest.
_HOME, _ERASE_LINE, _ERASE_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class Page:
    """What is shown at a time: `document` as JSON, a table elsewhere; `wrong` where something is.
    `optional` columns may be left out for a narrow terminal, the first to go first."""

    def __init__(
        self,
        document: object,
        columns: Sequence[str],
        rows: Sequence[Row],
        *,
        optional: Sequence[str] = (),
        wrong: bool = False,
    ) -> None:
        self.document = document
        self.columns = columns
        self.rows = rows
        self.optional = optional
        self.wrong = wrong


def show(
    output: Output,
    page: Callable[[], Page],
    title: str,
    *,
    every: float | None,
    duration: float | None,
) -> bool:
    """Show a page once, or again each `every` seconds until `duration` is over, which begins with
    the first one, or Ctrl-C; whether the last one was wrong."""
    end: float | None = None
    wrong, rounds = False, 0
    try:
        while True:
            shown = page()
            wrong, rounds = shown.wrong, rounds + 1
            if rounds == 1 and duration is not None:
                end = time.monotonic() + duration
            if every is None or output.json or not sys.stdout.isatty():
                _print(output, shown)
            else:
                _redraw(output, shown, title, first=rounds == 1)
            if every is None or (end is not None and time.monotonic() + every > end):
                return wrong
            time.sleep(every)
    except KeyboardInterrupt:
        if every is None or not rounds:
            raise
        return wrong


def _print(output: Output, page: Page) -> None:
    if output.json:
        output.document(page.document)
    else:
        output.table(page.columns, page.rows, optional=page.optional)
    output.flush()


def _redraw(output: Output, page: Page, title: str, *, first: bool) -> None:
    """In place of the page before. It is written at once, so that nothing flickers."""
    heading = f"{title}  {time.strftime('%H:%M:%S')}"
    lines = [heading, "", *output.table_lines(page.columns, page.rows, page.optional)]
    begin = _HOME + _ERASE_SCREEN if first else _HOME
    ends = f"{_ERASE_LINE}\n"
    sys.stdout.write(begin + "".join(line + ends for line in lines) + _ERASE_SCREEN)
    sys.stdout.flush()
