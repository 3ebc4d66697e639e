"""Costs as records: of functions, of source lines, of what is called, and of ways of calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass


class FunctionCost(NamedTuple):
    """Of one function, without those that it calls. `file` and `line` are where it begins."""

    name: str
    file: str
    line: int
    entered: int
    instructions: int
    ns: float


class LineCost(NamedTuple):
    """Of one source line: its instructions and what they call outside of the object."""

    file: str
    line: int
    text: str
    function: str
    instructions: int
    ns: float


class CallCost(NamedTuple):
    """Of calls of a helper or kfunc `name`, with one map ("" where it takes none, or nobody can
    tell which)."""

    name: str
    map: str
    calls: int
    ns: float


class Path(NamedTuple):
    """A way of calls, outermost function first, the line there, and what is called, if any."""

    functions: tuple[str, ...]
    line: LineCost | None
    call: str
    instructions: float
    ns: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What runs cost. Instructions and calls are counted. `ns` are estimates by kinds of
    instructions, which where `measured_ns` is known add up to it."""

    functions: Sequence[FunctionCost]
    lines: Sequence[LineCost]
    calls: Sequence[CallCost]
    paths: Sequence[Path]
    measured_ns: int | None

    @property
    def instructions(self) -> int:
        """All that ran."""
        return sum(each.instructions for each in self.functions)

    @property
    def ns(self) -> float:
        """The time of all."""
        return sum(each.ns for each in self.functions)

    def document(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {
            "instructions": self.instructions,
            "ns": round(self.ns, 1),
            "measured_ns": self.measured_ns,
            "functions": [_rounded(each) for each in self.functions],
            "lines": [_rounded(each) for each in self.lines],
            "calls": [_rounded(each) for each in self.calls],
        }


def _rounded(record: Any) -> dict[str, Any]:
    return {**record._asdict(), "ns": round(record.ns, 1)}
