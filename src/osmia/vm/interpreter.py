"""The reference executor: one instruction after the other, exact and readable.

In strict mode (the default) registers and stack bytes must be written before they are
read and every access is checked, see `osmia.vm.access`. Without it, an instruction does
what compiled code does: unwritten registers are 0 and addresses are masked to the region.
"""

from __future__ import annotations

from collections.abc import Callable

from osmia.errors import ClosedError
from osmia.isa import alu
from osmia.isa import opcodes as op
from osmia.isa.alu import M32, M64, signed
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.access import Access, AccessError, StackFrame
from osmia.vm.budgets import INTERPRETER_BUDGET
from osmia.vm.code import TAIL_CALL, Code
from osmia.vm.contexts import FOLLOWING
from osmia.vm.errors import BudgetExceededError, ProgramFault, describe_call, describe_jump

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.execution import Execution


@dataclass(slots=True)
class Frame:
    """One active function: its registers, its place in the code, its frame pointer."""

    code: Code
    slot: int
    registers: list[int | None]
    stack: StackFrame | None
    program: int
    may_goto: int = layout.MAY_GOTO_LIMIT

    @property
    def pointer(self) -> int:
        """The frame pointer, r10."""
        pointer = self.registers[op.FRAME_POINTER]
        assert pointer is not None
        return pointer


Hook = Callable[["Interpreter"], None]


class Interpreter:
    """Runs programs of one vm on one virtual CPU.

    `frames` are the active functions, the innermost last; `frame` is that one. `hook`, when
    set, is called before each instruction with this interpreter: `slot` is the instruction
    about to run, `registers` may be read and changed. `budget` counts instructions left.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        strict: bool = True,
        budget: int = INTERPRETER_BUDGET,
        hook: Hook | None = None,
    ) -> None:
        self.execution = execution
        self.memory = execution.memory
        self.access = Access(execution.areas, execution.context, execution.cpu.block)
        self.strict = strict
        self.budget = budget
        self.hook = hook
        self.stopped = False
        self.frames: list[Frame] = []
        self.result: int | None = None
        self._execute: dict[Form, Callable[[Instruction], None]] = {
            form: getattr(self, f"_{form.name.lower()}")
            for form in Form
            if hasattr(self, f"_{form.name.lower()}")
        }
        if execution.program_type in FOLLOWING:
            self._execute[Form.LOAD] = self._load_followed
            self._execute[Form.LOAD_SIGN_EXTENDED] = self._load_followed_sign_extended

    @property
    def frame(self) -> Frame:
        """The innermost active function."""
        return self.frames[-1]

    @property
    def slot(self) -> int:
        """The instruction about to run."""
        return self.frames[-1].slot

    @property
    def registers(self) -> list[int | None]:
        """r0 to r10 of the innermost function; None is a register not written yet."""
        return self.frames[-1].registers

    def start(self, program: int, code: Code, *arguments: int, slot: int = 0) -> None:
        """Begin a program, or a function of it, with its arguments in r1, r2, …: `step` and
        `finish` go on."""
        self.result = None
        self.frames = []
        self.access.stack.frames = []
        self._enter(code, slot, program, arguments, self.execution.cpu.stack_top)

    def run(self, program: int, code: Code, *arguments: int, slot: int = 0) -> int:
        """Run a program, or a function of it, to its end; gives r0. Raises ProgramFault."""
        self.start(program, code, *arguments, slot=slot)
        return self.finish()

    def finish(self, depth: int = 0) -> int:
        """Go on until the program, or the function at `depth` frames, has returned."""
        while len(self.frames) > depth:
            self.step()
        if self.result is None:
            raise self.fault("r0 is read before it is written")
        return self.result

    def step(self) -> bool:
        """Run one instruction; False when the program has ended."""
        if not self.frames:
            return False
        frame = self.frames[-1]
        slot = frame.slot
        if self.budget <= 0:
            raise self._ended()
        self.budget -= 1
        if self.hook is not None:
            self.hook(self)
        instruction, form = frame.code.instructions[slot], frame.code.forms[slot]
        assert instruction is not None and form is not None
        frame.slot = slot + instruction.slots
        try:
            self._execute[form](instruction)
        except AccessError as error:
            frame.slot = slot
            raise self.fault(str(error)) from None
        except ProgramFault as error:
            if error.slot is None:
                frame.slot = slot
                raise self.fault(error.message, type(error)) from error.__cause__
            raise
        return bool(self.frames)

    def stop(self) -> None:
        """End the run at its next instruction, from another thread. To be said again while it
        runs: it may have been counting."""
        self.stopped = True
        self.budget = 0

    def _ended(self) -> Exception:
        if self.stopped:
            return ClosedError("the vm is closed")
        return self.fault("the instruction budget is used up", BudgetExceededError)

    def fault(self, message: str, kind: type[ProgramFault] = ProgramFault) -> ProgramFault:
        """An exception that tells the instruction about to run."""
        frame = self.frames[-1]
        return kind(
            message,
            program=frame.code.name,
            slot=frame.slot,
            source=frame.code.source(frame.slot),
        )

    def call_function(self, slot: int, *arguments: int) -> int:
        """Call a function of the running program, for a helper that takes a callback."""
        self.execution.check_entry(self.frame.pointer)
        depth = len(self.frames)
        self._push(self.frame.code, slot, self.frame.program, arguments)
        caller = self.frames[depth - 1]
        kept, resume = caller.registers[0], caller.slot
        value = self.finish(depth)
        caller.registers[0], caller.slot = kept, resume
        return value

    # Registers and memory.

    def _read(self, register: int) -> int:
        value = self.frames[-1].registers[register]
        if value is None:
            raise AccessError(f"r{register} is read before it is written")
        return value

    def _write(self, register: int, value: int) -> None:
        self.frames[-1].registers[register] = value

    def _operand(self, instruction: Instruction) -> int:
        if instruction.uses_source_register:
            return self._read(instruction.src)
        return instruction.imm & M64

    def _address(self, register: int, offset: int, size: int, write: bool) -> int:
        base = self._read(register)
        if not self.strict:
            return (base & self.memory.mask) + offset
        address = base + offset & M64
        self.access.check(address, size, write)
        return address

    # The forms, each named for its `Form`.

    def _alu(self, i: Instruction) -> None:
        value = alu.arithmetic(i.opcode, i.offset, self._read(i.dst), self._operand(i))
        self._write(i.dst, value)

    _signed_division = _alu

    def _move(self, i: Instruction) -> None:
        self._write(i.dst, alu.arithmetic(i.opcode, i.offset, 0, self._operand(i)))

    _move_sign_extended = _move

    def _addr_space_cast(self, i: Instruction) -> None:
        """Both address spaces of an arena are the region, whose addresses have 32 bits."""
        self._write(i.dst, self._read(i.src) & M32)

    def _negate(self, i: Instruction) -> None:
        self._write(i.dst, alu.arithmetic(i.opcode, 0, self._read(i.dst), 0))

    def _to_endian(self, i: Instruction) -> None:
        self._write(i.dst, alu.byte_swap(i.opcode, i.imm, self._read(i.dst)))

    _byte_swap = _to_endian

    def _load_imm64(self, i: Instruction) -> None:
        self._write(i.dst, self.execution.immediate(i, self.slot - 2))

    def _load(self, i: Instruction) -> None:
        size = i.size.bytes
        self._write(i.dst, self.memory.load(self._address(i.src, i.offset, size, False), size))

    def _load_sign_extended(self, i: Instruction) -> None:
        size = i.size.bytes
        value = self.memory.load(self._address(i.src, i.offset, size, False), size)
        self._write(i.dst, signed(value, 8 * size) & M64)

    def _load_followed(self, i: Instruction) -> None:
        self._write(i.dst, self._followed(i.src, i.offset, i.size.bytes))

    def _load_followed_sign_extended(self, i: Instruction) -> None:
        size = i.size.bytes
        self._write(i.dst, signed(self._followed(i.src, i.offset, size), 8 * size) & M64)

    def _followed(self, register: int, offset: int, size: int) -> int:
        """What a pointer leads to; 0 where that is nothing."""
        base = self._read(register)
        if not self.strict:
            return self.memory.load((base if base < self.memory.size else 0) + offset, size)
        address = base + offset & M64
        if self.access.leads_nowhere(address):
            return 0
        self.access.check(address, size, False)
        return self.memory.load(address, size)

    def _store(self, i: Instruction) -> None:
        value = self._read(i.src)
        size = i.size.bytes
        self.memory.store(self._address(i.dst, i.offset, size, True), size, value)

    def _store_immediate(self, i: Instruction) -> None:
        size = i.size.bytes
        self.memory.store(self._address(i.dst, i.offset, size, True), size, i.imm & M64)

    def _nospec(self, i: Instruction) -> None:
        """Nothing: there is no speculation to stop."""

    def _aligned(self, register: int, offset: int, size: int, *, write: bool) -> int:
        address = self._address(register, offset, size, write)
        if address % size and self.strict:
            raise AccessError(f"an atomic access of {size} bytes at {address:#x} is not aligned")
        return address & ~(size - 1)

    def _atomic(self, i: Instruction) -> None:
        size = i.size.bytes
        operand = self._read(i.src)
        expected = self._read(0) if i.imm == op.AtomicOp.CMPXCHG else 0
        self._aligned(i.dst, i.offset, size, write=False)
        address = self._aligned(i.dst, i.offset, size, write=True)
        old = self.execution.exchange(
            address, size, lambda value: alu.atomic(i.imm, value, operand, expected, 8 * size)
        )
        if i.imm == op.AtomicOp.CMPXCHG:
            self._write(0, old)
        elif i.imm & op.FETCH:
            self._write(i.src, old)

    _atomic_fetch = _atomic
    _exchange = _atomic
    _compare_exchange = _atomic

    def _load_acquire(self, i: Instruction) -> None:
        size = i.size.bytes
        address = self._aligned(i.src, i.offset, size, write=False)
        self._write(i.dst, self.memory.load(address, size))

    def _store_release(self, i: Instruction) -> None:
        value = self._read(i.src)
        size = i.size.bytes
        self.memory.store(self._aligned(i.dst, i.offset, size, write=True), size, value)

    def _load_absolute(self, i: Instruction) -> None:
        self._legacy_load(i, i.imm)

    def _load_indirect(self, i: Instruction) -> None:
        self._legacy_load(i, self._read(i.src) + i.imm)

    def _legacy_load(self, i: Instruction, offset: int) -> None:
        """Big-endian packet data into r0; beyond the packet, the function returns 0."""
        self._read(6)
        value = self.execution.packet_load(offset & M32, i.size.bytes)
        self._clobber()
        self._write(0, value or 0)
        if value is None:
            self._exit(i)

    def _branch(self, i: Instruction) -> None:
        if alu.compare(i.opcode, self._read(i.dst), self._operand(i)):
            self.frame.slot += i.offset

    def _goto(self, i: Instruction) -> None:
        self.frame.slot += i.offset

    def _goto_long(self, i: Instruction) -> None:
        self.frame.slot += i.imm

    def _goto_register(self, i: Instruction) -> None:
        value, frame = self._read(i.dst), self.frame
        target = frame.code.labels.get(value)
        if target is None or target not in frame.code.jump_sets[frame.slot - 1]:
            raise AccessError(describe_jump(value))
        frame.slot = target

    def _may_goto(self, i: Instruction) -> None:
        frame = self.frame
        if frame.may_goto:
            frame.may_goto -= 1
        else:
            frame.slot += i.offset

    def _exit(self, i: Instruction) -> None:
        # A subprogram may return nothing: then r0 holds nothing afterwards.
        value = self._read(0) if len(self.frames) == 1 else self.registers[0]
        self.frames.pop()
        if self.strict:
            self.access.stack.frames.pop()
        self.result = value
        if self.frames:
            self.registers[0] = value

    def _push(self, code: Code, slot: int, program: int, arguments: tuple[int | None, ...]) -> None:
        pointer = self.frame.pointer - layout.FRAME_STRIDE
        self._enter(code, slot, program, arguments, pointer)

    def _enter(
        self,
        code: Code,
        slot: int,
        program: int,
        arguments: tuple[int | None, ...],
        pointer: int,
    ) -> None:
        registers: list[int | None] = [None if self.strict else 0] * 11
        registers[1 : 1 + len(arguments)] = arguments
        registers[op.FRAME_POINTER] = pointer
        stack = None
        if self.strict:
            stack = StackFrame(pointer)
            self.access.stack.frames.append(stack)
        self.frames.append(Frame(code, slot, registers, stack, program))

    def _clobber(self) -> None:
        """What a call leaves: r1 to r5 hold nothing that may be relied on."""
        if self.strict:
            self.frame.registers[1:6] = [None] * 5

    def _call(self, i: Instruction) -> None:
        frame = self.frame
        match i.src:
            case op.CallKind.SUBPROGRAM:
                arguments = tuple(frame.registers[1:6])
                self._clobber()
                self._push(frame.code, frame.slot + i.imm, frame.program, arguments)
            case op.CallKind.PROGRAM:
                target = self.execution.linked_program(i.imm)
                self.execution.check_entry(frame.pointer)
                arguments = tuple(frame.registers[1:6])
                self._clobber()
                self._push(target.code, 0, target.number, arguments)
            case _ if i.imm == TAIL_CALL and i.src == op.CallKind.HELPER:
                self._tail_call()
            case _:
                value = self.execution.call(self, i)
                self._clobber()
                self._write(0, value & M64)

    def _call_register(self, i: Instruction) -> None:
        frame, value = self.frame, self._read(i.dst)
        slot = frame.code.function_of(value)
        if slot is None:
            raise AccessError(describe_call(value))
        self.execution.check_entry(frame.pointer)
        arguments = tuple(frame.registers[1:6])
        self._clobber()
        self._push(frame.code, slot, frame.program, arguments)

    def _tail_call(self) -> None:
        context, array, key = self._read(1), self._read(2), self._read(3)
        target = self.execution.tail_call_target(array, key & M32)
        if target is None:
            self._clobber()
            if self.strict:
                self.registers[0] = None  # the verifier lets nobody read it either
            return
        frame = self.frame
        if self.execution.replaces_program:
            self.frames = []
            self.access.stack.frames = []
            pointer = self.execution.cpu.stack_top
        else:
            pointer = frame.pointer
            self.frames.pop()
            if self.strict:
                self.access.stack.frames.pop()
        self._enter(target.code, 0, target.number, (context,), pointer)
