"""Ways of calls and what was spent on each, as far as counts tell.

A function is counted once, whoever calls it. What it took is shared out among its callers by how
often each calls it, and among theirs in turn. A callback is its user's for each time that its
address is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from osmia.costs.model import LineCost, Path
from osmia.coverage.model import FunctionCounts
from osmia.object.model import Object, RelocationKind

if TYPE_CHECKING:
    from osmia.costs.accounting import Step

MOST = 1000
"""Ways to one function that are told apart: those with the largest shares."""
_CALLS = (RelocationKind.CALL, RelocationKind.FUNCTION)
_Chains = Sequence[tuple[tuple[str, ...], float]]
LineOf = Callable[[str, int], LineCost | None]


class CallPaths:
    """The ways to the functions of an object that ran."""

    def __init__(
        self,
        obj: Object,
        counts: Mapping[str, FunctionCounts],
        steps: Mapping[str, Sequence[Step]],
        line_of: LineOf,
        scale: float,
    ) -> None:
        self._counts = counts
        self._steps = steps
        self._line_of = line_of
        self._scale = scale
        self._callers: dict[str, dict[str, int]] = {}
        for key, each in counts.items():
            for record in obj.functions[key].relocations:
                times = each.slots.get(record.offset // 8, 0)
                if record.kind in _CALLS and record.target in counts and times:
                    callers = self._callers.setdefault(record.target, {})
                    callers[key] = callers.get(key, 0) + times
        self._entries = {program.function for program in obj.programs.values()}
        self._known: dict[str, _Chains] = {}

    def paths(self) -> Iterator[Path]:
        """What was spent, by way, line and what is called there."""
        for key, steps in self._steps.items():
            spent: dict[tuple[LineCost | None, str], tuple[int, float]] = {}
            for step in steps:
                line = self._line_of(key, step.slot)
                for call, count, ns in (
                    ("", step.times, step.own_ns),
                    (step.callee.name if step.callee is not None else "", 0, step.callee_ns),
                ):
                    before = spent.get((line, call), (0, 0.0))
                    spent[line, call] = before[0] + count, before[1] + self._scale * ns
            for chain, share in self._chains(key, ()):
                for (line, call), (count, ns) in spent.items():
                    if count or ns:
                        yield Path(chain, line, call, share * count, share * ns)

    def _chains(self, key: str, below: tuple[str, ...]) -> _Chains:
        """The ways to a function, and the share of its runs that came by each."""
        known = self._known.get(key)
        if known is not None:
            return known
        callers = {k: n for k, n in self._callers.get(key, {}).items() if k not in (key, *below)}
        called = sum(callers.values())
        outside = self._counts[key].entered - called if key in self._entries else 0
        total = called + max(outside, 0)
        if not total:
            return [((key,), 1.0)]
        chains: list[tuple[tuple[str, ...], float]] = []
        if outside > 0:
            chains.append(((key,), outside / total))
        for caller, times in callers.items():
            for chain, share in self._chains(caller, (key, *below)):
                chains.append(((*chain, key), share * times / total))
        chains.sort(key=lambda each: -each[1])
        self._known[key] = chains[:MOST]
        return self._known[key]
