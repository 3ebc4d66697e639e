"""The console: reads commands from a terminal, a pipe or a file, and does what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from osmia.debugger.errors import DebuggerError
from osmia.debugger.stops import Stop, StopReason
from osmia.debugger.terminal import screen, telling
from osmia.debugger.terminal.screen import Screen
from osmia.debugger.terminal.words import Command, find, split
from osmia.errors import OsmiaError
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.debugger.frames import Frame
    from osmia.debugger.session import Session

PROMPT = "(osmia) "
_DEEPEST_SOURCE = 8


class Left(Exception):
    """The console is left: at the end of input, or by who `quits` all that it is in."""

    def __init__(self, *, quits: bool = False) -> None:
        super().__init__()
        self.quits = quits


class Console:
    """A session with commands. `packets` are what `run N` may begin with; with `goes_on` the
    program is run from elsewhere: `continue` at its end, and `quit`, go back there."""

    def __init__(
        self,
        session: Session,
        output: TextIO | None = None,
        *,
        styled: bool | None = None,
        packets: Sequence[bytes] = (),
        goes_on: bool = False,
    ) -> None:
        self.session = session
        self.screen = Screen(output or sys.stdout, styled=styled)
        self.packets = packets
        self.goes_on = goes_on
        self.quit = False
        self.selected = 0
        self.listed: int | None = None
        """The last line that was listed; None when the run has moved since."""
        self.displayed: list[str] = []
        self._last: tuple[Command, str] | None = None
        self._function = ""
        self._depth = 0

    # Input.

    def greet(self) -> None:
        """Say what is debugged, and where it stands."""
        self.screen.line(telling.greeting(self.session), "bold")
        self.arrived(self.session.stop, whole=True)

    def script(self, lines: Iterable[str]) -> None:
        """Run commands. What one of them cannot is an error that ends it: DebuggerError."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST_SOURCE:
                raise DebuggerError("files of commands that read each other")
            for line in lines:
                if line.strip() and not line.lstrip().startswith("#"):
                    self.do(line)
        finally:
            self._depth -= 1

    def source(self, path: str) -> None:
        """Run the commands of a file."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise DebuggerError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise DebuggerError(f"{path}: this is no text, but commands are") from None
        self.script(text.splitlines())

    def interact(self, read: Callable[[str], str]) -> None:
        """Read commands until it is left. `read` is given a prompt and gives a line; EOFError: no
        more come, KeyboardInterrupt: Ctrl-C at the prompt."""
        while True:
            self.screen.flush()
            try:
                line = read(PROMPT)
            except KeyboardInterrupt:
                self.screen.line()
                self.screen.line("quit leaves the debugger")
                continue
            except EOFError:
                self.screen.line()
                raise Left from None
            self.attempt(line)

    def attempt(self, line: str) -> bool:
        """Run a line; an error is printed. Whether it went well."""
        try:
            self.do(line)
        except Left:
            raise
        except (OsmiaError, KeyError, ValueError, TypeError) as error:
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            self.screen.line(f"error: {text}", "red")
            return False
        except KeyboardInterrupt:
            self.screen.line("interrupted", "yellow")
            return False
        return True

    def do(self, line: str) -> None:
        """Run a line; an empty one is the last again, if that was a step or a list."""
        line = line.strip()
        if not line:
            if self._last is None:
                return
            found, rest = self._last
        else:
            word, rest = split(line)
            found = find(word)
        self._last = (found, "" if found.completes == "line" else rest) if found.again else None
        found.run(self, rest)

    # What commands share.

    @property
    def frame(self) -> Frame:
        """The selected frame. DebuggerError at the program's end."""
        frames = self.session.frames
        if not frames:
            raise DebuggerError("the program has ended: go back, or run it again")
        return frames[min(self.selected, len(frames) - 1)]

    @property
    def index(self) -> int:
        """The selected frame's number."""
        return self.selected if self.session.frames else 0

    def arrived(self, stop: Stop, *, whole: bool = False) -> None:
        """Say why the run stands still and where; `whole`: with the function's name."""
        self.selected, self.listed = 0, None
        for style, text in telling.reasons(self.session, stop):
            self.screen.line(text, style)
        frames = self.session.frames
        if not frames:
            self._function = ""
            return
        frame = frames[0]
        new = frame.function != self._function or stop.reason not in (StopReason.STEP,)
        self.show_place(frame, whole=whole or new)
        self._function = frame.function
        for text in self.displayed:
            self.screen.line(telling.displayed(self.session, text))

    def show_place(self, frame: Frame, *, whole: bool = True) -> None:
        """A frame's place, if it is another than before, and its line or its instruction."""
        if whole:
            self.screen.line(screen.place(frame), "cyan")
        lines = self.session.source(frame, around=0)
        if lines:
            self.screen.listed(str(lines[0].number), lines[0].text, "green")
            return
        (here,) = self.session.disassembly(frame, around=0)
        self.screen.listed(f"{here.slot}:", here.text, "green")
