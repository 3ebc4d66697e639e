"""What a register held before the verifier refused: back along the log from its end.

A log of level 1 is the refused path alone; at level 2 other paths stand between, and "from 7 to
12" says at which instruction to go on. Whatever is not understood ends the search: a kind is then
told by the complaint alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from osmia.named_tuples import NamedTuple

#: Source lines that tell where a slot comes from: (line number, text), or None.
Lines = Callable[[int], "tuple[int, str] | None"]

_INSTRUCTION = re.compile(r"^(\d+): \(([0-9a-f]{2})\) ([^;\n]*?)\s*(?:;|$)")
_FROM = re.compile(r"^from (\d+) to \d+(?: \([a-z ]+\))?:")
_ANNOTATION = re.compile(r"^; (?P<text>.*) @ [^@]+:(?P<line>\d+)$")
_MOVE = re.compile(r"^([rw])(\d+) = (?:\(s\d+\))?([rw])(\d+)$")
_FILL = re.compile(r"^r(\d+) = \*\(u64 \*\)\(r10 ([+-]\d+)\)$")
_SPILL = re.compile(r"^\*\(u64 \*\)\(r10 ([+-]\d+)\) = r(\d+)$")
_SET = re.compile(r"^([rw])(\d+) = (.*)$")
_CHANGE = re.compile(r"^([rw])(\d+) ([^ =]{1,3})= ")
_CALLEE = re.compile(r"^call (?!pc[+-])(\w+)")
_ASSIGNMENT = re.compile(r"(\w+)\s*=(?!=)")


class Step(NamedTuple):
    """An instruction of the log: which, as text, and the line of the log that it stands in."""

    slot: int
    text: str
    line: int


class Origin(NamedTuple):
    """Where a value came from: the instruction that made it, and what happened since.

    `known` are the verifier's words for it, latest first: ("scalar", "pkt"). `calls` were made
    since, latest first. `truncated` says that an instruction for 32 bits changed it.
    """

    made: Step | None
    known: tuple[str, ...]
    calls: tuple[Step, ...]
    truncated: bool

    @property
    def callee(self) -> str:
        """The helper or kfunc that returned the value, else ""."""
        return callee(self.made.text) if self.made is not None else ""


def callee(text: str) -> str:
    """The name of what an instruction calls, "" when it calls no helper or kfunc."""
    found = _CALLEE.match(text)
    return found[1] if found else ""


class History:
    """The end of a verifier log, up to its complaint."""

    def __init__(self, log: Sequence[str], lines: Lines | None = None) -> None:
        self._log = log
        self._lines = lines
        self.steps = [
            Step(int(found[1]), found[3], index)
            for index, line in enumerate(log)
            if (found := _INSTRUCTION.match(line)) is not None
        ]

    @property
    def last(self) -> str:
        """The text of the instruction that was refused, "" when the log has none."""
        return self.steps[-1].text if self.steps else ""

    def contains(self, pattern: str) -> re.Match[str] | None:
        """The last line of the log in which the regular expression is found."""
        expression = re.compile(pattern)
        for line in reversed(self._log):
            if found := expression.search(line):
                return found
        return None

    def line_of(self, step: Step) -> tuple[int, str] | None:
        """The source line of an instruction: its number and text."""
        if self._lines is not None and (told := self._lines(step.slot)) is not None:
            return told
        for line in reversed(self._log[: step.line]):
            if found := _ANNOTATION.match(line):
                return int(found["line"]), found["text"]
        return None

    def origin(self, register: str) -> Origin:
        """Where the value came from that a register ("R6") held at the refused instruction."""
        return _Search(self, self._log).run(register.lower())

    def described(self, register: str) -> str:
        """Words behind a register's name: "" or " (bpf_map_lookup_elem's, 'value' of line 7)"."""
        origin = self.origin(register)
        if origin.made is None or not origin.callee:
            return ""
        told = f"{origin.callee}'s"
        if (source := self.line_of(origin.made)) is not None:
            names = _ASSIGNMENT.findall(source[1])
            name = f"'{names[0]}' of " if len(names) == 1 else ""
            told += f", {name}line {source[0]}"
        return f" ({told})"

    def before(self, index: int) -> int:
        """The index among `steps` of the instruction from which the path came to `index`."""
        start = self.steps[index - 1].line if index else -1
        for line in self._log[start + 1 : self.steps[index].line]:
            if found := _FROM.match(line):
                came_from = int(found[1])
                for other in range(index - 1, -1, -1):
                    if self.steps[other].slot == came_from:
                        return other
                return -1
        return index - 1


class _Search:
    """Back from the refused instruction, after the place that holds the value."""

    def __init__(self, history: History, log: Sequence[str]) -> None:
        self.history = history
        self.log = log
        self.known: list[str] = []
        self.calls: list[Step] = []
        self.truncated = False

    def run(self, place: str) -> Origin:
        steps = self.history.steps
        index = len(steps) - 1
        while index > 0:
            came_from = self.history.before(index)
            self._note(place, came_from, index)
            if came_from < 0:
                break
            after, step = steps[index], steps[came_from]
            index = came_from
            if self._elsewhere(step, after):
                break  # another function's registers
            moved = self._back(place, step)
            if moved is None:
                return Origin(step, tuple(self.known), tuple(self.calls), self.truncated)
            place = moved
        return Origin(None, tuple(self.known), tuple(self.calls), self.truncated)

    def _elsewhere(self, step: Step, after: Step) -> bool:
        """Whether a function, or a callback, begins or ends between the two instructions."""
        if step.text == "exit":
            return True
        return step.text.startswith("call ") and after.slot != step.slot + 1

    def _note(self, place: str, first: int, last: int) -> None:
        """What the lines between two instructions say of the place, the former's included."""
        steps = self.history.steps
        start = steps[last - 1].line if first < 0 else steps[first].line
        state = re.compile(rf"(?:^|[ :;]){re.escape(place.replace('r', 'R'))}(?:_\w+)?=(\w+)")
        nearest = steps[last - 1].line if last else 0
        for line in (self.log[start], *self.log[nearest + 1 : steps[last].line]):
            found = None if line.startswith("; ") else state.search(line)
            if found and found[1] not in self.known[-1:]:
                self.known.append(found[1])

    def _back(self, place: str, step: Step) -> str | None:
        """The place that held the value before `step`; None when `step` made it."""
        text = step.text
        if callee(text):
            if place in ("r0", "r1", "r2", "r3", "r4", "r5"):
                return None
            self.calls.append(step)
            return place
        if found := _SPILL.match(text):
            return f"r{found[2]}" if place == f"fp{found[1]}" else place
        if not place.startswith("r"):
            return place
        number = place[1:]
        if (found := _MOVE.match(text)) and found[2] == number:
            self.truncated |= found[1] == "w"
            return f"r{found[4]}" if found[4] != "10" else None
        if (found := _FILL.match(text)) and found[1] == number:
            return f"fp{found[2]}"
        if (found := _CHANGE.match(text)) and found[2] == number:
            self.truncated |= found[1] == "w"
            return place
        if (found := _SET.match(text)) and found[2] == number:
            return None
        return place
