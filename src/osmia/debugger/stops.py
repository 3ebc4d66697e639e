"""Why a run stands still: `Stop`, what every command that moves it gives."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.debugger.breakpoints import Breakpoint
    from osmia.debugger.watchpoints import Watchpoint
    from osmia.engine.results import RunResult
    from osmia.vm.errors import ProgramFault


class StopReason(Enum):
    """Why a run stands still."""

    STEP = "step"  # it did what it was asked to
    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    FAULT = "fault"  # the program did what it may not do: it is at the instruction
    END = "end"  # the program has returned
    BEGIN = "begin"  # the first instruction: there is nothing before it
    INTERRUPTED = "interrupted"  # by Ctrl-C, or `Session.interrupt`


class Changed(NamedTuple):
    """What a watchpoint saw: the value before and after; None where there is none."""

    watchpoint: Watchpoint
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run stands still and why. `result` is there at its end, `fault` at a fault,
    `returned` after `finish`: what the function gave (r0). `missed` says what `until` was to get
    to and did not."""

    reason: StopReason
    position: int
    breakpoints: tuple[Breakpoint, ...] = ()
    changes: tuple[Changed, ...] = ()
    result: RunResult | None = None
    fault: ProgramFault | None = None
    returned: int | None = None
    missed: str = ""

    @property
    def breakpoint(self) -> Breakpoint | None:
        """The breakpoint, if it is one; the first where there are several."""
        return self.breakpoints[0] if self.breakpoints else None
