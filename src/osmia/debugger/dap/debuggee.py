"""The program that an editor debugs: its sessions, one an input, and what it hears of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osmia.captures.packets import verdict_name
from osmia.debugger.dap.breakpoints import EditorBreakpoints
from osmia.debugger.dap.launch import Launched
from osmia.debugger.dap.nodes import Nodes
from osmia.debugger.dap.sources import SourceFiles
from osmia.debugger.dap.stack import Stack
from osmia.debugger.errors import DebuggerError
from osmia.debugger.stops import Stop, StopReason

if TYPE_CHECKING:
    from osmia.debugger.session import Session

Send = Callable[[str, dict[str, Any]], None]
"""Sends an event: its name, its body."""
THREAD = 1
MOST_STEPS = 10_000
"""Lines that are run over at once where a function was inlined."""


class Debuggee:
    """A launched program. `session` is the run that stands still; it may be at its end."""

    def __init__(self, launched: Launched, breakpoints: EditorBreakpoints, send: Send) -> None:
        self.launched = launched
        self.breakpoints = breakpoints
        self.send = send
        self.nodes = Nodes()
        source = launched.loaded.source.path
        places = [launched.directory, Path(source or ".").absolute().parent]
        self.sources = SourceFiles(places)
        for program in launched.loaded.programs.values():
            self.sources.add_lines(program.code.lines.values())
        self.number = 0
        self.ended = False
        self._shown_end = False
        self._printed = 0
        self.session = self._begin()

    def _begin(self) -> Session:
        launched = self.launched
        data = launched.inputs[self.number] if launched.inputs else b""
        session = launched.program.session(data, launched.ctx, **launched.options)
        self.stack = Stack(session, self.sources)
        self._printed = len(session.vm.trace)
        self._shown_end = False
        return session

    @property
    def name(self) -> str:
        """The program, and which of its inputs it runs on."""
        count = len(self.launched.inputs)
        which = f", packet {self.number + 1} of {count}" if count > 1 else ""
        return f"{self.launched.program.name}{which}"

    def remarks(self) -> list[str]:
        """What is not known of the program's variables."""
        variables = self.stack.variables
        return [] if variables is None else variables.information.remarks

    def close(self) -> None:
        """Give the run up, and unload the program."""
        self.session.close()
        self.launched.close()

    def interrupt(self) -> None:
        """Stop a run that is moving: from any thread."""
        self.session.interrupt()

    def start(self) -> None:
        """The editor is done with its breakpoints: stop at the beginning, or go."""
        if not self.launched.debug:
            for _ in self.launched.inputs:
                self.after(self.session.continue_)
        elif self.launched.stop_on_entry:
            self._stopped("entry")
        else:
            self.move(self._from_beginning)

    def _from_beginning(self) -> Stop:
        """Go, unless there is a breakpoint at the first instruction."""
        session = self.session
        here = tuple(
            each for each in session.breakpoints.at(session.machine) if each.stops(session.machine)
        )
        if here:
            session.stop = Stop(StopReason.BREAKPOINT, 0, here)
            return session.stop
        return session.continue_()

    # Moving.

    def move(self, how: Callable[[], Stop]) -> None:
        """Move the program, and tell the editor where it is then."""
        if self.ended:
            raise DebuggerError("the program has ended")
        self.nodes.clear()
        self.stack.clear()
        self.after(how)

    def after(self, how: Callable[[], Stop]) -> None:
        """Move, and go on until there is something to tell."""
        while True:
            stop = how()
            self._print()
            if stop.reason is StopReason.WATCHPOINT and self.breakpoints.goes_on(
                stop, self.session
            ):
                how = self.session.continue_
            elif stop.reason is StopReason.END and self._elapses():
                how = self._first_callback
            elif stop.reason is StopReason.END and not self._stays(stop):
                if not self._next_input():
                    return
                how = self._from_beginning
            elif stop.reason is StopReason.FAULT and not self.breakpoints.faults:
                self._say(f"{self.name}: {stop.fault}\n", "stderr")
                if not self._next_input():
                    return
                how = self._from_beginning
            else:
                self._tell(stop)
                return

    def _elapses(self) -> bool:
        """Whether time is to go by now, behind the end of this input's run."""
        return self.launched.elapse is not None and not self.session.machine.callbacks.plans

    def _first_callback(self) -> Stop:
        """Let time go by, and go, unless there is a breakpoint at the first callback."""
        assert self.launched.elapse is not None
        stop = self.session.elapse(self.launched.elapse)
        return self.session.continue_() if stop.reason is StopReason.STEP else stop

    def _stays(self, stop: Stop) -> bool:
        """Say what the program gave; whether it stays there for the editor to go back."""
        if self._shown_end or stop.result is None:
            return False
        program = self.launched.program
        verdict = verdict_name(program.type, stop.result.retval) if program.type else ""
        text = f"{stop.result.retval}" + (f" ({verdict})" if verdict else "")
        self._say(f"{self.name}: returned {text}\n")
        if not self.launched.stop_at_end or not self.launched.debug:
            return False
        self._shown_end = True
        self.session.go(stop.position - 1)
        return True

    def _next_input(self) -> bool:
        """Begin the run on the next input. At the last the program has ended: False."""
        if self.number + 1 >= len(self.launched.inputs):
            self.ended = True
            self.send("exited", {"exitCode": 0})
            self.send("terminated", {})
            return False
        self.number += 1
        self.session.close()
        self.session = self._begin()
        if self.launched.debug:
            for shown in self.breakpoints.put_all(self.session, self.sources):
                self.send("breakpoint", {"reason": "changed", "breakpoint": shown})
        return True

    def over(self, move: Callable[[], Stop]) -> Stop:
        """Move by lines, over functions that were inlined into the one that is looked at."""
        number, levels = self._place()
        for _ in range(MOST_STEPS):
            stop = move()
            if stop.reason is not StopReason.STEP or not self.session.frames:
                break
            now, inner = self._place()
            deeper = len(inner) > len(levels) and inner[len(inner) - len(levels) :] == levels
            if now != number or not deeper:
                break
        return stop

    def out(self) -> Stop:
        """Until the function that is looked at has returned, or its inlined code is done with."""
        number, levels = self._place()
        if len(levels) < 2:
            return self.session.finish()
        for _ in range(MOST_STEPS):
            stop = self.session.next()
            if stop.reason is not StopReason.STEP or not self.session.frames:
                break
            now, inner = self._place()
            if now != number or inner[len(inner) - len(levels) :] != levels:
                break
        return stop

    def _place(self) -> tuple[int, list[tuple[str, Any]]]:
        """The innermost frame's number, and the functions in it with where they were called."""
        frame = self.session.frames[0]
        levels = self.stack.levels(frame)
        # A function's place is told by the function within: two calls of one are two.
        calls = [each.place for each in levels[1:]]
        return frame.number, list(
            zip((each.function for each in levels), [*calls, None], strict=True)
        )

    # Telling.

    def _print(self) -> None:
        """What the program printed since, with bpf_printk."""
        lines = list(self.session.vm.trace)
        for line in lines[self._printed :]:
            self._say(f"{line}\n", "stdout")
        self._printed = max(self._printed, len(lines))

    def _say(self, text: str, category: str = "console") -> None:
        self.send("output", {"category": category, "output": text})

    def _tell(self, stop: Stop) -> None:
        match stop.reason:
            case StopReason.BREAKPOINT:
                kind = self.breakpoints.kind(stop)
                reason = "breakpoint" if kind == "line" else f"{kind} breakpoint"
                self._stopped(reason, hitBreakpointIds=self.breakpoints.ids(stop))
            case StopReason.WATCHPOINT:
                texts = [f"{c.watchpoint.text}: {c.old!r} → {c.new!r}" for c in stop.changes]
                ids = self.breakpoints.ids(stop)
                self._stopped("data breakpoint", text="; ".join(texts), hitBreakpointIds=ids)
            case StopReason.FAULT:
                text = str(stop.fault)
                self._stopped("exception", description="the program's fault", text=text)
            case StopReason.BEGIN:
                self._stopped("entry")
            case StopReason.INTERRUPTED:
                self._stopped("pause")
            case StopReason.END:
                self._stopped("pause", description="the program returned")
            case _:
                self._stopped("step")

    def _stopped(self, reason: str, **rest: Any) -> None:
        body = {"reason": reason, "threadId": THREAD, "allThreadsStopped": True, **rest}
        self.send("stopped", body)
