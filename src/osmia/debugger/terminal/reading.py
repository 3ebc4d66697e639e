"""Lines from a terminal, with readline's editing, history and completion.

readline and not prompt_toolkit: gdb's own, in the standard library, so that `osmia debug` works
wherever osmia is installed, in a test's `breakpoint()`-like stop too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osmia.debugger.terminal.completion import completions
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console

_LONGEST_HISTORY = 1000
_BREAKS = " \t\n()[]{}=<>!&|+-/,;"

Read = Callable[[str], str]


@contextmanager
def lines_of(console: Console) -> Iterator[Read]:
    """What reads a line after a prompt."""
    try:
        import readline
    except ImportError:  # a Python without it: lines can be typed all the same
        yield input
        return
    held = readline.get_completer(), readline.get_completer_delims()
    earlier = [
        readline.get_history_item(n) for n in range(1, readline.get_current_history_length() + 1)
    ]
    readline.clear_history()
    path = _history_file()
    _read_history(readline, path)
    readline.set_completer(_completer(console, readline))
    readline.set_completer_delims(_BREAKS)
    readline.parse_and_bind("tab: complete")
    try:
        yield input
    finally:
        _write_history(readline, path)
        readline.clear_history()
        for line in earlier:
            readline.add_history(line)
        readline.set_completer(held[0])
        readline.set_completer_delims(held[1])


def _completer(console: Console, readline: object) -> Callable[[str, int], str | None]:
    found: list[str] = []

    def complete(word: str, number: int) -> str | None:
        if number == 0:
            line = readline.get_line_buffer()  # type: ignore[attr-defined]
            start = readline.get_begidx()  # type: ignore[attr-defined]
            try:
                found[:] = completions(console, line[:start], word)
                if len(found) == 1 and not start:
                    found[0] += " "
            except Exception:  # whoever presses Tab wants no traceback in the line
                found.clear()
        return found[number] if number < len(found) else None

    return complete


def _history_file() -> Path | None:
    """Where lines are kept for the next time; None where there is no home."""
    state = os.environ.get("XDG_STATE_HOME") or os.environ.get("HOME", "") + "/.local/state"
    return Path(state) / "osmia" / "debug_history" if state.startswith("/") else None


def _read_history(readline: object, path: Path | None) -> None:
    if path is not None and path.is_file():
        try:
            readline.read_history_file(str(path))  # type: ignore[attr-defined]
        except OSError:
            return


def _write_history(readline: object, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        readline.set_history_length(_LONGEST_HISTORY)  # type: ignore[attr-defined]
        readline.write_history_file(str(path))  # type: ignore[attr-defined]
    except OSError:  # a home that cannot be written to keeps nothing
        return
