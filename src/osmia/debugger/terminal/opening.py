"""The console on a session, from the command line or in the middle of somebody's Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from osmia.debugger.given import OPTIONS
from osmia.debugger.session import Session
from osmia.debugger.terminal import changing, looking, moving, stopping
from osmia.debugger.terminal.console import Console, Left
from osmia.debugger.terminal.reading import lines_of
from osmia.vm.programs import VmProgram

if TYPE_CHECKING:
    from osmia.engine.results import RunResult

assert changing and looking and moving and stopping  # imported for the commands they declare

#: What gives standard input and output back where a test runner took them, if it is loaded.
_CAPTURE = "osmia.testing.plugin"


def open_console(
    console: Console,
    *,
    scripts: Sequence[str] = (),
    commands: Sequence[str] = (),
    batch: bool = False,
) -> int:
    """Run files of commands, then commands, then what is typed or piped in, unless `batch`. The
    status: 1 where a command of a script, or a piped one, failed."""
    console.greet()
    try:
        if not _run_scripts(console, scripts, commands):
            return 1
        if batch:
            return 0
        if sys.stdin.isatty():
            with lines_of(console) as read:
                console.interact(read)
            return 0
        lines = (line.strip() for line in sys.stdin)
        return 0 if all(console.attempt(line) for line in lines if line) else 1
    except Left as left:
        console.quit = left.quits
        return 0
    finally:
        console.screen.flush()


def _run_scripts(console: Console, scripts: Sequence[str], commands: Sequence[str]) -> bool:
    return all(console.attempt(f"source {path}") for path in scripts) and all(
        map(console.attempt, commands)
    )


def debug(
    program: VmProgram, data: bytes | bytearray | memoryview, ctx: Any, **options: Any
) -> RunResult:
    """Run a program with the console on it. When that is left the run goes on to its end: what it
    gave, ProgramFault as of `run`."""
    with program.session(data, ctx, **options) as session, _uncaptured():
        open_console(Console(session, sys.stdout, goes_on=True))
        return rest_of(session)


def rest_of(session: Session) -> RunResult:
    """Let a run go on to its end, past all breakpoints."""
    for each in (*session.breakpoints, *session.watchpoints):
        each.delete()
    while session.result is None:
        stop = session.continue_()
        if stop.fault is not None:
            raise stop.fault
        if stop.result is None:
            raise KeyboardInterrupt
    return session.result


@contextmanager
def _uncaptured() -> Iterator[None]:
    """Standard input and output as they are outside of a test runner."""
    plugin = sys.modules.get(_CAPTURE)
    with getattr(plugin, "uncaptured", nullcontext)():
        yield


class TestDebugger:
    """A plugin of pytest that opens the console on each run of a program in a vm, or of those of
    a name. `quit` there ends the tests, `continue` at a run's end goes on with them."""

    __test__ = False

    def __init__(self, program: str, **console: Any) -> None:
        self._program = program
        self._console = console
        self._styled = console.pop("styled")

    def pytest_runtest_call(self, item: Any) -> None:
        """From here on runs of programs are debugged."""
        kept = VmProgram.run
        item.addfinalizer(lambda: setattr(VmProgram, "run", kept))

        def run(program: VmProgram, data: Any = b"", ctx: Any = None, **options: Any) -> Any:
            if self._program not in ("", program.name):
                return kept(program, data, ctx, **options)
            return self._run(program, data, ctx, options)

        setattr(VmProgram, "run", run)  # noqa: B010 - a type checker would not have it

    def _run(self, program: VmProgram, data: Any, ctx: Any, options: dict[str, Any]) -> Any:
        import pytest

        taken = {name: options[name] for name in OPTIONS if name in options}
        with program.session(data, ctx, **taken) as session:
            console = Console(session, styled=self._styled, goes_on=True)
            with _uncaptured():
                console.screen.to(sys.stdout)
                status = open_console(console, **self._console)
            if console.quit or status:
                pytest.exit("the debugger was left", status)
            return rest_of(session)
