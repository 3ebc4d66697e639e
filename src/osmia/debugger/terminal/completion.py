"""What may come next on the console's line: commands, functions, lines, variables, maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import NAMES
from osmia.debugger.terminal import looking
from osmia.debugger.terminal.stopping import all_points
from osmia.debugger.terminal.words import COMMANDS, find, split

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console


def completions(console: Console, before: str, word: str) -> list[str]:
    """The words that begin so, behind what the line has before them."""
    if not before.strip():
        return sorted(name for name in COMMANDS if name.startswith(word))
    try:
        found = find(split(before)[0])
    except DebuggerError:
        return []
    known = _words(console, found.completes, before)
    return sorted({each for each in known if each.startswith(word)})


def _words(console: Console, what: str, before: str) -> Iterable[str]:
    session = console.session
    functions = [each.name for each in session.program.code.functions.values()]
    match what:
        case "command":
            return COMMANDS
        case "info":
            words = before.split()
            if len(words) > 1 and words[1].startswith("map"):
                return session.maps
            if len(words) > 1 and words[1].startswith("r"):
                return NAMES
            return looking.INFO_WORDS
        case "map":
            return session.maps
        case "number":
            return map(str, all_points(console))
        case "line":
            return functions
        case "place":
            last = before.split()[-1]
            if last == "map":
                return session.maps
            if last == "helper":
                return _helpers(console)
            if last == "if":
                return _values(console)
            return [*functions, *_programs(console), "helper", "map"]
        case "value":
            return _values(console)
        case _:
            return ()


def _programs(console: Console) -> list[str]:
    return [each.name for each in console.session.vm.lifetimes.programs.values()]


def _helpers(console: Console) -> list[str]:
    from osmia.debugger.places import called_name

    program = console.session.program
    calls = (each for each in program.code.instructions if each is not None and each.is_call)
    return [f"bpf_{name}" for name in {called_name(program, each) for each in calls} if name]


def _values(console: Console) -> list[str]:
    session = console.session
    known = [*NAMES, "ctx", "packet", *session.data, *session.maps]
    frames = session.frames
    if frames:
        known += frames[min(console.selected, len(frames) - 1)].locals
    return known
