"""What a compiler left no code of in its place: ways out and conditions that have no line records.

clang hoists `return`s in front of the jump that decides (one `r0 = 1` for all of them), and makes
one test of several conditions. Such a line has no line record, or no jump, so no count says whether
it ran. These lines are found in the source: they are told, and never count as covered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from osmia.coverage.model import CoverageData
from osmia.records import dataclass

_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_WAY_OUT = re.compile(r"\b(return|goto|break|continue)\b")
_CONDITION = re.compile(r"\b(if|while|for|switch)\s*\(")


@dataclass(frozen=True, slots=True)
class MergedLine:
    """A line that was merged: `decides` is the line of the jump before it, in whose ways it is, or
    0 where there is none."""

    file: str
    line: int
    text: str
    decides: int

    @property
    def why(self) -> str:
        """What is known of it, in words."""
        if not self.decides:
            return "no code of its own"
        return f"no code of its own: see the branches of line {self.decides}"


def merged_lines(data: CoverageData) -> tuple[list[MergedLine], list[str]]:
    """The merged lines of the functions that have any code, and the files whose source is not
    there, or is another one by now: of those nothing is known."""
    found: list[MergedLine] = []
    unknown: list[str] = []
    deciding: dict[str, set[int]] = {}
    for branch in data.branches():
        deciding.setdefault(branch.file, set()).add(branch.line)
    for file, lines in data.lines().items():
        texts = {number: each.text for number, each in lines.items()}
        source = _source(file, texts)
        if source is None:
            unknown.append(file)
            continue
        found += _merged(file, source, texts, deciding.get(file, set()))
    return found, unknown


def _source(file: str, texts: Mapping[int, str]) -> str | None:
    """A file's source, if it is what was compiled."""
    try:
        source = Path(file).read_text(errors="replace")
    except OSError:
        return None
    now = source.splitlines()
    for number, text in texts.items():
        if number > len(now) or now[number - 1].strip() != text.strip():
            return None
    return source


def _merged(
    file: str, source: str, coded: Mapping[int, str], deciding: set[int]
) -> Iterator[MergedLine]:
    original = source.splitlines()
    plain = without_noise(source).splitlines()
    for first, last in bodies(plain):
        if not any(first <= number <= last for number in coded):
            continue
        for number in range(first, last + 1):
            line = plain[number - 1]
            if number in coded or number in deciding:
                continue
            if _WAY_OUT.search(line) or _CONDITION.search(line):
                before = [n for n in deciding if first <= n < number]
                text = original[number - 1].strip()
                yield MergedLine(file, number, text, max(before, default=0))


def without_noise(source: str) -> str:
    """C without comments, literals and directives, each line where it was."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match.group().count("\n")

    return _DIRECTIVE.sub(blank, _NOISE.sub(blank, source))


def bodies(lines: list[str]) -> Iterator[tuple[int, int]]:
    """The first and last lines of the functions' bodies, from 1."""
    depth, first, before = 0, 0, ""
    for number, line in enumerate(lines, 1):
        for letter in line:
            if letter == "{":
                if depth == 0 and before == ")":
                    first = number
                depth += 1
            elif letter == "}":
                depth = max(depth - 1, 0)
                if depth == 0 and first:
                    yield first, number
                    first = 0
            if not letter.isspace():
                before = letter
