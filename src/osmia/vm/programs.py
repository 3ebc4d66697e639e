"""A program loaded into a vm: run it, batch-run it, call it from others."""

from __future__ import annotations

import errno
from _weakrefset import WeakSet  # all of `weakref` is dear
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from time import perf_counter_ns

from osmia.arguments import explained, names_wrong_arguments
from osmia.engine import program as engine
from osmia.engine.results import as_packet
from osmia.errors import ClosedError, KernelError
from osmia.isa.opcodes import CallKind
from osmia.object.uapi import AttachType, ProgramType
from osmia.on_demand import on_demand
from osmia.vm import layout
from osmia.vm.budgets import GENERATED_BUDGET, HOT, INTERPRETER_BUDGET, JIT_BUDGET, budget_of
from osmia.vm.code import Code
from osmia.vm.cpu import Lease
from osmia.vm.errors import BudgetExceededError, Interrupt, ProgramFault, Thrown
from osmia.vm.execution import Execution, describe
from osmia.vm.interpreter import Hook, Interpreter
from osmia.vm.runs import Input, input_on

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, Never, NoReturn
    from weakref import ref

    from osmia.debugger.session import Session
    from osmia.engine.maps import Map
    from osmia.engine.results import RunResult
    from osmia.engine.tail_call_returns import FunctionType
    from osmia.object import model
    from osmia.vm.batch import Batch
    from osmia.vm.counting import CountedRun, Counters
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.generated.program import GeneratedProgram
    from osmia.vm.jit.machine import Jit
    from osmia.vm.loaded import VmObject
    from osmia.vm.run_arguments import Call
    from osmia.vm.words import Executor as Executor
    from osmia.vm.words import Tier
else:
    __getattr__ = on_demand(__name__, {"osmia.vm.words": "Executor"})

_EXECUTORS = ("auto", "interpreter", "generated", "jit")

#: What steps through runs. It is above this layer, so it is found by name.
DEBUGGER = "osmia.debugger"
_OF_MAPS = (AttachType.XDP_DEVMAP, AttachType.XDP_CPUMAP)


class VmProgram(engine.Program):
    """A program of a vm: a reference to it, for whose `close`, or end of the vm, ClosedError
    comes from then on. What prog arrays and dispatchers have goes on running.

    `number` is its handle for prog arrays, `calls` are the handles of the dispatchers that it
    calls. `type` is None for a raw program.
    """

    engine: ClassVar[str] = "vm"
    type: ProgramType | None
    expected_attach_type: AttachType | None

    def __init__(
        self,
        vm: Vm,
        number: int,
        code: Code,
        program_type: ProgramType | None,
        *,
        expected_attach_type: AttachType | None = None,
        signature: str = "",
    ) -> None:
        self.vm = vm
        self.number = number
        self.code = code
        self.name = code.name
        self.type = program_type
        self.expected_attach_type = expected_attach_type
        self.signature = signature
        self.tell: Callable[[], tuple[model.Program | None, FunctionType | None]] | None = None
        """What `definition` and `declared` are, where nobody has set them."""
        self.exception_callback = 0
        """The first slot of the function that is called when it throws; 0 for none."""
        self._throws: bool | None = None
        self.loaded: ref[VmObject] | None = None
        """The loaded object that it is a program of."""
        self.calls = frozenset(
            i.imm for i in code.instructions if i and i.is_call and i.src == CallKind.PROGRAM
        )
        self.handles: WeakSet[VmProgram] = WeakSet()
        """Further references, which keep the program as this one does."""
        self.runs = 0
        self._generated: tuple[int, GeneratedProgram | None] = 0, None
        self._closed = False
        self._untestable = program_type is ProgramType.XDP and expected_attach_type in _OF_MAPS
        self._inputs: dict[int, Input] = {}  # by CPU

    @cached_property
    def definition(self) -> model.Program | None:  # type: ignore[override]  # it may be set
        """See `osmia.Program`."""
        return self.tell()[0] if self.tell is not None else None

    @cached_property
    def declared(self) -> FunctionType | None:  # type: ignore[override]  # it may be set
        """See `osmia.Program`."""
        return self.tell()[1] if self.tell is not None else None

    @property
    def id(self) -> int:
        """The program's number in its vm."""
        return self.number

    @property
    def generated(self) -> GeneratedProgram:
        """Its code as Python functions, for the helpers as they are."""
        from osmia.vm.generated.program import GeneratedProgram

        changes, made = self._generated
        if made is None or changes != self.vm.helper_changes:
            changes = self.vm.helper_changes
            made = GeneratedProgram(self.vm, self)
            self._generated = changes, made
        return made

    @property
    def closed(self) -> bool:
        return self._closed or not self._is_loaded

    @property
    def _is_loaded(self) -> bool:
        vm = self.vm
        return not vm.memory.closed and self.number in vm.lifetimes.programs

    def check_open(self) -> None:
        """Raise ClosedError where this reference was closed, or the program is no more."""
        self.check_loaded()
        if self._closed:
            raise ClosedError(f"program {self.name!r} is closed")

    def check_loaded(self) -> None:
        """Raise ClosedError for a program that is no more."""
        if not self._is_loaded:
            gone = "the vm" if self.vm.closed else f"program {self.name!r}"
            raise ClosedError(f"{gone} is closed")

    def check_testable(self) -> None:
        """Raise KernelError (EINVAL) for programs of which there are no test runs."""
        if self._untestable:
            hint = "the programs of device and CPU maps have no test runs: load it as section 'xdp'"
            raise KernelError(errno.EINVAL, f"run program {self.name!r}", hint=hint)

    def close(self) -> None:
        if self.give_up():
            return
        if self in self.handles:
            self.handles.discard(self)
            self.vm.lifetimes.sweep()
        else:
            self.vm.unload([self])

    def give_up(self) -> bool:
        """Close this reference, but leave the program to who unloads several at once; whether
        it was closed already."""
        already, self._closed = self.closed, True
        return already

    def another(self) -> VmProgram:
        """Another reference, as who opens one gets it: it keeps the program until it is closed,
        and closing it leaves the program to those who have it beside."""
        import copy

        other = copy.copy(self)
        other._closed, other.owner = False, None
        self.handles.add(other)
        return other

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
        args: Sequence[Any] | None = None,
        result: Any = 0,
        objects: Iterable[Any] | Map | None = None,
        linear: int | None = None,
        **others: Never,
    ) -> RunResult:
        """See `osmia.Program.run`; of a raw program `data` is its memory.

        `args` is what a program that traces a function, or decides for it, is called with, and
        `result` what the function returned: numbers, structures of `Vm.struct` (or their fields,
        where the target tells the type), texts and bytes, which become pointers.
        `objects` is what an iterator goes over, see `osmia.vm.iteration`. Of a packet only the
        first `linear` bytes are where data_end is, the others in further pieces.

        `executor` is "interpreter", "generated" (Python source made of the bytecode) or "jit";
        "auto" takes what is ready, see `osmia.vm.tiers`. `budget` is the number of
        instructions each run may take, at least 1; None stands for what `osmia.vm.budgets` has
        for the executor. `strict` and `hook` are for interpreted runs, see
        `osmia.vm.interpreter`: a `hook` with another executor is a ValueError.

        Raises ProgramFault when the program does what it may not do, BudgetExceededError
        when it does not end; ClosedError; ValueError for an executor that is none.
        """
        for name in others:
            self._refuse_run(name)
        if self._closed:
            self.check_open()
        if self._untestable:
            self.check_testable()
        if objects is not None:
            from osmia.vm.iteration import iterate

            options = {"executor": executor, "strict": strict, "budget": budget, "hook": hook}
            return iterate(self, objects, **options)
        call = self._call(ctx, args, result) if args is not None or result else None
        ctx = call.context if call is not None else ctx
        try:
            return self.execute(data, ctx, repeat, executor, strict, budget, hook, linear)
        except (TypeError, AttributeError) as error:
            given = {"data": data, "repeat": repeat, "budget": budget, "hook": hook}
            raise explained(error, VmProgram.run, **given) from error.__cause__

    def _call(self, ctx: Any, args: Sequence[Any] | None, result: Any) -> Call | None:
        """The context that is made of arguments; what it leads to is there as long as this is."""
        if args is None and not result:
            return None
        from osmia.vm.run_arguments import Call

        if ctx is not None:
            raise ValueError("args= and result= make the context: ctx= cannot be given too")
        return Call(self, args or (), result)

    def execute(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        repeat: int = 1,
        executor: Executor = "auto",
        strict: bool = True,
        budget: int | None = None,
        hook: Hook | None = None,
        linear: int | None = None,
    ) -> RunResult:
        """`run` for who holds the program, whatever became of this reference."""
        # Around a short program, what is done here is all there is: few calls, and plain ones.
        vm, loaded = self.vm, self.vm.lifetimes.programs
        if vm.memory.closed or self.number not in loaded:
            self.check_loaded()
        if repeat < 0:
            raise ValueError(f"a program cannot run {repeat} times")
        repeat = repeat or 1  # as the kernel takes it
        if repeat > 1 and self.throws:
            for _ in range(repeat):
                result = self.execute(data, ctx, 1, executor, strict, budget, hook, linear)
            return result
        if executor == "auto":
            self.runs += repeat
        if executor == "auto" and hook is None:
            tier = vm.tiers.choose(self, strict=strict)
        else:
            tier = self._forced(executor, hook)
        limit = JIT_BUDGET
        if budget is not None or tier != "jit":
            limit = budget_of(budget, self._default_budget(tier, executor))
        lease = Lease(vm.cpus)
        try:
            with lease.token:
                cpu = vm.cpus.give(lease)
                given = self._inputs.get(cpu.number) or self._input_on(cpu)
                if vm.memory.closed or self.number not in loaded:
                    self.check_loaded()
                given.place(data if type(data) is bytes else as_packet(data), ctx)
                if linear is not None:
                    given.split(linear)
                begin = perf_counter_ns()
                try:
                    if tier == "jit":
                        retval = self._run_compiled(given, limit, repeat)
                    elif tier == "generated":
                        switches = executor == "auto"
                        retval = self._generate(given, lease, limit, repeat, switches)
                    else:
                        for _ in range(repeat):
                            retval = self._interpret(given, lease, limit, strict, hook)
                except Thrown as thrown:
                    from osmia.vm.exceptions import caught

                    retval = caught(self, given, thrown, repeat)
                return given.result(retval, (perf_counter_ns() - begin) // repeat)
        finally:
            vm.cpus.freed()

    @property
    def throws(self) -> bool:
        """Whether it may throw: who runs it looks at each run."""
        if self._throws is None:
            from osmia.vm.exceptions import throws

            self._throws = throws(self)
        return self._throws

    def _input_on(self, cpu: Cpu) -> Input:
        """Where runs on a CPU have their input."""
        made = input_on(self.vm, cpu, self.type, self.expected_attach_type)
        self._inputs[cpu.number] = made
        return made

    def _forced(self, executor: Executor, hook: Hook | None) -> Tier:
        """The executor that is asked for, or that a hook needs."""
        if executor not in _EXECUTORS:
            wanted = "'auto', 'interpreter', 'generated' or 'jit'"
            raise ValueError(f"executor={executor!r}: {wanted}")
        if hook is not None and executor in ("jit", "generated"):
            raise ValueError("a hook is for interpreted runs: compiled code calls none")
        if executor == "jit" and self.vm.jit_in_use is None:
            self.vm.need_jit()
        return "interpreter" if executor == "auto" else executor

    def _default_budget(self, tier: Tier, executor: Executor) -> int:
        """The instructions of a run for which none are given. Of a hot program they do not depend
        on whether its machine code is ready."""
        if tier == "jit" or (tier == "generated" and executor == "auto" and self.runs >= HOT):
            return JIT_BUDGET
        return GENERATED_BUDGET if tier == "generated" else INTERPRETER_BUDGET

    def _run_compiled(self, given: Input, budget: int, repeat: int) -> int:
        vm = self.vm
        jit = vm.jit_in_use or vm.need_jit()
        if repeat == 1:
            retval = jit.run(self, given.cpu, given.arguments, budget)
        else:
            retval = jit.repeat(self, given.cpu, given.arguments, budget, repeat)
        if given.interrupted():
            self.raise_fault(given.cpu, jit)
        if vm.cpus.closed:
            vm.cpus.check_open()
        return retval

    def raise_fault(self, cpu: Cpu, jit: Jit, where: str = "") -> NoReturn:
        """Raise what an interrupt of a compiled run on a CPU means."""
        why = self.vm.memory.load64(cpu.state + layout.STATE_INTERRUPT)
        detail = self.vm.memory.load64(cpu.state + layout.STATE_DETAIL)
        kind = BudgetExceededError if why == Interrupt.BUDGET else ProgramFault
        error = jit.door(cpu).take_failure()
        if why == Interrupt.CLOSED:
            raise ClosedError("the vm is closed")
        if error is not None and not isinstance(error, Exception):
            raise error  # KeyboardInterrupt and the like are no faults of the program
        if isinstance(error, ProgramFault):
            raise ProgramFault(error.message + where, program=self.name) from error
        if error is not None:
            raise ProgramFault(f"a helper raised {error!r}{where}", program=self.name) from error
        if why == Interrupt.POISON:
            raise ProgramFault(self.vm.unresolved.words(detail) + where, program=self.name)
        raise kind(describe(why, detail) + where, program=self.name) from error

    @names_wrong_arguments
    def run_batch(
        self,
        packets: Batch | Iterable[bytes],
        *,
        budget: int | None = None,
        repeat: int = 1,
        **others: Never,
    ) -> Sequence[int]:
        """Run the program once on each packet; an array of the return values (u32). Compiled,
        that is one native loop; without llvmlite packets run one by one in generated Python.
        Contexts are as `run` sets them when it is given none.

        Raises NotSupportedError for types that take no packets, ProgramFault at the first
        packet at which a run goes wrong.
        """
        from osmia.vm import batch

        for name in others:
            self._refuse_batch(name)
        self.check_open()
        self.check_testable()
        return batch.run(self, packets, budget, repeat)

    def _interpret(
        self, given: Input, lease: Lease, budget: int, strict: bool, hook: Hook | None
    ) -> int:
        self.vm.cpus.check_open()
        self.vm.memory.store32(given.cpu.state + layout.STATE_TAIL_CALLS, 0)
        execution = Execution(self.vm, given.cpu, given, self.type)
        interpreter = Interpreter(execution, strict=strict, budget=budget, hook=hook)
        lease.running = interpreter
        return self.interpret(interpreter, given.arguments)

    @names_wrong_arguments
    def interpret(self, interpreter: Interpreter, arguments: Sequence[int], slot: int = 0) -> int:
        """Run it, or the function in a slot, in an interpreter; counted where any run is."""
        counted = self._counted(interpreter)
        try:
            return interpreter.run(self.number, self.code, *arguments, slot=slot)
        except BaseException:
            if counted is not None:
                counted.end()
            raise

    def _counted(self, interpreter: Interpreter) -> CountedRun | None:
        """Have a run counted, if any program is."""
        counting = self.vm.counting
        if counting is None or not counting.active:
            return None
        interpreter.hook = counted = counting.hook(interpreter.hook)
        return counted

    @names_wrong_arguments
    def session(
        self,
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
    ) -> Session:
        """Begin a run that stands still before its first instruction, to be stepped through: see
        `osmia.debugger.Session`. What it is given is as for `run`."""
        import importlib

        given = {"strict": strict, "budget": budget, "args": args, "result": result, **others}
        made: Session = importlib.import_module(DEBUGGER).Session(
            self, data, ctx, objects=objects, linear=linear, **given
        )
        return made

    @names_wrong_arguments
    def debug(
        self,
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
    ) -> RunResult:
        """`run` with the debugger on a terminal, in the middle of whatever runs: as Python's
        `breakpoint()`. When it is left the run goes on to its end. See docs/debugger.md."""
        import importlib

        opening = importlib.import_module(f"{DEBUGGER}.terminal.opening")
        given = {"strict": strict, "budget": budget, "args": args, "result": result, **others}
        gave: RunResult = opening.debug(self, data, ctx, objects=objects, linear=linear, **given)
        return gave

    @property
    def counters(self) -> Counters | None:
        """Where its runs are counted; None where they are not."""
        counting = self.vm.counting
        return None if counting is None else counting.active.get(self.number)

    def _generate(
        self, given: Input, lease: Lease, budget: int, repeat: int, switches: bool
    ) -> int:
        """Run generated code; `switches` to machine code as soon as that is there."""
        from osmia.vm.generated.run import GeneratedRun

        execution = Execution(self.vm, given.cpu, given, self.type)
        left, retval = repeat, 0
        while left:
            self.vm.cpus.check_open()
            self.vm.memory.store32(given.cpu.state + layout.STATE_TAIL_CALLS, 0)
            run = GeneratedRun(execution, budget)
            lease.running = run
            retval = run.run(self, *given.arguments)
            left -= 1
            if left and switches and self.vm.tiers.compiled(self):
                lease.running = None
                return self._run_compiled(given, budget, left)
        return retval

    def _where(self) -> str:
        return f"number {self.number}, vm"
