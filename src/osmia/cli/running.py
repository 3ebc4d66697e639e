"""Running a command line: exit statuses, signals, pipes.

`plain` does the simplest lines; for others click is imported, with the tree of all commands.
"""

from __future__ import annotations

import io
import os
import sys

from osmia.cli import plain
from osmia.cli.output import Output

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

#: The shells' completion scripts set it when they ask what could stand here.
COMPLETION_VARIABLE = "_OSMIA_COMPLETE"

_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13


def run(arguments: Sequence[str]) -> int:
    """Run a command line; gives the exit status."""
    if COMPLETION_VARIABLE in os.environ:
        from click.shell_completion import shell_complete

        from osmia.cli.application import application

        instruction = os.environ[COMPLETION_VARIABLE]
        return shell_complete(application, {}, "osmia", COMPLETION_VARIABLE, instruction)
    before = sys.stdout
    buffered = _buffered(before)
    if buffered is None:
        return _run(arguments, Output())
    try:
        with buffered as sys.stdout:
            return _run(arguments, Output())
    finally:
        sys.stdout = before


def _run(arguments: Sequence[str], output: Output) -> int:
    status = _status_of(arguments, output)
    try:
        sys.stdout.flush()
    except OSError as error:
        _forget_output()
        if not status:  # else it was said already
            return _BROKEN_PIPE if isinstance(error, BrokenPipeError) else _told(error, output)
    return status


def _buffered(stream: TextIO) -> TextIO | None:
    """A buffer over an unbuffered stdout (PYTHONUNBUFFERED), None where there is one: without,
    what does not fit into a pipe or onto a disk at once is lost in silence."""
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        return None
    number = raw.fileno()
    return open(number, "w", encoding=stream.encoding, errors=stream.errors, closefd=False)


def _status_of(arguments: Sequence[str], output: Output) -> int:
    """The exit status of a command line; errors are said on stderr."""
    try:
        if plain.done(arguments, output):
            return 0
        from osmia.cli.application import invoke

        status = invoke(arguments, output)
    except BrokenPipeError:
        _forget_output()
        return _BROKEN_PIPE
    except KeyboardInterrupt as signal:
        # That of `termination.Ended`, which is imported where it is raised.
        return getattr(signal, "status", _INTERRUPTED)
    except Exception as error:
        return _told(error, output)
    return status if isinstance(status, int) else 0


def _told(error: Exception, output: Output) -> int:
    """The exit status of an error, which is said on stderr."""
    import click

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        return _INTERRUPTED
    from osmia.cli.reports import report

    return report(error, output)


def _forget_output() -> None:
    """Let stdout lead nowhere: the interpreter would complain when it flushes at exit."""
    from contextlib import suppress

    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
