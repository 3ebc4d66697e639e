"""Text in columns of a terminal: how wide it is, and where it may be broken."""

from __future__ import annotations

import re

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Behind commas and blanks.
_BREAKS = re.compile(r"(?<=[, ])")


def text_width(text: str) -> int:
    """How many columns text takes: letters of some scripts take two, accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def column_width(cells: Sequence[Any]) -> int:
    """The columns that the widest of integers and texts takes."""
    if not cells:
        return 0
    if set(map(type, cells)) == {int}:
        return max(len(str(max(cells))), len(str(min(cells))))
    texts = list(map(str, cells))
    return max(map(len if "".join(texts).isascii() else text_width, texts))


def words(text: str) -> list[str]:
    """The pieces of text that stay whole, each with the comma or blank that it ends with."""
    return _BREAKS.split(text)


def broken(text: str, width: int) -> list[str]:
    """Text in lines of `width` columns, longer only where a word is."""
    if text_width(text) <= width:
        return [text]
    lines, line = [], ""
    for word in words(text):
        if line and text_width(line + word.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return [*lines, line.rstrip()] if line.strip() else lines


def item_lines(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """`name: value` pairs in lines, further in from the second on; names and values that fit into
    a line stay in one."""
    indent, gap = "    ", "  "
    room = max(width - len(indent), 1)
    lines = [""]
    for name, value in pairs:
        pair = f"{name}: {value}"
        longer = lines[-1] + gap + pair if lines[-1] else pair
        if text_width(longer) <= room:
            lines[-1] = longer
        else:
            lines += broken(pair, room)
    first, *others = filter(None, lines)
    return [first, *(indent + line for line in others)]
