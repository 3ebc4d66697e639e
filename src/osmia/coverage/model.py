"""What ran of functions, and the same joined to source: lines, branches, totals.

A function is what it is by its name and its code: programs that have the same one, other loads and
other engines are merged into one. Counts are of instructions and of jumps' ways; lines and branches
are what line records make of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from osmia.object.model import SourceLine
from osmia.records import dataclass, field

Way = tuple[int, int]
"""A jump's slot in its function, and the slot that it goes on at."""
Key = tuple[str, str]
"""A function's name, and a digest of its code and lines."""
NOT_TAKEN, TAKEN = "not taken", "taken"


@dataclass(slots=True)
class FunctionCounts:
    """Of one function: how often each instruction ran (`slots`) and each way of its jumps was
    taken (`ways`). Slots count from its own first; `lines` has each instruction's source line,
    where one is known, `texts` each jump as assembly."""

    name: str
    digest: str
    slots: dict[int, int]
    ways: dict[Way, int]
    lines: Mapping[int, SourceLine]
    texts: Mapping[int, str]

    @property
    def key(self) -> Key:
        return self.name, self.digest

    @property
    def entered(self) -> int:
        """How often it was entered."""
        return self.slots.get(0, 0)

    def add(self, other: FunctionCounts) -> None:
        """Count what another run of the same code counted, too."""
        for slot, count in other.slots.items():
            self.slots[slot] = self.slots.get(slot, 0) + count
        for way, count in other.ways.items():
            self.ways[way] = self.ways.get(way, 0) + count

    def copy(self) -> FunctionCounts:
        """Counts of their own, of the same code."""
        return FunctionCounts(
            self.name, self.digest, dict(self.slots), dict(self.ways), self.lines, self.texts
        )


@dataclass(slots=True)
class LineCounts:
    """A source line that has code: `hits` is how often its instruction that ran most did,
    `instructions` and `ran` are how many there are and how many ever ran."""

    file: str
    line: int
    text: str
    hits: int = 0
    instructions: int = 0
    ran: int = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """A jump with several ways, by the line of its condition ("" and 0 where none is known): `ways`
    are how often each was taken; of a conditional jump "not taken", then "taken"."""

    file: str
    line: int
    function: str
    slot: int
    text: str
    ways: tuple[tuple[str, int], ...]

    @property
    def reached(self) -> bool:
        """Whether the jump ever ran."""
        return any(count for _, count in self.ways)


@dataclass(frozen=True, slots=True)
class Totals:
    """How many there are, and how many of them ran."""

    lines: tuple[int, int]
    branches: tuple[int, int]
    functions: tuple[int, int]
    instructions: tuple[int, int]


@dataclass(slots=True)
class CoverageData:
    """What ran, by function; `merge` puts the data of several runs, engines or processes into
    one."""

    functions: dict[Key, FunctionCounts] = field(default_factory=dict)

    def add(self, function: FunctionCounts) -> None:
        """Count a function's runs."""
        known = self.functions.get(function.key)
        if known is None:
            self.functions[function.key] = function.copy()
        else:
            known.add(function)

    def merge(self, *others: CoverageData) -> CoverageData:
        """Count what others counted, too; gives itself."""
        for other in others:
            for function in list(other.functions.values()):
                self.add(function)
        return self

    def lines(self) -> dict[str, dict[int, LineCounts]]:
        """The lines that have code, by file and number."""
        files: dict[str, dict[int, LineCounts]] = {}
        for function in self.functions.values():
            hits: dict[tuple[str, int], int] = {}
            for slot, count in function.slots.items():
                line = function.lines.get(slot)
                if line is None or not line.line:
                    continue
                here = files.setdefault(line.file, {})
                known = here.get(line.line)
                if known is None:
                    known = here[line.line] = LineCounts(line.file, line.line, line.text)
                known.instructions += 1
                known.ran += count > 0
                place = line.file, line.line
                hits[place] = max(hits.get(place, 0), count)
            for (file, number), count in hits.items():
                files[file][number].hits += count
        return {file: dict(sorted(here.items())) for file, here in sorted(files.items())}

    def branches(self) -> list[Branch]:
        """All jumps with several ways, in the order of the source."""
        found = [branch for each in self.functions.values() for branch in _branches(each)]
        return sorted(found, key=lambda each: (each.file, each.line, each.function, each.slot))

    def totals(self) -> Totals:
        """How much of everything ran."""
        lines = [each for here in self.lines().values() for each in here.values()]
        functions = self.functions.values()
        ways = [count for each in functions for count in each.ways.values()]
        slots = [count for each in functions for count in each.slots.values()]
        return Totals(
            _share(each.hits for each in lines),
            _share(ways),
            _share(each.entered for each in functions),
            _share(slots),
        )


def _share(counts: Iterable[int]) -> tuple[int, int]:
    listed = list(counts)
    return len(listed), sum(count > 0 for count in listed)


def _branches(function: FunctionCounts) -> Iterator[Branch]:
    jumps: dict[int, list[tuple[int, int]]] = {}
    for (slot, target), count in function.ways.items():
        jumps.setdefault(slot, []).append((target, count))
    for slot, targets in jumps.items():
        line = function.lines.get(slot)
        text = function.texts.get(slot, "")
        indirect = text.startswith("gotox")
        names = {slot + 1: NOT_TAKEN}
        ways = tuple(
            (f"to +{target}" if indirect else names.get(target, TAKEN), count)
            for target, count in sorted(targets, key=lambda each: each[0] != slot + 1)
        )
        file, number = (line.file, line.line) if line is not None else ("", 0)
        yield Branch(file, number, function.name, slot, text, ways)
