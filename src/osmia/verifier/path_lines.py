"""A path by source lines: what a loop says again and again is said once, with how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine
from osmia.verifier.instructions import target
from osmia.verifier.log import VerifierLog
from osmia.verifier.places import Places

#: So many lines from the path's end are kept, of loops of so many.
_LINES = 4096
_LONGEST_LOOP = 64
_MOST_DECISIONS = 64


class PathLine(NamedTuple):
    """A source line on the path, `times` in a row where a loop came by; `decisions` are the jumps
    in it and whether they were taken, the last time. `visit` is the first of its visits, `slot`
    that instruction.
    """

    function: str
    line: SourceLine | None
    slot: int
    visit: int
    times: int
    decisions: tuple[str, ...]


def path_lines(
    log: VerifierLog, visits: Sequence[int], places: Places, texts: Mapping[int, str]
) -> tuple[list[PathLine], int]:
    """The lines, and how many were left out before them."""
    folded = _Folded()
    keys: dict[tuple[str, str, int], int] = {}
    of_slot = {slot: keys.setdefault(_key(places, slot), slot) for slot in log.first}
    slots = log.slots
    before = -1
    for step, visit in enumerate(visits):
        slot = slots[visit]
        key = of_slot[slot]
        if key != before:
            folded.add(slot, step)
            before = key
    lines = []
    for slot, first, last, times in folded.entries:
        decisions = _decisions(log, visits, last, of_slot, texts)
        function, line = places.function(slot), places.line(slot)
        lines.append(PathLine(function, line, slot, visits[first], times, decisions))
    return lines, folded.omitted


class _Folded:
    """Runs of visits, by their first slots; `entries` are (slot, first step, last step, times)."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, int, int]] = []
        self.omitted = 0
        self._latest: dict[int, int] = {}

    def add(self, slot: int, step: int) -> None:
        """One more run; when it ends a round of a loop, the round before counts for both."""
        entries = self.entries
        at = len(entries)
        entries.append((slot, step, step, 1))
        length = at - self._latest.get(slot, at)
        self._latest[slot] = at
        if 0 < length <= _LONGEST_LOOP and at + 1 >= 2 * length:
            self._fold(length)
        if len(entries) > 2 * _LINES:
            self.omitted += _LINES
            del entries[:_LINES]
            self._latest = {entry[0]: place for place, entry in enumerate(entries)}

    def _fold(self, length: int) -> None:
        entries = self.entries
        first = len(entries) - 2 * length
        for place in range(first, first + length):
            if entries[place][0] != entries[place + length][0]:
                return
        for place in range(first, first + length):
            slot, begun, _, times = entries[place]
            _, _, last, more = entries[place + length]
            entries[place] = slot, begun, last, times + more
            self._latest[slot] = place
        del entries[first + length :]


def _key(places: Places, slot: int) -> tuple[str, str, int]:
    """What all instructions of a line have in common."""
    line = places.line(slot)
    return places.function(slot), line.file if line else "", line.line if line else -1


def _decisions(
    log: VerifierLog,
    visits: Sequence[int],
    begin: int,
    of_slot: Mapping[int, int],
    texts: Mapping[int, str],
) -> tuple[str, ...]:
    found = []
    key = of_slot[log.slots[visits[begin]]]
    for step in range(begin, min(len(visits), begin + _MOST_DECISIONS)):
        slot = log.slots[visits[step]]
        if of_slot[slot] != key:
            break
        text = texts[slot]
        if text.startswith("if ") and step + 1 < len(visits):
            following = log.slots[visits[step + 1]]
            way = "taken" if following == target(slot, text) else "not taken"
            found.append(f"{slot}: {text}: {way}")
    return tuple(found)
