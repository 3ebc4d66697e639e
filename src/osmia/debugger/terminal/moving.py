"""Commands that move the run: steps, continue, back, run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.debugger.errors import DebuggerError
from osmia.debugger.terminal.words import command, count

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console


@command("step s", "[N]", again=True)
def step(console: Console, rest: str) -> None:
    """To the next line, into functions that are called."""
    console.arrived(console.session.step(count(rest)))


@command("stepi si", "[N]", again=True)
def stepi(console: Console, rest: str) -> None:
    """One instruction, into functions that are called."""
    console.arrived(console.session.step(count(rest), instruction=True))


@command("next n", "[N]", again=True)
def next_(console: Console, rest: str) -> None:
    """To the next line, over functions that are called."""
    console.arrived(console.session.next(count(rest)))


@command("nexti ni", "[N]", again=True)
def nexti(console: Console, rest: str) -> None:
    """One instruction, over functions that are called."""
    console.arrived(console.session.next(count(rest), instruction=True))


@command("finish fin")
def finish(console: Console, rest: str) -> None:
    """Until the selected function has returned."""
    console.arrived(console.session.finish(console.index))


@command("until u advance", "[LINE]", again=True, completes="line")
def until(console: Console, rest: str) -> None:
    """Until a line of this function; without one, past the end of a loop."""
    console.arrived(console.session.until(count(rest) if rest else None))


@command("elapse", "SECONDS")
def elapse(console: Console, rest: str) -> None:
    """At the program's end let time go by, to the first callback that is due (timers, work)."""
    try:
        seconds = float(rest)
    except ValueError:
        raise DebuggerError("how many seconds? elapse 1.5") from None
    console.arrived(console.session.elapse(seconds), whole=True)


@command("continue c fg", "[N]", again=True)
def continue_(console: Console, rest: str) -> None:
    """Go on until something stops it; N-1 times past the breakpoint that it is at."""
    from osmia.debugger.terminal.console import Left

    session = console.session
    if not session.frames and console.goes_on:
        raise Left
    for each in session.stop.breakpoints:
        each.ignore = max(count(rest) - 1, 0)
    console.arrived(session.continue_())


@command("back reverse-step rs", "[N]", again=True)
def back(console: Console, rest: str) -> None:
    """To where the line before this one began, also in functions that were called."""
    console.arrived(console.session.back(count(rest)))


@command("backi reverse-stepi rsi", "[N]", again=True)
def backi(console: Console, rest: str) -> None:
    """One instruction back."""
    console.arrived(console.session.back(count(rest), instruction=True))


@command("rnext reverse-next rn", "[N]", again=True)
def rnext(console: Console, rest: str) -> None:
    """To where the line before this one began, over functions that were called."""
    console.arrived(console.session.reverse_next(count(rest)))


@command("rnexti reverse-nexti rni", "[N]", again=True)
def rnexti(console: Console, rest: str) -> None:
    """One instruction back, over functions that were called."""
    console.arrived(console.session.reverse_next(count(rest), instruction=True))


@command("rcontinue reverse-continue rc", again=True)
def rcontinue(console: Console, rest: str) -> None:
    """Back to where something would have stopped it, or to the beginning."""
    console.arrived(console.session.reverse_continue())


@command("rfinish reverse-finish")
def rfinish(console: Console, rest: str) -> None:
    """Back to where this function was called."""
    console.arrived(console.session.reverse_finish())


@command("goto", "POSITION")
def goto(console: Console, rest: str) -> None:
    """To a position of the run (`info position`)."""
    console.arrived(console.session.go(count(rest, 0)), whole=True)


@command("run r start restart", "[N]")
def run(console: Console, rest: str) -> None:
    """Begin again, with maps and variables as they were; on the packet N of the capture."""
    data = None
    if rest:
        number = count(rest)
        if not 1 <= number <= len(console.packets):
            raise DebuggerError(f"packet {number}: there are {len(console.packets)}")
        data = console.packets[number - 1]
    console.arrived(console.session.restart(data), whole=True)
