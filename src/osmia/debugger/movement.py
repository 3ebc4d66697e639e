"""How a session moves: forwards until a plan, a breakpoint or a watchpoint ends it; back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from osmia.debugger import places, stepping
from osmia.debugger.errors import DebuggerError
from osmia.debugger.places import WRITES
from osmia.debugger.stops import Changed, Stop, StopReason
from osmia.vm.errors import ProgramFault

if TYPE_CHECKING:
    from osmia.debugger.breakpoints import Breakpoint
    from osmia.debugger.session import Session
    from osmia.debugger.watchpoints import Watchpoint

Values = list[tuple["Watchpoint", Any]]


class Movement:
    """The moves of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._machine = session.machine
        self._history = session.history
        self.interrupted = False

    # Forwards.

    def steps(self, count: int, *, over: bool, instruction: bool) -> Stop:
        """See `Session.step` and `Session.next`."""
        plan = stepping.one_instruction if instruction else stepping.one_line
        return self._repeated(count, lambda: self._run(plan(self._machine, over=over)))

    def finish(self, frame: int) -> Stop:
        """See `Session.finish`."""
        index = len(self._machine.frames) - 1 - frame
        if index < 0:
            self._check_going()
            raise DebuggerError(f"there is no frame {frame}")
        self._check_going()
        stop = self._run(stepping.until_returned(self._machine, index))
        if stop.reason is not StopReason.STEP:
            return stop
        returned = self._machine.registers[0]
        return self._stopped(StopReason.STEP, returned=returned)

    def until(self, line: int | None, file: str | None) -> Stop:
        """See `Session.until`."""
        self._check_going()
        function = places.check_line(self._machine.frames[-1], line, file)
        stop = self._run(stepping.until_line(self._machine, file or "", line))
        if line is None or stop.reason not in (StopReason.STEP, StopReason.END):
            return stop
        now = stepping.line_of(self._machine) if self._machine.frames else None
        if now is not None and now[2] == line:
            return stop
        missed = f"line {line} was not reached: {function} returned before"
        return self._stopped(stop.reason, result=stop.result, changes=stop.changes, missed=missed)

    def elapse(self, seconds: float) -> Stop:
        """See `Session.elapse`."""
        machine, history = self._machine, self._history
        self._session.check_still()
        if machine.frames:
            raise DebuggerError("time goes by behind the program's end: it has not come there yet")
        if seconds < 0:
            raise ValueError(f"time goes by, not back: {seconds} seconds")
        with self._moves():
            history.forget_future()
            machine.callbacks.plan(seconds)
            if not history.advance():
                missed = "nothing is due until then"
                return self._stopped(StopReason.END, result=self._session.result, missed=missed)
            hit = self._hit()
            reason = StopReason.BREAKPOINT if hit else StopReason.STEP
            return self._stopped(reason, breakpoints=hit)

    def go_on(self) -> Stop:
        """See `Session.continue_`."""
        self._check_going()
        return self._run(None)

    def _check_going(self) -> None:
        self._session.check_still()
        if not self._machine.frames:
            raise DebuggerError("the program has ended: go back, or begin again (restart)")

    def _repeated(self, count: int, once: Callable[[], Stop]) -> Stop:
        """`count` times, until something else stops it."""
        stop = self._session.stop
        for _ in range(count):
            self._check_going()
            stop = once()
            if stop.reason is not StopReason.STEP:
                break
        return stop

    def _run(self, plan: stepping.Plan | None) -> Stop:
        """Go until the plan says so, or something stops it."""
        watched, breakpoints = self._session.watchpoints, self._session.breakpoints
        with self._moves():
            while True:
                values = self._values_before() if len(watched) else None
                try:
                    going_on = self._history.advance()
                except ProgramFault as fault:
                    self._history.go(self._machine.position, anew=True)
                    return self._stopped(StopReason.FAULT, fault=fault)
                changes = self._changed(values) if values else ()
                for change in changes:
                    change.watchpoint.hits += 1
                if not going_on:
                    result = self._session.result
                    return self._stopped(StopReason.END, result=result, changes=changes)
                hit = self._hit() if len(breakpoints) else ()
                if hit:
                    return self._stopped(StopReason.BREAKPOINT, breakpoints=hit, changes=changes)
                if changes:
                    return self._stopped(StopReason.WATCHPOINT, changes=changes)
                if plan is not None and plan():
                    return self._stopped(StopReason.STEP)
                if self.interrupted:
                    return self._stopped(StopReason.INTERRUPTED)

    def _hit(self) -> tuple[Breakpoint, ...]:
        """The breakpoints here that stop the run."""
        machine = self._machine
        here = self._session.breakpoints.at(machine)
        return tuple(each for each in here if each.stops(machine)) if here else ()

    def _values_before(self) -> Values:
        """What is watched, if the instruction about to run may change it."""
        watched = self._session.watchpoints
        frame = self._machine.frames[-1]
        if frame.code.forms[frame.slot] not in WRITES and not watched.any_instruction:
            return []
        return watched.values()

    def _changed(self, values: Values) -> tuple[Changed, ...]:
        """What is not what it was."""
        now = [(each, old, each.read()) for each, old in values]
        return tuple(Changed(each, old, new) for each, old, new in now if old != new)

    # Back.

    def steps_back(self, count: int, *, over: bool, instruction: bool) -> Stop:
        """See `Session.back` and `Session.reverse_next`."""
        stop = self._session.stop
        for _ in range(count):
            stop = self._step_back(over=over, instruction=instruction)
            if stop.reason is not StopReason.STEP:
                break
        return stop

    def _step_back(self, *, over: bool, instruction: bool) -> Stop:
        if instruction and not over:
            return self.to(max(self._machine.position - 1, 0))
        with self._moves():
            looked = stepping.LineStarts(self._machine, into=not over, instruction=instruction)
            found = None
            for piece in self._history.backwards():
                found = looked.last_of(piece)
                if found is not None:
                    break
            return self._arrived(found or 0)

    def back_to_call(self) -> Stop:
        """See `Session.reverse_finish`."""
        self._check_going()
        with self._moves():
            machine = self._machine
            number, depth = machine.entries[len(machine.frames) - 1], len(machine.frames)
            found = 0
            for piece in self._history.backwards():
                outside = [
                    at
                    for at in piece
                    if machine.entries[: len(machine.frames)][depth - 1 : depth] != [number]
                ]
                if outside:
                    found = outside[-1]
                    break
            return self._arrived(found)

    def go_back(self) -> Stop:
        """See `Session.reverse_continue`."""
        with self._moves():
            for piece in self._history.backwards():
                found = self._last_stop(piece)
                if found is not None:
                    position, hit, changes = found
                    self._history.go(position)
                    reason = StopReason.BREAKPOINT if hit else StopReason.WATCHPOINT
                    return self._stopped(reason, breakpoints=hit, changes=changes)
                if self.interrupted:
                    return self._stopped(StopReason.INTERRUPTED)
            return self._arrived(0)

    def _last_stop(
        self, piece: Iterator[int]
    ) -> tuple[int, tuple[Breakpoint, ...], tuple[Changed, ...]] | None:
        """The last position of a piece of the past at which a forward run would have stopped, or
        whose instruction changed what is watched."""
        machine, session = self._machine, self._session
        found: tuple[int, tuple[Breakpoint, ...], tuple[Changed, ...]] | None = None
        values: Values = []
        before = 0
        for position in piece:
            changes = self._changed(values) if values else ()
            if changes:
                found = before, (), _turned(changes)
            hit = tuple(each for each in session.breakpoints.at(machine) if each.here(machine))
            if hit:
                found = position, hit, ()
            values, before = self._values_before(), position
        changes = self._changed(values) if values else ()
        if changes:
            found = before, (), _turned(changes)
        return found

    def to(self, position: int) -> Stop:
        """See `Session.go`."""
        with self._moves():
            if not 0 <= position <= self._history.end:
                raise DebuggerError(f"position {position}: {self._history.end} is the last known")
            return self._arrived(position)

    def _arrived(self, position: int) -> Stop:
        self._history.go(position)
        if not position:
            return self._stopped(StopReason.BEGIN)
        if not self._machine.frames:
            return self._stopped(StopReason.END, result=self._session.result)
        return self._stopped(StopReason.STEP)

    # Both.

    def _stopped(self, reason: StopReason, **rest: Any) -> Stop:
        self._session.stop = Stop(reason, self._machine.position, **rest)
        return self._session.stop

    @contextmanager
    def _moves(self) -> Iterator[None]:
        """The run moves. Whatever an error leaves half done is as it was before the instruction."""
        session, machine = self._session, self._machine
        with session.moving(), self._interruptible():
            self._history.resume()
            try:
                yield
            except BaseException:
                if not session.closed and not session.vm.closed and not machine.stopped:
                    self._history.go(machine.position, anew=True)
                raise
            finally:
                if not session.vm.closed and not machine.stopped:
                    self._history.rest()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C stops the run behind the instruction that it is at; the next is as
        it always is: a helper of the user's may not come back."""
        self.interrupted = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        held = signal.getsignal(signal.SIGINT)
        if held is not signal.default_int_handler:
            yield
            return

        def once(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, held)

        signal.signal(signal.SIGINT, once)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, held)


def _turned(changes: tuple[Changed, ...]) -> tuple[Changed, ...]:
    """Changes as they are undone."""
    return tuple(Changed(each.watchpoint, each.new, each.old) for each in changes)
