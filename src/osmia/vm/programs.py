"""A program loaded into a vm: run it, batch-run it, call it from others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from osmia.errors import ClosedError, NotSupportedError
from osmia.isa.opcodes import CallKind
from osmia.object import model
from osmia.object.uapi import AttachType, ProgramType
from osmia.vm import layout
from osmia.vm.budgets import HOT, INTERPRETER_BUDGET, JIT_BUDGET, budget_of
from osmia.vm.code import Code
from osmia.vm.errors import BudgetExceededError, Interrupt, ProgramFault
from osmia.vm.execution import Execution, describe
from osmia.vm.interpreter import Hook, Interpreter
from osmia.vm.runs import Input, RunResult

if TYPE_CHECKING:
    from osmia.vm.batch import Batch
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.jit.machine import Jit

Executor = Literal["auto", "interpreter", "jit"]


class Program:
    """A program of a vm; it stays loaded until the vm is closed, or forgets its programs:
    `closed`, ClosedError from then on.

    `number` is its handle for prog arrays, `calls` are the handles of the dispatchers that it
    calls. `type` is None for a raw program.
    """

    def __init__(
        self,
        vm: Vm,
        number: int,
        code: Code,
        program_type: ProgramType | None,
        *,
        expected_attach_type: AttachType | None = None,
        return_type: str = "",
        signature: str = "",
    ) -> None:
        self.vm = vm
        self.number = number
        self.code = code
        self.type = program_type
        self.expected_attach_type = expected_attach_type
        self.return_type = return_type
        self.signature = signature
        self.definition: model.Program | None = None
        self.calls = frozenset(
            i.imm for i in code.instructions if i and i.is_call and i.src == CallKind.PROGRAM
        )
        self._runs = 0
        self.closed = False

    def check_open(self) -> None:
        """Raise ClosedError for a program that is no more."""
        if self.vm.closed:
            raise ClosedError("the vm is closed")
        if self.closed:
            raise ClosedError(f"program {self.name!r} is closed")

    @property
    def name(self) -> str:
        """The program's name."""
        return self.code.name

    def run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        repeat: int = 1,
        executor: Executor = "auto",
        strict: bool = True,
        budget: int | None = None,
        hook: Hook | None = None,
    ) -> RunResult:
        """Run the program once, or `repeat` times on the same packet.

        `data` is a packet from its Ethernet header on (of a raw program: its memory), `ctx`
        the context: bytes, a mapping of field names, or numbers for raw tracepoints.
        `budget` is the number of instructions each run may take, at least 1; None stands
        for what `osmia.vm.budgets` has for the executor. `strict` and `hook` are for
        interpreted runs, see `osmia.vm.interpreter`.

        Raises ProgramFault when the program does what it may not do, BudgetExceededError
        when it does not end; ClosedError.
        """
        self.check_open()
        if repeat < 0:
            raise ValueError(f"a program cannot run {repeat} times")
        repeat = repeat or 1  # as the kernel takes it
        compiled = self._is_compiled(executor, repeat, hook)
        limit = budget_of(budget, JIT_BUDGET if compiled else INTERPRETER_BUDGET)
        with self.vm.cpus.take() as cpu:
            self.check_open()
            given = Input(self.vm, cpu, self)
            given.place(bytes(data), ctx)
            begin = time.perf_counter_ns()
            if compiled:
                retval = self._run_compiled(given, limit, repeat)
            else:
                for _ in range(repeat):
                    retval = self._interpret(given, limit, strict, hook)
            return given.result(retval, (time.perf_counter_ns() - begin) // repeat)

    def _is_compiled(self, executor: Executor, repeat: int, hook: Hook | None) -> bool:
        """Whether this run is for the JIT: asked for, or worth compiling."""
        if executor == "auto":
            self._runs += repeat
            return hook is None and self._runs >= HOT and self.vm.jit is not None
        if executor == "jit":
            self.vm.need_jit()
        return executor == "jit"

    def _run_compiled(self, given: Input, budget: int, repeat: int) -> int:
        jit = self.vm.need_jit()
        retval = jit.run(self, given.cpu, given.arguments, budget, repeat)
        if self.vm.memory.load64(given.cpu.state + layout.STATE_INTERRUPT):
            self.raise_fault(given.cpu, jit)
        return retval

    def raise_fault(self, cpu: Cpu, jit: Jit, where: str = "") -> NoReturn:
        """Raise what an interrupt of a compiled run on a CPU means."""
        why = self.vm.memory.load64(cpu.state + layout.STATE_INTERRUPT)
        detail = self.vm.memory.load64(cpu.state + layout.STATE_DETAIL)
        kind = BudgetExceededError if why == Interrupt.BUDGET else ProgramFault
        error = jit.take_failure()
        if isinstance(error, ProgramFault):
            raise ProgramFault(error.message + where, program=self.name) from error
        if error is not None:
            raise ProgramFault(f"a helper raised {error!r}{where}", program=self.name) from error
        if why == Interrupt.POISON:
            raise ProgramFault(self.vm.unresolved.words(detail) + where, program=self.name)
        raise kind(describe(why, detail) + where, program=self.name) from error

    def attach(self, target: Any = None, **options: Any) -> NoReturn:
        """The vm has no places to attach to: NotSupportedError."""
        raise NotSupportedError(f"program {self.name!r} is in a vm, which attaches nothing: run it")

    def run_batch(
        self,
        packets: Batch | Iterable[bytes],
        *,
        budget: int | None = None,
        repeat: int = 1,
    ) -> Sequence[int]:
        """Run the program once on each packet; an array of the return values (u32). Compiled,
        that is one native loop; without llvmlite packets are interpreted one by one. Contexts
        are as `run` sets them when it is given none.

        Raises NotSupportedError for types that take no packets, ProgramFault at the first
        packet at which a run goes wrong.
        """
        from osmia.vm import batch

        return batch.run(self, packets, budget, repeat)

    def _interpret(self, given: Input, budget: int, strict: bool, hook: Hook | None) -> int:
        self.vm.memory.store32(given.cpu.state + layout.STATE_TAIL_CALLS, 0)
        execution = Execution(self.vm, given.cpu, given, self.type)
        interpreter = Interpreter(execution, strict=strict, budget=budget, hook=hook)
        return interpreter.run(self.number, self.code, *given.arguments)

    def __repr__(self) -> str:
        kind = self.type.name if self.type is not None else "raw"
        return f"<Program {self.name!r} {kind}, number {self.number}, vm>"
