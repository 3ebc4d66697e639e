"""The commands' table: names, abbreviations, help; how a line becomes a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from osmia.debugger.errors import DebuggerError
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console

Run = Callable[["Console", str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its names, the full one first; what comes after it; what it does, in a line.
    `again`: an empty line says it again. `completes` is what its words may be."""

    names: tuple[str, ...]
    arguments: str
    summary: str
    run: Run
    again: bool
    completes: str

    @property
    def name(self) -> str:
        """The full one."""
        return self.names[0]


COMMANDS: dict[str, Command] = {}
"""By full name."""
_SHORT: dict[str, Command] = {}


def command(
    names: str, arguments: str = "", *, again: bool = False, completes: str = ""
) -> Callable[[Run], Run]:
    """Declare the function that follows a command; the first line of its docstring is its help."""

    def declare(run: Run) -> Run:
        summary = (run.__doc__ or "").strip().split("\n")[0]
        made = Command(tuple(names.split()), arguments, summary, run, again, completes)
        COMMANDS[made.name] = made
        for name in made.names:
            _SHORT[name] = made
        return run

    return declare


def find(word: str) -> Command:
    """The command that a word means: a name, or what only one name begins with."""
    known = _SHORT.get(word)
    if known is not None:
        return known
    found = {each.name: each for name, each in _SHORT.items() if name.startswith(word)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise DebuggerError(f"{word!r} is ambiguous: {', '.join(sorted(found))}")
    raise DebuggerError(f"there is no command {word!r}: help lists them")


def split(line: str) -> tuple[str, str]:
    """A line's command and the rest: "x/4xw r1" and "p/x a" are parted before the slash."""
    line = line.strip()
    end = 0
    while end < len(line) and (line[end].isalnum() or line[end] in "-_"):
        end += 1
    end = end or min(1, len(line))
    return line[:end], line[end:].strip()


def count(text: str, default: int = 1) -> int:
    """The number that a command is given."""
    if not text:
        return default
    try:
        found = int(text, 0)
    except ValueError:
        raise DebuggerError(f"{text!r} is no number") from None
    if found < 0:
        raise DebuggerError(f"{found}: a number from 0 on is needed")
    return found
