"""Folded text: a stack a line, as flamegraph.pl, inferno and speedscope read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from osmia.symbols.stack_profile import outermost_first

if TYPE_CHECKING:
    from osmia.symbols.stack_profile import Sample


def folded(samples: Iterable[Sample]) -> str:
    """Equal stacks as one line, lines in order of their text."""
    lines: dict[str, int] = {}
    for sample in samples:
        line = ";".join(_word(each.label) for each in outermost_first(sample)) or "[unknown]"
        lines[line] = lines.get(line, 0) + sample.value
    return "".join(f"{line} {value}\n" for line, value in sorted(lines.items()))


def _word(label: str) -> str:
    """A name without what ends a word or a line: names are whatever a file says."""
    plain = label.replace(";", ":")
    return plain if plain.isprintable() else "".join(c if c.isprintable() else "?" for c in plain)
