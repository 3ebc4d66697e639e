"""Tables, drawn block by block: what is printed first decides where the columns stand.

On a terminal nothing is wider than it: columns that may be left out are, cells break behind commas
and at blanks, and where that does not do an item is a few lines of `name: value`. A word is never
broken: names, tags and ids are there to be copied.
"""

from __future__ import annotations

from itertools import zip_longest

from osmia.cli.line_breaks import broken, column_width, item_lines, text_width, words
from osmia.named_tuples import NamedTuple

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    #: Makes text "bold", "dim" or of a colour.
    Style: TypeAlias = Callable[[str, str], str]

#: A broken cell has no more lines.
_MOST_LINES = 4
#: Columns that a list of ids may take before it is broken.
_BROAD = 24

_GAP = "  "


class _Plan(NamedTuple):
    """Which columns are shown and how wide; `several`: cells may have several lines."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    several: bool


class Table:
    """Lines of a table whose rows come in blocks; numbers stand to the right.

    Cells are integers, or text that is fit to print. A column that needs more than in the blocks
    before is wider from there on. `limit` is the terminal's width, None where there is none;
    `optional` names the columns that may be left out, the first to go first.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        limit: int | None = None,
        optional: Sequence[str] = (),
        style: Style | None = None,
    ) -> None:
        self._columns = columns
        self._limit = limit
        self._optional = [columns.index(name) for name in optional]
        self._style = style
        self._widths = list(map(text_width, columns))
        self._numeric: list[bool] | None = None
        self._plan: _Plan | None = None

    def lines(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """The lines of the next rows, with the headings where none stand above them."""
        columns = list(zip(*rows, strict=True)) or [()] * len(self._columns)
        pairs = zip(self._widths, columns, strict=True)
        widths = [max(width, column_width(column)) for width, column in pairs]
        before = self._plan
        if self._numeric is None or widths != self._widths:
            if self._numeric is None:
                self._numeric = [bool(each) and all(map(_is_number, each)) for each in columns]
            self._widths = widths
            self._plan = self._planned(columns)
        plan = self._plan
        if plan is None:
            return [line for row in rows for line in self._item(row)]
        again = before is not None and before.shown == plan.shown
        return [*([] if again else self._headings(plan)), *self._written(plan, rows)]

    def _planned(self, columns: Sequence[Sequence[Any]]) -> _Plan | None:
        """The first plan that fits; None where items cannot be rows."""
        everything = tuple(range(len(self._columns)))
        if self._limit is None:
            return _Plan(everything, tuple(self._widths), several=False)
        least = [self._least(columns[column], column) for column in everything]
        for count in range(len(self._optional) + 1):
            shown = tuple(each for each in everything if each not in self._optional[:count])
            widths = [self._widths[column] for column in shown]
            if _total(widths) <= self._limit:
                return _Plan(shown, tuple(widths), several=False)
            # What may be left out is rather left out than broken, unless it is broad.
            narrow = [
                min(self._widths[c], max(least[c], _BROAD)) if c in self._optional else least[c]
                for c in shown
            ]
            if _total(narrow) <= self._limit:
                return _Plan(shown, _grown(narrow, widths, self._limit), several=True)
        return None

    def _least(self, cells: Sequence[Any], column: int) -> int:
        """The least width at which the cells of a column have few lines and whole words."""
        texts = set(map(str, cells))
        heading = text_width(self._columns[column])
        least = max([heading, *(text_width(word) for text in texts for word in words(text))])
        for width in range(least, self._widths[column]):
            if all(len(broken(text, width)) <= _MOST_LINES for text in texts):
                return width
        return self._widths[column]

    def _headings(self, plan: _Plan) -> list[str]:
        line = self._aligned(plan, [self._columns[column] for column in plan.shown])
        if self._style is None:
            return [line]
        return [self._style(line, "bold"), self._style("─" * _total(plan.widths), "dim")]

    def _written(self, plan: _Plan, rows: Sequence[Sequence[Any]]) -> list[str]:
        if len(plan.shown) < len(self._columns):
            rows = [[row[column] for column in plan.shown] for row in rows]
        if plan.several:
            rows = [line for row in rows for line in _several(row, plan.widths)]
        elif "".join(lines := self._quickly(plan, rows)).isascii():
            return lines
        return [self._aligned(plan, row, self._style) for row in rows]

    def _quickly(self, plan: _Plan, rows: Sequence[Sequence[Any]]) -> list[str]:
        """What `_aligned` gives where every letter takes one column: by one format for all."""
        assert self._numeric is not None
        formats = [
            f"%{'' if self._numeric[column] else '-'}{width}s"
            for column, width in zip(plan.shown, plan.widths, strict=True)
        ]
        if self._style is not None:
            formats[0] = self._style(formats[0], "cyan")
        line = _GAP.join(formats)
        return [(line % tuple(row)).rstrip() for row in rows]

    def _aligned(self, plan: _Plan, row: Sequence[Any], style: Style | None = None) -> str:
        assert self._numeric is not None
        cells = []
        for column, width, cell in zip(plan.shown, plan.widths, map(str, row), strict=True):
            blanks = " " * (width - text_width(cell))
            cells.append(blanks + cell if self._numeric[column] else cell + blanks)
        if style is not None:
            cells[0] = style(cells[0], "cyan")
        return _GAP.join(cells).rstrip()

    def _item(self, row: Sequence[Any]) -> list[str]:
        """An item that is no row: its names and values below each other."""
        pairs = zip(self._columns, map(str, row), strict=True)
        first, *others = item_lines([pair for pair in pairs if pair[1]], self._limit or 0)
        return [self._style(first, "cyan") if self._style else first, *others]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _grown(least: Sequence[int], wanted: Sequence[int], limit: int) -> tuple[int, ...]:
    """The least widths, with the room that is left: who wants little has it first."""
    widths, room = list(least), limit - _total(least)
    needs = sorted(range(len(widths)), key=lambda column: wanted[column] - least[column])
    for place, column in enumerate(needs):
        more = min(wanted[column] - least[column], room // (len(needs) - place))
        widths[column] += more
        room -= more
    return tuple(widths)


def _several(row: Sequence[Any], widths: Sequence[int]) -> Iterator[Sequence[str]]:
    """A row as the lines that its cells break into."""
    cells = [broken(str(cell), width) for cell, width in zip(row, widths, strict=True)]
    return zip_longest(*cells, fillvalue="")


def _is_number(cell: Any) -> bool:
    return type(cell) is int or not cell or cell.removeprefix("-").isdigit()
