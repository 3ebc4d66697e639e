"""The path that a log ends with: the visits from the function's entry to the last one.

The verifier follows one way of a jump and puts the other aside; where a way ends, it takes up
what it put aside last. A log of level 1 keeps what leads to the end alone. In one of level 2 a way
that is taken up ("from 33 to 37") belongs to a visit of that jump before: the last one on the path
that went on the other way. Where not both ways were open each time this may be another visit of
the jump, so `Path.certain` is false if one had to be chosen.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from osmia.named_tuples import NamedTuple
from osmia.verifier.instructions import target
from osmia.verifier.log import Turn, VerifierLog, visits_by_slot

#: How many visits and pieces are looked at, in all, for the jumps that ways began at: logs are
#: untrusted, and one can be made that has each of them looked for everywhere.
_STEPS = 4_000_000


class Path(NamedTuple):
    """Numbers of visits, in order; `certain` as above. `waiting` is the most branches that waited
    at a time, `taken_up[slot]` how often a jump's other way was taken up, and the visits there."""

    visits: array[int]
    certain: bool
    waiting: int
    taken_up: dict[int, tuple[int, int]]


def path_of(log: VerifierLog, texts: dict[int, str]) -> Path:
    """The path to the log's last visit. `texts` has each instruction."""
    return _Walk(log, texts).path()


class _Walk:
    """Goes through the turns, with the path so far as pieces of visits in a row."""

    def __init__(self, log: VerifierLog, texts: dict[int, str]) -> None:
        self.log = log
        self.slots = log.slots
        self.texts = texts
        self.turns = list(_with_unsaid(log, texts))
        jumps: dict[int, list[int]] = {}
        for slot, text in texts.items():
            if (goes := target(slot, text)) is not None and not text.startswith("goto"):
                jumps.setdefault(goes, []).append(slot)
        self.jumps = jumps
        wanted = {turn.origin for turn in self.turns if turn.origin >= 0}
        for goes in {turn.target for turn in self.turns if turn.origin < 0}:
            wanted.update(jumps.get(goes, ()))
        self.where = visits_by_slot(self.slots, wanted)
        self.pieces: list[tuple[int, int]] = []
        self.certain = True
        self.left = _STEPS
        self.taken_up: dict[int, tuple[int, int]] = {}
        self.spans: list[tuple[int, int]] = []

    def path(self) -> Path:
        start = 0
        for number, turn in enumerate(self.turns):
            if turn.visit > start:
                self.pieces.append((start, turn.visit))
                start = turn.visit
            if turn.start:
                self.pieces = []
            elif not self._goes_on(turn):
                self._take_up(turn, number)
        if len(self.slots) > start:
            self.pieces.append((start, len(self.slots)))
        visits = array("i")
        for begin, end in self.pieces:
            visits.extend(range(begin, end))
        return Path(visits, self.certain, _most_at_once(self.spans), self.taken_up)

    def _goes_on(self, turn: Turn) -> bool:
        """Whether the log only says again where it is: after a return, or that it stops here."""
        if turn.origin < 0:
            return turn.pruned
        if not self.pieces:
            self.certain = False  # the beginning is missing
            return True
        last = self.slots[self.pieces[-1][1] - 1]
        return last == turn.origin and self.texts.get(last) == "exit"

    def _take_up(self, turn: Turn, number: int) -> None:
        origins = [turn.origin] if turn.origin >= 0 else self.jumps.get(turn.target, [])
        parent = -1
        if self.left > len(origins):
            parent = max((self._visit_before(each, turn.target) for each in origins), default=-1)
        if parent < 0:
            self.certain = False
            return
        self._cut_after(parent)
        after = self.turns[number + 1].visit if number + 1 < len(self.turns) else len(self.slots)
        origin = self.slots[parent]
        times, visits = self.taken_up.get(origin, (0, 0))
        self.taken_up[origin] = times + 1, visits + after - turn.visit
        self.spans.append((parent, turn.visit))

    def _visit_before(self, origin: int, goes: int) -> int:
        """The last visit of a jump on the path that did not go on at `goes`; -1: there is none."""
        where = self.where.get(origin)
        self.left -= 1
        if not where or self.left < 0:
            return -1
        last = self.pieces[-1][1] - 1 if self.pieces else -1
        if last >= 0 and self.slots[last] == origin:
            return last  # a log of level 1 is cut behind the jump
        follower = -1
        chosen, other = -1, -1
        for start, end in reversed(self.pieces):
            self.left -= 1
            if self.left < 0:
                return -1
            index = bisect_left(where, end) - 1
            while index >= 0 and where[index] >= start:
                visit = where[index]
                after = self.slots[visit + 1] if visit + 1 < end else follower
                if after != goes and chosen >= 0:
                    other = visit
                    break
                if after != goes:
                    chosen = visit
                index -= 1
                self.left -= 1
                if self.left < 0:
                    return -1
            if other >= 0 or (chosen >= 0 and start < chosen):
                break
            follower = self.slots[start]
        if other >= 0:
            self.certain = False
        return chosen

    def _cut_after(self, visit: int) -> None:
        while self.pieces and self.pieces[-1][0] > visit:
            self.pieces.pop()
        if self.pieces:
            self.pieces[-1] = self.pieces[-1][0], visit + 1


def _with_unsaid(log: VerifierLog, texts: dict[int, str]) -> Iterator[Turn]:
    """The turns, and those that Linux before 5.18 does not tell in logs of level 2: where a way
    ended, and the log goes on somewhere else."""
    exits = {slot for slot, text in texts.items() if text == "exit"}
    ended = visits_by_slot(log.slots, exits)
    ends = sorted(visit + 1 for visits in ended.values() for visit in visits)
    said = {turn.visit for turn in log.turns if turn.origin >= 0 or turn.start}
    unsaid = {
        turn.visit
        for turn in log.turns
        if turn.origin < 0 and turn.pruned and turn.visit not in said
    }
    for visit in ends:
        if visit in said or visit >= len(log.slots):
            continue
        if "returning from callee" not in log.after(visit - 1):
            unsaid.add(visit)
    waiting = iter(sorted(unsaid))
    following = next(waiting, None)
    for turn in log.turns:
        while following is not None and following < turn.visit:
            yield Turn(following, -1, log.slots[following])
            following = next(waiting, None)
        yield turn
    while following is not None:
        if following < len(log.slots):
            yield Turn(following, -1, log.slots[following])
        following = next(waiting, None)


def _most_at_once(spans: list[tuple[int, int]]) -> int:
    """How many intervals overlap at most."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most
