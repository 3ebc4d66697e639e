"""Commands that change values, and those about the console itself: help, source, quit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import execute
from osmia.debugger.terminal import screen
from osmia.debugger.terminal.words import COMMANDS, command, find

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console


@command("set", "[var] TARGET = EXPRESSION", completes="value")
def set_(console: Console, rest: str) -> None:
    """Change a variable, a register, a map's entry, memory: set r1 = 5, set limit += 2."""
    text = re.sub(r"^var(iable)?\s+", "", rest)
    session = console.session
    session.check_still()
    frame = console.frame if session.frames else None
    target = execute(session, frame, text)
    now = screen.shown(session, session.evaluate(target, console.index))
    console.screen.line(f"{target} = {now}")


@command("source", "FILE", completes="file")
def source(console: Console, rest: str) -> None:
    """Run the commands of a file."""
    if not rest:
        raise DebuggerError("source takes a file")
    console.source(rest)


@command("echo", "TEXT")
def echo(console: Console, rest: str) -> None:
    """Print text."""
    console.screen.line(rest)


@command("help h", "[COMMAND]", completes="command")
def help_(console: Console, rest: str) -> None:
    """What commands there are, or what one does."""
    if rest:
        known = [find(rest)]
    else:
        known = list(COMMANDS.values())
    for each in known:
        names = ", ".join(each.names)
        head = f"{names} {each.arguments}".rstrip()
        if rest:
            console.screen.line(head, "bold")
            console.screen.line(f"  {each.summary}")
        else:
            console.screen.line(f"{each.name + ' ' + each.arguments:<34.34} {each.summary}")


@command("quit q exit")
def quit_(console: Console, rest: str) -> None:
    """Leave the debugger."""
    from osmia.debugger.terminal.console import Left

    raise Left(quits=True)
