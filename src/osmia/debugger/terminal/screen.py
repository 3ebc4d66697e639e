"""What the debugger prints: values, places, lines; in colours on a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from osmia.engine.maps import Map

if TYPE_CHECKING:
    from osmia.debugger.frames import Frame
    from osmia.debugger.session import Session

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
MOST_ENTRIES = 20
"""Entries of a map that are printed."""


class Screen:
    """Where text goes; `styled` or plain."""

    def __init__(self, to: TextIO, *, styled: bool | None = None) -> None:
        self._to = to
        self.styled = _wants_style(to) if styled is None else styled

    def to(self, other: TextIO) -> None:
        """From now on, there."""
        self._to = other

    def line(self, text: str = "", style: str = "") -> None:
        """A line; what would move the cursor is shown as it is written in C."""
        shown = "\n".join(map(_printable, text.split("\n")))
        self._to.write(self.style(shown, style) + "\n")

    def listed(self, head: str, text: str, style: str = "") -> None:
        """A line of a listing: a head in a style, and text."""
        self._to.write(f"{self.style(head, style)}\t{_printable(text)}\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Several."""
        for text in texts:
            self.line(text)

    def style(self, text: str, style: str) -> str:
        """Text in a style, or as it is."""
        if not style or not self.styled or not text:
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    def flush(self) -> None:
        """Show it now."""
        self._to.flush()


def _wants_style(to: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return to.isatty()


def _printable(text: str) -> str:
    text = text.expandtabs()
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]


def shown(session: Session, value: Any, style: str = "") -> str:
    """A value as people read it; `style` is gdb's letter: x, d, u, o, t, c, a (where it points)."""
    if style:
        return _styled(session, value, style)
    if isinstance(value, Map):
        return _entries(session, value)
    if isinstance(value, list | tuple):
        return "{" + ", ".join(shown(session, each) for each in value) + "}"
    if isinstance(value, bool) or not isinstance(value, int):
        return value.hex(" ") if isinstance(value, bytes | bytearray) else str(value)
    return str(int(value)) if type(value) is int else str(value)


def _styled(session: Session, value: Any, style: str) -> str:
    if isinstance(value, bytes | bytearray | list | tuple):
        return "{" + ", ".join(_styled(session, each, style) for each in value) + "}"
    if not isinstance(value, int):
        return shown(session, value)
    match style:
        case "x":
            return hex(value)
        case "o":
            return oct(value)
        case "t":
            return bin(value)
        case "c":
            return f"{value} {chr(value & 0xFF)!r}"
        case "d" if value >> 63:
            return str(value - (1 << 64))
        case "a":
            return f"{value:#x} {session.pointers.find(value) or ''}".rstrip()
        case _:
            return str(value)


def _entries(session: Session, value: Map) -> str:
    if not isinstance(value, Mapping):
        return repr(value)
    found = []
    for number, (key, held) in enumerate(value.items()):
        if number == MOST_ENTRIES:
            found.append("…")
            break
        found.append(f"[{shown(session, key)}] = {shown(session, held)}")
    return "{" + ", ".join(found) + "}" if found else "empty"


def place(frame: Frame) -> str:
    """Where a frame is, in words: "choose () at limit.bpf.c:18"; of functions that were inlined
    there the innermost."""
    return places(frame)[0]


def places(frame: Frame) -> list[str]:
    """The same for each function that it is in."""
    found = []
    for function, file, line in frame.calls:
        where = f" at {file.rpartition('/')[2]}:{line}" if line else ""
        found.append(f"{function} (){where or f', instruction {frame.slot}'}")
    by = f", called by the {frame.called_by}" if frame.called_by else ""
    return [*(f"{each}, inlined" for each in found[:-1]), found[-1] + by]


def hex_lines(address: int, data: bytes, each: int, count: int, letter: str) -> list[str]:
    """Memory as gdb's x shows it: so many numbers of so many bytes, 16 bytes a line."""
    rows = []
    width = 16 // each
    numbers = [
        int.from_bytes(data[at : at + each], "little") for at in range(0, count * each, each)
    ]
    for first in range(0, count, width):
        row = numbers[first : first + width]
        shown_row = "  ".join(_number(value, each, letter) for value in row)
        rows.append(f"{address + first * each:#x}:  {shown_row}")
    return rows


def _number(value: int, size: int, letter: str) -> str:
    match letter:
        case "d":
            return str(value - (1 << 8 * size) if value >> 8 * size - 1 else value)
        case "u":
            return str(value)
        case "t":
            return f"{value:0{8 * size}b}"
        case "c":
            return f"{value} {chr(value & 0xFF)!r}"
        case _:
            return f"0x{value:0{2 * size}x}"
