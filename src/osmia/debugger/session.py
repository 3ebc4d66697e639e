"""`Session`: one run of a program of a vm, that goes and stands still as it is told."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from osmia.closing import ClosedByWith
from osmia.debugger import finding
from osmia.debugger.breakpoints import Breakpoint, Breakpoints
from osmia.debugger.callbacks import StandingClock
from osmia.debugger.contents import Contents
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import Expression
from osmia.debugger.given import Given, refuse
from osmia.debugger.history import History
from osmia.debugger.listing import Sources
from osmia.debugger.machine import Machine
from osmia.debugger.movement import Movement
from osmia.debugger.pointers import Pointers
from osmia.debugger.stops import Stop, StopReason
from osmia.debugger.watchpoints import Watchpoint, Watchpoints
from osmia.engine.results import as_packet
from osmia.errors import ClosedError
from osmia.vm import layout
from osmia.vm.budgets import INTERPRETER_BUDGET, budget_of
from osmia.vm.execution import Execution
from osmia.vm.runs import input_on

if TYPE_CHECKING:
    from typing import Never

    from osmia.engine.maps import Map
    from osmia.vm.cpu import Lease
    from osmia.vm.loaded import VmObject
    from osmia.vm.programs import VmProgram

Condition = Callable[["Session"], Any] | str


class Session(Contents, ClosedByWith):
    """A run of a program, standing still before its first instruction:

        with program.session(packet) as session:
            session.break_at(line=12, condition="limit > 3")
            stop = session.continue_()
            print(session.frames[0].locals, session.registers["r1"])
            session.back()

    What moves it gives a `Stop`. Meanwhile memory, maps, global variables and registers may be
    read and changed, through the session or through the loaded object; going back undoes what the
    run did, and what was changed is changed again where the run comes by. It has a CPU of the vm
    until it is closed. It takes what `Program.run` takes, by the same names; what a run that is
    stepped through cannot have (`repeat`, `executor`, `hook`) is a TypeError that says why. An
    iterator's `objects` are gone through in one session.
    """

    def __init__(
        self,
        program: VmProgram,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        strict: bool = True,
        budget: int | None = None,
        args: Sequence[Any] | None = None,
        result: Any = 0,
        objects: Iterable[Any] | Map | None = None,
        linear: int | None = None,
        **others: Never,
    ) -> None:
        for name in others:
            refuse(name)
        program.check_open()
        program.check_testable()
        self.program = program
        self.vm = program.vm
        self.loaded: VmObject | None = program.loaded() if program.loaded else None
        self.breakpoints = Breakpoints()
        self.watchpoints = Watchpoints()
        self.sources = Sources()
        self.given = Given(
            program, data, ctx, args=args, result=result, objects=objects, linear=linear
        )
        self._options = strict, budget_of(budget, INTERPRETER_BUDGET)
        self._numbers = itertools.count(1)
        self._closed = False
        self._lease: Lease = self.vm.cpus.lease()
        self._lease.token.acquire()
        self._finalizer = weakref.finalize(self, _free, self._lease)
        try:
            self._cpu = self._lease.take()
            self._lease.running, self._lease.suspended = _Stopper(self), True
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        vm, cpu = self.vm, self._cpu
        program = self.program
        self._given = given = input_on(vm, cpu, program.type, program.expected_attach_type)
        given.place(self.given.data, self.given.ctx)
        if self.given.linear is not None:
            given.split(self.given.linear)
        vm.memory.store32(cpu.state + layout.STATE_TAIL_CALLS, 0)
        strict, budget = self._options
        execution, rounds = Execution(vm, cpu, given, program.type), self.given.rounds
        self.machine = Machine(execution, given, strict=strict, budget=budget, rounds=rounds)
        self.machine.start(program.number, program.code, *given.arguments)
        self.history = History(self.machine)
        self.pointers = Pointers(self.machine, given, self._named)
        self._movement = Movement(self)
        self.stop = self.first_stop = Stop(StopReason.BEGIN, 0)
        """Why it stands still now."""
        self.history.rest()

    def restart(self, data: bytes | bytearray | memoryview | None = None, ctx: Any = None) -> Stop:
        """Begin again, with maps and global variables as they were in the beginning; with other
        data or another context, where given. Breakpoints stay."""
        self.check_still()
        if data is not None:
            self.given.data = as_packet(data)
        if ctx is not None:
            self.given.ctx = ctx
        self.history.edits.clear()
        self.history.go(0, anew=True)
        self._begin()
        return self.stop

    # Breakpoints and watchpoints.

    def break_at(
        self,
        line: int | None = None,
        *,
        file: str | None = None,
        function: str | None = None,
        instruction: int | None = None,
        helper: str | None = None,
        map: str | None = None,  # noqa: A002 - the field's word
        key: Any = None,
        condition: Condition | None = None,
        ignore: int = 0,
        temporary: bool = False,
    ) -> Breakpoint:
        """Stop at a line (the next that has code) of a file (that where the run is), at a
        function's or program's first instruction, at an instruction of this program by its slot,
        at calls of a helper, or at accesses to a map, or to one entry of it.

        `condition` is an expression, or is called with the session; the first `ignore` times it
        is true the run goes on. DebuggerError: there is no such place.
        """
        self.check_open()
        place = finding.place(
            self, line, file, function=function, slot=instruction, helper=helper, map=map, key=key
        )
        made = Breakpoint(
            self.breakpoints,
            next(self._numbers),
            place,
            condition=None if condition is None else self._condition(condition),
            condition_text=_text_of(condition),
            ignore=ignore,
            temporary=temporary,
        )
        return self.breakpoints.add(made)

    def set_condition(self, breakpoint_: Breakpoint, condition: Condition | None) -> None:
        """Give a breakpoint another condition, or none."""
        made = None if condition is None else self._condition(condition)
        breakpoint_.condition = made
        breakpoint_.condition_text = _text_of(condition)

    def _condition(self, condition: Condition) -> Callable[[], bool]:
        if isinstance(condition, str):
            expression = Expression(condition)
            return lambda: bool(expression.value(self, self._innermost()))
        called = condition
        return lambda: bool(called(self))

    def watch(self, what: str | tuple[str, Any] | int, size: int = 8) -> Watchpoint:
        """Stop after the instruction that changes a value: an expression's ("limit", "r3",
        "flows[1]"), a map's entry (its map's name and its key), or `size` bytes at an address.
        DebuggerError for what is none of these."""
        self.check_open()
        text, read, anything = finding.watched(self, what, size)
        made = Watchpoint(
            self.watchpoints, next(self._numbers), text, read, any_instruction=anything
        )
        return self.watchpoints.add(made)

    # Moving.

    def step(self, count: int = 1, *, instruction: bool = False) -> Stop:
        """To the next line, into functions that are called; or by instructions."""
        return self._movement.steps(count, over=False, instruction=instruction)

    def next(self, count: int = 1, *, instruction: bool = False) -> Stop:
        """To the next line of this function or, where it returns, of its caller."""
        return self._movement.steps(count, over=True, instruction=instruction)

    def finish(self, frame: int = 0) -> Stop:
        """Until the function of a frame (0 is the innermost) returned: `Stop.returned`."""
        return self._movement.finish(frame)

    def until(self, line: int | None = None, *, file: str | None = None) -> Stop:
        """Until a line of this function; without one, until a line behind this: past a loop.
        DebuggerError where the function has no code of the line; where it returned before it got
        there, `Stop.missed` says so."""
        return self._movement.until(line, file)

    def continue_(self) -> Stop:
        """Until something stops it, or to the end."""
        return self._movement.go_on()

    def elapse(self, seconds: float) -> Stop:
        """Let time go by at the program's end: to the first instruction of what it put off (timers,
        work queues) and is due first. From there all moves go on, through what is due until then,
        each callback with the clock at its time. The clock is that of the test's
        `osmia.testing.Machine`, or stands where this is first asked for. DebuggerError before the
        program's end, ValueError for less than no time."""
        return self._movement.elapse(seconds)

    def back(self, count: int = 1, *, instruction: bool = False) -> Stop:
        """To where the line before this began, also in functions that were called."""
        return self._movement.steps_back(count, over=False, instruction=instruction)

    def reverse_next(self, count: int = 1, *, instruction: bool = False) -> Stop:
        """To where the line before this of this function, or of its caller, began."""
        return self._movement.steps_back(count, over=True, instruction=instruction)

    def reverse_finish(self) -> Stop:
        """To where this function was called."""
        return self._movement.back_to_call()

    def reverse_continue(self) -> Stop:
        """Back to where something would stop it, or to the beginning. Nothing is counted."""
        return self._movement.go_back()

    def go(self, position: int) -> Stop:
        """To a position of the past, or of what is known of the future: `position` counts
        instructions. DebuggerError for what never was."""
        return self._movement.to(position)

    def interrupt(self) -> None:
        """Stop a run that is moving, from another thread."""
        self._movement.interrupted = True

    # The end.

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its vm."""
        return self._closed

    def close(self) -> None:
        """Give the run up where it is: what it did until now stays. Nothing happens the second
        time."""
        if self._closed:
            return
        self._closed = True
        self.given.close()
        if isinstance(self.vm.clock, StandingClock):
            self.vm.clock.remove()
        if hasattr(self, "machine") and not self.vm.closed:
            self.machine.abandon_calls()
        self._finalizer()
        self.vm.cpus.freed()
        if not self.vm.closed:
            self.vm.lifetimes.sweep()

    def check_still(self) -> None:
        """Raise where the run is moving, or is closed."""
        self.check_open()
        if not self._lease.suspended:
            raise DebuggerError("the run is moving")

    def check_open(self) -> None:
        """Raise where it is closed."""
        if self._closed:
            raise ClosedError("the session is closed")

    @contextmanager
    def moving(self) -> Iterator[None]:
        """The run moves meanwhile."""
        self.check_still()
        self._lease.suspended = False
        try:
            yield
        finally:
            self._lease.suspended = True

    def __repr__(self) -> str:
        where = "closed" if self._closed else f"{self.stop.reason.value}, position {self.position}"
        return f"<Session of program {self.program.name!r}: {where}>"


def _text_of(condition: Condition | None) -> str:
    if condition is None or isinstance(condition, str):
        return condition or ""
    return repr(condition)


class _Stopper:
    """Ends a session whose vm is being closed; keeps it not."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)

    def stop(self) -> None:
        """See `osmia.vm.cpu.Stoppable`."""
        session = self._session()
        if session is not None:
            session.machine.stop()
            if session._lease.suspended:
                session.close()


def _free(lease: Lease) -> None:
    """Give a CPU back."""
    if lease.token.locked():
        lease.token.release()
