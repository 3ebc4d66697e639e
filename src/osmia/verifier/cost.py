"""What a verification cost: instructions looked at, by function, line, loop and branch; limits."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass, field
from osmia.verifier.instructions import callee
from osmia.verifier.log import Statistics, VerifierLog
from osmia.verifier.path import Path
from osmia.verifier.places import Places

#: include/linux/bpf_verifier.h and kernel/bpf/verifier.c: MAX_BPF_STACK, MAX_CALL_FRAMES,
#: BPF_COMPLEXITY_LIMIT_JMP_SEQ, BPF_MAX_SUBPROGS.
STACK_BYTES = 512
FRAMES = 8
WAITING_BRANCHES = 8192
SUBPROGRAMS = 256


class FunctionCost(NamedTuple):
    """`visits` of its instructions, and `stack` in bytes (None: not in the log)."""

    name: str
    slot: int
    visits: int
    stack: int | None


class LineCost(NamedTuple):
    """`visits` of the instructions of a source line; `pruned` of them ended a way, since the
    verifier had been there in such a state."""

    file: str
    line: int
    text: str
    function: str
    visits: int
    pruned: int
    slots: tuple[int, ...]


class LoopCost(NamedTuple):
    """From `first` to `last`, the instruction that jumps back: `rounds` times; `visits` in it."""

    first: int
    last: int
    rounds: int
    visits: int


class BranchCost(NamedTuple):
    """A jump whose other way was taken up `times`; `visits` there until that way ended."""

    slot: int
    times: int
    visits: int


class Limit(NamedTuple):
    """How much of what the verifier allows was used."""

    name: str
    used: int
    limit: int

    @property
    def share(self) -> float:
        """1.0 is the limit."""
        return self.used / self.limit if self.limit else 0.0


@dataclass
class Cost:
    """All of it; the dearest first."""

    visits: int = 0
    by_slot: Mapping[int, int] = field(default_factory=dict)
    pruned_at: Mapping[int, int] = field(default_factory=dict)
    functions: list[FunctionCost] = field(default_factory=list)
    lines: list[LineCost] = field(default_factory=list)
    loops: list[LoopCost] = field(default_factory=list)
    branches: list[BranchCost] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)


def cost_of(log: VerifierLog, places: Places, path: Path, texts: Mapping[int, str]) -> Cost:
    """What the log's visits sum up to."""
    looked_at = Counter(log.slots)
    pruned = Counter(turn.target for turn in log.turns if turn.pruned)
    by_slot = looked_at + pruned
    statistics = log.statistics()
    functions = _functions(by_slot, places, statistics)
    return Cost(
        visits=sum(by_slot.values()),
        by_slot=by_slot,
        pruned_at=pruned,
        functions=sorted(functions, key=lambda each: -each.visits),
        lines=_lines(by_slot, pruned, places),
        loops=_loops(log, places, by_slot, texts),
        branches=sorted(
            (BranchCost(slot, *each) for slot, each in path.taken_up.items()),
            key=lambda each: (-each.visits, -each.times),
        ),
        limits=_limits(statistics, functions, places, path, texts, sum(by_slot.values())),
    )


def _functions(
    by_slot: Mapping[int, int], places: Places, statistics: Statistics
) -> list[FunctionCost]:
    visits: Counter[int] = Counter()
    for slot, count in by_slot.items():
        visits[places.first(slot)] += count
    stacks: list[int | None] = list(statistics.stack)
    stacks += [None] * (len(places.starts) - len(stacks))
    return [
        FunctionCost(name, start, visits[start], stack)
        for name, start, stack in zip(places.names, places.starts, stacks, strict=False)
    ]


def _lines(by_slot: Mapping[int, int], pruned: Mapping[int, int], places: Places) -> list[LineCost]:
    slots: dict[tuple[str, int, str, str], list[int]] = {}
    for slot in sorted(by_slot):
        line = places.line(slot)
        if line is not None:
            key = line.file, line.line, line.text, places.function(slot)
            slots.setdefault(key, []).append(slot)
    found = [
        LineCost(*key, sum(by_slot[s] for s in each), sum(pruned[s] for s in each), tuple(each))
        for key, each in slots.items()
    ]
    return sorted(found, key=lambda each: -each.visits)


def _loops(
    log: VerifierLog, places: Places, by_slot: Mapping[int, int], texts: Mapping[int, str]
) -> list[LoopCost]:
    """Steps back within a function, other than where another way was taken up."""
    pairs = Counter(zip(log.slots, log.slots[1:], strict=False))
    for turn in log.turns:
        if 0 < turn.visit < len(log.slots):
            pairs[log.slots[turn.visit - 1], log.slots[turn.visit]] -= 1
    slots = sorted(by_slot)
    sums = [0, *accumulate(by_slot[slot] for slot in slots)]
    found = []
    for (last, first), rounds in pairs.items():
        if first > last or rounds <= 0 or places.first(first) != places.first(last):
            continue
        if texts.get(last, "").startswith(("exit", "call")):
            continue
        inside = sums[bisect_right(slots, last)] - sums[bisect_left(slots, first)]
        found.append(LoopCost(first, last, rounds, inside))
    return sorted(found, key=lambda each: (-each.visits, each.first - each.last))


def _limits(
    statistics: Statistics,
    functions: list[FunctionCost],
    places: Places,
    path: Path,
    texts: Mapping[int, str],
    visits: int,
) -> list[Limit]:
    calls: dict[int, set[int]] = {}
    for slot, text in texts.items():
        goes = callee(slot, text)
        if goes is not None and places.first(goes) == goes:
            calls.setdefault(places.first(slot), set()).add(goes)
    stacks = {each.slot: each.stack or 0 for each in functions}
    stack, frames = _deepest(calls, stacks)
    limits = [Limit("instructions", statistics.processed or visits, statistics.limit)]
    if statistics.stack:
        limits.append(Limit("bytes of stack", stack, STACK_BYTES))
    limits.append(Limit("frames", frames, FRAMES))
    limits.append(Limit("branches waiting", path.waiting, WAITING_BRANCHES))
    limits.append(Limit("subprograms", len(places.starts), SUBPROGRAMS))
    return limits


def _deepest(calls: Mapping[int, set[int]], stacks: Mapping[int, int]) -> tuple[int, int]:
    """Bytes of stack and frames of the deepest calls; callees are done before their callers."""
    done: dict[int, tuple[int, int]] = {}
    for root in stacks:
        waiting = [(root, False)]
        open_calls: set[int] = set()
        while waiting:
            function, left = waiting.pop()
            if left:
                below = [done.get(each, (0, 0)) for each in calls.get(function, ())]
                done[function] = (
                    stacks.get(function, 0) + max((b for b, _ in below), default=0),
                    1 + max((f for _, f in below), default=0),
                )
            elif function not in done and function not in open_calls:
                open_calls.add(function)
                waiting.append((function, True))
                waiting += [(each, False) for each in calls.get(function, ())]
    return max((b for b, _ in done.values()), default=0), max(
        (f for _, f in done.values()), default=1
    )
