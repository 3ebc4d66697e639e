"""What the verbs print: tables, fields and JSON; styled on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum

from osmia.errors import OsmiaWarning

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.cli.tables import Table

Row = Sequence[object]

#: What terminals call the styles (ECMA-48, SGR).
_STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_USUAL_COLUMNS = 80


class Output:
    """How to print, as the options say: `json`, `pretty`, `color`, `verbose`."""

    def __init__(self) -> None:
        self.json = False
        self.pretty = False
        self.color = "auto"
        self.verbose = False

    @property
    def styled(self) -> bool:
        """Whether to use colours and drawn tables: on a terminal, unless told otherwise."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return sys.stdout.isatty()

    def document(self, value: object) -> None:
        """One JSON document, indented when the user wants to read it."""
        self.line(_json(value, pretty=self.pretty))

    def record(self, value: object) -> None:
        """One JSON document in a line of its own, written at once: for streams."""
        self.line(_json(value))
        self.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """A line of text; `style` is a colour's name, or "bold", or "dim"."""
        if style and self.styled:
            text = _style(text, style)
        sys.stdout.write(f"{text}\n")

    def flush(self) -> None:
        """Let readers see what was printed so far."""
        sys.stdout.flush()

    def heading(self, text: str) -> None:
        """A line that begins a part, with an empty line before it."""
        self.line()
        self.line(printable(text), "bold")

    def table(
        self, columns: Sequence[str], rows: Iterable[Row], *, optional: Sequence[str] = ()
    ) -> None:
        """Rows under headings. Numbers stand to the right; None is an empty cell.

        On a terminal the table fits: `optional` are columns that may be left out for that, the
        first to go first.
        """
        self.blocks(columns, [[[_cell(value) for value in row] for row in rows]], optional)

    def table_lines(
        self, columns: Sequence[str], rows: Iterable[Row], optional: Sequence[str] = ()
    ) -> list[str]:
        """The lines that `table` would print."""
        return self._new_table(columns, optional).lines([list(map(_cell, row)) for row in rows])

    def blocks(
        self,
        columns: Sequence[str],
        blocks: Iterable[Sequence[Row]],
        optional: Sequence[str] = (),
    ) -> None:
        """A table that is printed block by block, as its rows come. Cells are integers, and text
        without what would move the terminal's cursor."""
        table = self._new_table(columns, optional)
        empty = True
        for rows in blocks:
            empty = False
            sys.stdout.write("\n".join([*table.lines(rows), ""]))
        if empty:
            sys.stdout.write("\n".join([*table.lines(()), ""]))

    def _new_table(self, columns: Sequence[str], optional: Sequence[str]) -> Table:
        from osmia.cli.tables import Table

        limit = _columns() if sys.stdout.isatty() else None
        style = _style if self.styled else None
        names = list(map(printable, columns))
        return Table(names, limit=limit, optional=optional, style=style)

    def fields(self, pairs: Mapping[str, object]) -> None:
        """Names and values below each other; what is None or empty is left out."""
        shown = {name: _cell(value) for name, value in pairs.items() if value not in (None, "", ())}
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            label = f"  {name}:".ljust(width + 4)
            self.line((_style(label, "dim") if self.styled else label) + value)


def note(text: str) -> None:
    """A remark for whoever watches, on stderr: it is no part of the output."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


@contextmanager
def remarks_noted() -> Iterator[None]:
    """Print the warnings of what runs inside as lines on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OsmiaWarning)
        try:
            yield
        finally:
            for each in caught:
                note(f"osmia: warning: {each.message}")


def printable(text: str) -> str:
    """Untrusted text without what would move the terminal's cursor."""
    return text if text.isprintable() else "".join(map(_visible, text))


def shortened(text: str, width: int | None) -> str:
    """`text`, cut to `width` characters if there is one."""
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def hex_bytes(data: bytes) -> str:
    """Bytes as people compare them: "0a 00 ff"."""
    return data.hex(" ")


def hex_list(data: bytes) -> list[str]:
    """Bytes as bpftool's JSON has them: ["0x0a", "0x00", "0xff"]."""
    return [f"{byte:#04x}" for byte in data]


def enum_name(value: object) -> str:
    """ "xdp" for ProgramType.XDP: the kernel's word in lower case; numbers stay numbers."""
    return value.name.lower() if isinstance(value, IntEnum) else str(value)


def _columns() -> int:
    """Of the terminal: as `shutil` tells it, which comes with what compresses archives."""
    try:
        given = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        given = 0
    if given > 0:
        return given
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _USUAL_COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # closed, or no terminal
        return _USUAL_COLUMNS


def _json(value: object, *, pretty: bool = False) -> str:
    import json

    from osmia.cli.json_values import plain  # of the values' types, which text does without

    indent, separators = (4, None) if pretty else (None, (",", ":"))
    return json.dumps(plain(value), indent=indent, separators=separators, allow_nan=False)


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]


def _cell(value: object) -> str:
    kind = type(value)  # of nearly all cells, by a quicker way than the match
    if kind is str:
        return printable(value)  # type: ignore[arg-type]
    if kind is int:
        return str(value)
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case IntEnum():
            return enum_name(value)
        case list() | tuple():
            return ",".join(map(_cell, value))
    return printable(str(value))


def _style(text: str, style: str) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
