"""The interpreter as a debugger drives it: one instruction at a time, callbacks' too.

In a plain run a helper that calls back runs the program's function inside of itself, on Python's
stack, where nobody can stand still. Here such a helper is a generator (`Helper.calls`) that is
suspended while what it called runs like any other function: each instruction is one step.

What the machine answers differently each time (time, the user's own helpers) is remembered by the
position of the call, so that a run that goes the same way again gets the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.debugger.callbacks import Callbacks, KeyOwner
from osmia.debugger.state import Change, Mark, capture_frames, capture_memory
from osmia.debugger.tracking import Tracking
from osmia.isa import opcodes as op
from osmia.isa.alu import M64
from osmia.isa.instruction import Instruction
from osmia.records import dataclass
from osmia.vm.access import Access, AccessError
from osmia.vm.code import TAIL_CALL, Code
from osmia.vm.errors import ProgramFault, Thrown, describe_call
from osmia.vm.execution import Execution
from osmia.vm.helpers.table import Calls, Helper, Invocation
from osmia.vm.interpreter import Interpreter

if TYPE_CHECKING:
    from osmia.debugger.rounds import Rounds
    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram
    from osmia.vm.runs import Input

_CLOCKS = frozenset(
    f"{name}"
    for name in (
        *("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns"),
        "jiffies64",
    )
)
#: Helpers that ask the user's callable of another name.
_ASKS = {"get_stackid": "get_stack", "sk_storage_get": "get_socket_cookie"}


@dataclass(slots=True)
class _Calling:
    """A helper that waits for what it called: at `depth` frames, from the call at `slot`."""

    depth: int
    calls: Calls
    slot: int
    r0: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a helper did that may do something else the next time."""

    value: int
    change: Change | None = None
    spent: int = 0
    fault: ProgramFault | None = None


class Machine(Interpreter):
    """An interpreted run whose every instruction is one `advance`.

    `position` counts them. `entries` has for each active frame a number that no other frame of the
    run has. `answers` are by position; those that are known are given again. `tracking` knows which
    registers hold pointers. `given` is what the run was given; `rounds` are an iterator's runs.
    """

    def __init__(
        self,
        execution: Execution,
        given: Input,
        *,
        strict: bool,
        budget: int,
        rounds: Rounds | None = None,
    ) -> None:
        super().__init__(execution, strict=strict, budget=budget)
        self.rounds = rounds
        self.vm: Vm = execution.vm
        self.cpu = execution.cpu
        self.position = 0
        self.entries: list[int] = []
        self.answers: dict[int, Answer] = {}
        self.given = given
        self.tracking = Tracking(self)
        self.callbacks = Callbacks(self)
        owner = KeyOwner(self.callbacks, given, self.cpu.context)
        self.access = Access(execution.areas, owner, self.cpu.block)
        self._passed = -1
        self._calling: list[_Calling] = []

    def advance(self) -> bool:
        """Run the instruction; False when the program has ended, and whatever it put off that is
        to be called then. ProgramFault leaves the position at the instruction that did it."""
        if not self.frames:
            going_on = self.callbacks.begin()
            self.position += 1
            return going_on
        self.tracking.follow(self.frames[-1])
        try:
            going_on = self.step()
        except Thrown as thrown:
            going_on = self._caught(thrown)
        going_on = going_on or self._goes_on()
        self.position += 1
        return going_on

    def _goes_on(self) -> bool:
        """Whether something is begun where the program, or what was begun so, has returned."""
        if self.callbacks.going is not None:
            return self.callbacks.go_on()
        return self.rounds is not None and self.rounds.go_on(self)

    def call_back(self, program: VmProgram, slot: int, arguments: tuple[int, ...]) -> None:
        """Enter a function of a program, while nothing runs."""
        self.start(program.number, program.code, *arguments, slot=slot)

    def _caught(self, thrown: Thrown) -> bool:
        """The program threw, which ends it: what is called then is one step."""
        from osmia.vm.exceptions import caught

        program = self.vm.lifetimes.programs[self.frames[0].program]
        self.abandon_calls()
        self.result = caught(program, self.given, thrown, 1)
        self.frames.clear()
        self.access.stack.frames.clear()
        return False

    @property
    def calls_back(self) -> bool:
        """Whether a helper waits for what it called."""
        return bool(self._calling)

    def abandon_calls(self) -> None:
        """Helpers that wait get no answer any more: memory is about to be put back."""
        while self._calling:
            self._calling.pop().calls.close()

    def mark(self, before: Mark | None = None) -> Mark:
        """Memory and frames now."""
        memory = capture_memory(self.vm, self.cpu, before.memory if before else None)
        return Mark(memory, capture_frames(self))

    # What differs from plain runs.

    def _enter(
        self,
        code: Code,
        slot: int,
        program: int,
        arguments: tuple[int | None, ...],
        pointer: int,
    ) -> None:
        super()._enter(code, slot, program, arguments, pointer)
        depth = len(self.frames)
        self.entries[depth - 1 :] = [self.budget]
        self.tracking.enter(depth, self._passed, arguments)
        self._passed = -1

    def _call(self, i: Instruction) -> None:
        if i.src not in (op.CallKind.HELPER, op.CallKind.KFUNC) or (
            i.imm == TAIL_CALL and i.src == op.CallKind.HELPER
        ):
            self._passed = self.tracking.masks[len(self.frames) - 1] & 0b111110
            super()._call(i)
            self._passed = -1
            return
        found, arguments = self.execution.called(self, i)
        if found.calls is None or found.name in self.vm.helpers:
            try:
                value = self._answer(found, arguments)
            except Thrown as thrown:
                self._unwind(thrown)
                return
            self._clobber()
            self._write(0, value & M64)
            self.tracking.called(i, value & M64)
            return
        frame = self.frame
        invocation = Invocation(self.vm, self.cpu, frame.pointer, self)
        calls = found.calls(invocation, *arguments)
        self._calling.append(_Calling(len(self.frames), calls, frame.slot - 1, frame.registers[0]))
        self._go_on(None)

    def _unwind(self, thrown: Thrown) -> None:
        """The program threw: all frames are gone, its exception callback is entered, if any."""
        self.abandon_calls()
        self.frames, self.access.stack.frames = [], []
        program = thrown.program
        if program.exception_callback:
            slot, top = program.exception_callback, self.execution.cpu.stack_top
            self._enter(program.code, slot, program.number, (thrown.cookie,), top)
        else:
            self.result = thrown.cookie

    def _call_register(self, i: Instruction) -> None:
        self._passed = self.tracking.masks[len(self.frames) - 1] & 0b111110
        super()._call_register(i)

    def _exit(self, i: Instruction) -> None:
        returned = self.tracking.masks[len(self.frames) - 1] & 1
        super()._exit(i)
        if self.frames:
            masks, index = self.tracking.masks, len(self.frames) - 1
            masks[index] = masks[index] & ~0b111111 | returned
        if not self._calling or len(self.frames) != self._calling[-1].depth:
            return
        if self.result is None:
            raise self.fault("r0 is read before it is written")
        self.registers[0] = self._calling[-1].r0
        self._go_on(self.result)

    def _tail_call(self) -> None:
        super()._tail_call()
        if self._calling and self.execution.replaces_program and len(self.frames) == 1:
            self.abandon_calls()

    def _go_on(self, returned: int | None) -> None:
        """Let the helper that waits go on: it calls again, or is done."""
        calling, frame = self._calling[-1], self.frame
        try:
            callback, *arguments = (
                next(calling.calls) if returned is None else calling.calls.send(returned)
            )
            slot = frame.code.function_of(callback)
            if slot is None:
                raise ProgramFault(describe_call(callback))
            self.execution.check_entry(frame.pointer)
        except StopIteration as end:
            self._calling.pop()
            self._clobber()
            self._write(0, end.value & M64)
            self.tracking.masks[len(self.frames) - 1] &= ~0b111111
            return
        except (AccessError, ProgramFault) as error:
            self._calling.pop().calls.close()
            frame.slot = calling.slot
            raise self.fault(str(error)) from None
        self._push(frame.code, slot, frame.program, tuple(arguments))

    def _answer(self, found: Helper, arguments: list[int]) -> int:
        """What a helper gives; what it gave, where the run comes by again."""
        known = self.answers.get(self.position)
        if known is not None:
            return self._repeat(known)
        helpers = self.vm.helpers
        if found.name in helpers or _ASKS.get(found.name, "") in helpers:
            return self._watched_answer(found, arguments)
        value = self.execution.invoke(found, arguments, self.frame.pointer, self)
        if found.name in _CLOCKS:
            self.answers[self.position] = Answer(value)
        return value

    def _watched_answer(self, found: Helper, arguments: list[int]) -> int:
        """The user's own helper may change all that there is, and does not run twice."""
        before, budget = self.mark(), self.budget
        try:
            value = self.execution.invoke(found, arguments, self.frame.pointer, self)
        except ProgramFault as fault:
            self.answers[self.position] = Answer(0, fault=fault)
            raise
        change = before.change_until(self.mark(before))
        self.answers[self.position] = Answer(value, change, budget - self.budget)
        return value

    def _repeat(self, known: Answer) -> int:
        if known.fault is not None:
            raise known.fault
        if known.change is not None:
            known.change.apply(self)
        self.budget -= known.spent
        return known.value
