"""Commands about where the run stops: break, watch, delete, enable, condition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from osmia.debugger.breakpoints import Breakpoint
from osmia.debugger.errors import DebuggerError
from osmia.debugger.terminal.words import command, count
from osmia.debugger.watchpoints import Watchpoint

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console

_CONDITION = re.compile(r"(?:^|\s)if\s+(.+)$")
_MAP = re.compile(r"map\s+([\w.]+)\s*(?:\[(.*)\])?$")


def _where(console: Console, text: str) -> dict[str, Any]:
    """What `Session.break_at` is given for words: "12", "file.c:12", "*4", "function", "helper
    NAME", "map NAME[KEY]". Without any it is the place where the run is."""
    text = text.strip()
    if not text:
        frame = console.frame
        return (
            {"line": frame.line, "file": frame.file} if frame.line else {"instruction": frame.slot}
        )
    if text.isdigit():
        return {"line": int(text)}
    if text.startswith("*"):
        return {"instruction": count(text[1:].strip())}
    word, _, rest = text.partition(" ")
    if word == "helper" and rest:
        return {"helper": rest.strip()}
    found = _MAP.match(text)
    if found:
        key = console.session.evaluate(found[2], console.index) if found[2] else None
        return {"map": found[1], "key": key}
    file, colon, line = text.rpartition(":")
    if colon and line.isdigit():
        return {"line": int(line), "file": file}
    return {"function": text.removesuffix("()")}


def _break(console: Console, rest: str, *, temporary: bool) -> None:
    found = _CONDITION.search(rest)
    if found is None and rest.split()[-1:] == ["if"]:
        raise DebuggerError("if what? A condition is missing")
    condition = found[1] if found else None
    where = _where(console, rest[: found.start()] if found else rest)
    made = console.session.break_at(condition=condition, temporary=temporary, **where)
    kind = "Temporary breakpoint" if temporary else "Breakpoint"
    console.screen.line(f"{kind} {made.id} at {made.place}")


@command(
    "break b br",
    "[LINE|FILE:LINE|FUNCTION|*SLOT|helper NAME|map NAME[KEY]] [if COND]",
    completes="place",
)
def break_(console: Console, rest: str) -> None:
    """Stop there, each time, or where a condition holds."""
    _break(console, rest, temporary=False)


@command("tbreak tb", "(as break)", completes="place")
def tbreak(console: Console, rest: str) -> None:
    """Stop there once."""
    _break(console, rest, temporary=True)


@command("watch", "EXPRESSION", completes="value")
def watch(console: Console, rest: str) -> None:
    """Stop behind what changes a value: a variable, a register, MAP[KEY], u32(ADDRESS)."""
    if not rest:
        raise DebuggerError("watch what? A variable, a register, a map's entry, u32(address)")
    session = console.session
    found = re.match(r"([\w.]+)\s*\[(.*)\]$", rest)
    if found and found[1] in session.maps:
        made = session.watch((found[1], session.evaluate(found[2], console.index)))
    else:
        made = session.watch(rest)
    console.screen.line(f"Watchpoint {made.id}: {made.text}")


def all_points(console: Console) -> dict[int, Breakpoint | Watchpoint]:
    """Breakpoints and watchpoints by number."""
    session = console.session
    found: dict[int, Breakpoint | Watchpoint] = {each.id: each for each in session.breakpoints}
    found |= {each.id: each for each in session.watchpoints}
    return dict(sorted(found.items()))


def _chosen(console: Console, rest: str) -> list[Breakpoint | Watchpoint]:
    """Those whose numbers are given, or all."""
    known = all_points(console)
    numbers = [count(word) for word in rest.replace(",", " ").split()]
    for number in numbers:
        if number not in known:
            raise DebuggerError(f"there is no breakpoint {number}")
    return [known[number] for number in numbers] if numbers else list(known.values())


@command("delete d", "[NUMBER…]", completes="number")
def delete(console: Console, rest: str) -> None:
    """Take breakpoints and watchpoints away; without numbers, all."""
    for each in _chosen(console, rest):
        each.delete()


@command("enable", "[NUMBER…]", completes="number")
def enable(console: Console, rest: str) -> None:
    """Let breakpoints and watchpoints stop the run again."""
    for each in _chosen(console, rest):
        each.enabled = True


@command("disable dis", "[NUMBER…]", completes="number")
def disable(console: Console, rest: str) -> None:
    """Let breakpoints and watchpoints not stop the run for now."""
    for each in _chosen(console, rest):
        each.enabled = False


def _one(console: Console, rest: str) -> tuple[Breakpoint, str]:
    word, _, more = rest.partition(" ")
    if not word:
        raise DebuggerError("which breakpoint? Its number is needed")
    (found,) = _chosen(console, word)
    if not isinstance(found, Breakpoint):
        raise DebuggerError(f"{found.id} is a watchpoint")
    return found, more.strip()


@command("ignore", "NUMBER COUNT", completes="number")
def ignore(console: Console, rest: str) -> None:
    """Pass a breakpoint so many times."""
    found, more = _one(console, rest)
    found.ignore = count(more)


@command("condition", "NUMBER [EXPRESSION]", completes="number")
def condition(console: Console, rest: str) -> None:
    """Let a breakpoint stop the run where an expression is true; without one, always."""
    found, more = _one(console, rest)
    console.session.set_condition(found, more or None)
