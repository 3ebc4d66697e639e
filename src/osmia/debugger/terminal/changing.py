"""Commands that change values, and those about the console itself: help, source, quit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from osmia.debugger.errors import DebuggerError
from osmia.debugger.terminal import screen
from osmia.debugger.terminal.words import COMMANDS, command, find

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console

_ASSIGNED = re.compile(r"(?<![=!<>])=(?!=)")


@command("set", "[var] TARGET = EXPRESSION", completes="value")
def set_(console: Console, rest: str) -> None:
    """Change a variable, a register, a map's entry, memory: set r1 = 5, set u32(r10-8) = 1."""
    text = re.sub(r"^var(iable)?\s+", "", rest)
    parts = _ASSIGNED.split(text, maxsplit=1)
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise DebuggerError("set takes TARGET = EXPRESSION")
    target, value = (part.strip() for part in parts)
    session = console.session
    session.assign(target, session.evaluate(value, console.index), console.index)
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
