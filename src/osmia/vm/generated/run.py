"""One run of generated code: its budget, its calls, what else its functions ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from osmia.errors import ClosedError
from osmia.isa import alu
from osmia.isa.alu import M32, M64
from osmia.named_tuples import NamedTuple
from osmia.vm import layout
from osmia.vm.access import Access, AccessError
from osmia.vm.errors import BudgetExceededError, ProgramFault, describe_call, describe_jump

if TYPE_CHECKING:
    from osmia.vm.code import Code
    from osmia.vm.execution import Execution
    from osmia.vm.generated.program import Function, GeneratedProgram
    from osmia.vm.programs import VmProgram

SLICE = 1 << 16
"""Instructions between two looks whether the run shall end: some 3 ms."""


class Place(NamedTuple):
    """The function that calls a helper."""

    program: GeneratedProgram
    pointer: int

    @property
    def code(self) -> Code:
        """Its program's code."""
        return self.program.code


class _ReplacedError(Exception):
    """A tail call replaces the whole program, with all its frames."""

    def __init__(self, function: Function, context: int) -> None:
        self.function = function
        self.context = context


class GeneratedRun:
    """What a run's functions share. `left` is what is left of a slice of the budget."""

    def __init__(self, execution: Execution, budget: int) -> None:
        self.execution = execution
        self.memory = execution.memory
        self.left = min(budget, SLICE)
        self._rest = budget - self.left
        self._stopped = False
        self._frame: Place | None = None
        self._access: Access | None = None

    def run(self, program: VmProgram, *arguments: int) -> int:
        """Run a program to its end; gives r0. Raises ProgramFault."""
        name, top = program.code.name, self.execution.cpu.stack_top
        try:
            function = program.generated.function(0)
            while True:
                try:
                    return function(self, top, *arguments)
                except _ReplacedError as replaced:
                    function, arguments = replaced.function, (replaced.context,)
        except BudgetExceededError as error:
            if error.program:
                raise
            raise BudgetExceededError(error.message, program=name) from None
        except RecursionError as error:
            raise ProgramFault("Python's stack has no room", program=name) from error

    def stop(self) -> None:
        """End the run when it next asks for more of its budget."""
        self._stopped = True

    def refill(self, left: int) -> int:
        """The next slice of the budget, `left` (negative) of which is used up already."""
        if self._stopped:
            raise ClosedError("the vm is closed")
        while left < 0:
            size = min(self._rest, SLICE)
            if not size:
                raise BudgetExceededError("the instruction budget is used up")
            self._rest -= size
            left += size
        return left

    def atomic(self, operation: int, address: int, operand: int, expected: int, size: int) -> int:
        """Change a word; gives what it was."""
        return self.execution.exchange(
            address,
            size,
            lambda value: alu.atomic(operation, value, operand, expected, 8 * size),
        )

    # Calls.

    @property
    def frame(self) -> Place:
        """The function that calls a helper."""
        assert self._frame is not None
        return self._frame

    @property
    def access(self) -> Access:
        """Helpers tell strict mode what they write: here nobody asks."""
        if self._access is None:
            execution = self.execution
            self._access = Access(execution.areas, execution.context, execution.cpu.block)
        return self._access

    def enter(self, program: GeneratedProgram, frame: int) -> None:
        """A function calls a helper."""
        self._frame = Place(program, frame)

    def call_function(self, slot: int, *arguments: int) -> int:
        """Call a function of the program whose helper asks for it."""
        here = self.frame
        self.execution.check_entry(here.pointer)
        function = here.program.function(slot)
        try:
            return function(self, here.pointer - layout.FRAME_STRIDE, *arguments)
        finally:
            self._frame = here

    def call_register(
        self, here: GeneratedProgram, slot: int, value: int, frame: int, *arguments: int
    ) -> int:
        """Call a function by its address."""
        start = here.code.function_of(value)
        if start is None:
            raise here.fault(describe_call(value), slot)
        self._check_entry(here, slot, frame)
        return here.function(start)(self, frame - layout.FRAME_STRIDE, *arguments)

    def call_program(self, here: GeneratedProgram, slot: int, frame: int, *arguments: int) -> int:
        """Call the program that a dispatcher has."""
        instruction = here.code.instructions[slot]
        assert instruction is not None
        try:
            target = self.execution.linked_program(instruction.imm)
        except ProgramFault as error:
            raise here.located(error, slot) from None
        self._check_entry(here, slot, frame)
        return target.generated.function(0)(self, frame - layout.FRAME_STRIDE, *arguments)

    def _check_entry(self, here: GeneratedProgram, slot: int, frame: int) -> None:
        try:
            self.execution.check_entry(frame)
        except ProgramFault as error:
            raise here.located(error, slot) from None

    def tail_call(
        self, here: GeneratedProgram, slot: int, array: int, key: int
    ) -> VmProgram | None:
        """The program that a tail call goes to, counted; None where it fails."""
        try:
            return self.execution.tail_call_target(array, key & M32)
        except (ProgramFault, AccessError) as error:
            raise here.located(error, slot) from None

    def replace(self, target: VmProgram, frame: int, context: int) -> int:
        """Run a program in the place of a function, or of all of them."""
        function = target.generated.function(0)
        if self.execution.replaces_program:
            raise _ReplacedError(function, context & M64)
        return function(self, frame, context)

    def wrong_jump(self, here: GeneratedProgram, slot: int, value: int) -> NoReturn:
        """A jump to what is in none of its tables."""
        raise here.fault(describe_jump(value), slot)
