"""Checks of code before it is loaded: the structural half of what the kernel's verifier does.

After them, every instruction is known, every jump stays in its function, calls go to functions
and form no cycle and no chain deeper than eight. What an access may touch is checked when it
happens.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence

from osmia.errors import ObjectFormatError, VerifierError
from osmia.isa import opcodes as op
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.packing import walk
from osmia.vm.code import TAIL_CALL, Code, CodeFunction
from osmia.vm.layout import CALL_DEPTH, FRAME_SIZE

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.object.model import SourceLine

MAX_SLOTS = 1_000_000
"""As many as the verifier ever accepts."""

MAX_JUMP_TARGETS = 1 << 20
"""Of all indirect jumps of a program together: compiling it takes time for each."""

_NOT_RUN = {
    Form.PERCPU_ADDRESS: "a per-CPU address move, which is for the kernel's own code",
}
_WRITES_DST = frozenset(
    {
        Form.ALU,
        Form.SIGNED_DIVISION,
        Form.MOVE,
        Form.MOVE_SIGN_EXTENDED,
        Form.ADDR_SPACE_CAST,
        Form.NEGATE,
        Form.TO_ENDIAN,
        Form.BYTE_SWAP,
        Form.LOAD_IMM64,
        Form.LOAD,
        Form.LOAD_SIGN_EXTENDED,
        Form.LOAD_ACQUIRE,
    }
)
_WRITES_SRC = frozenset({Form.ATOMIC_FETCH, Form.EXCHANGE})
_ENDS = frozenset({Form.EXIT, Form.GOTO, Form.GOTO_LONG, Form.GOTO_REGISTER})
_RESOLVED_LOADS = (op.LoadKind.MAP_FD, op.LoadKind.MAP_VALUE, op.LoadKind.FUNCTION)


def check(
    name: str,
    code: bytes | bytearray | memoryview,
    *,
    names: Mapping[int, str] | None = None,
    lines: Mapping[int, SourceLine] | None = None,
    jumps: Mapping[int, Sequence[int]] | None = None,
    callback: int = 0,
) -> Code:
    """Decode and check packed code (little endian).

    `names` are functions' names by first slot; functions that have none are named for it.
    `jumps` are the slots that each gotox may go to, by its own slot. `callback` is where a function
    begins that nothing in the code refers to; 0 for none. Raises VerifierError for what no
    executor runs.
    """
    checker = _Checker(name, code, names or {}, {} if lines is None else lines, jumps or {})
    return checker.result(callback)


class _Checker:
    def __init__(
        self,
        name: str,
        code: bytes | bytearray | memoryview,
        names: Mapping[int, str],
        lines: Mapping[int, SourceLine],
        jumps: Mapping[int, Sequence[int]],
    ) -> None:
        self.name = name
        self.packed = bytes(code)
        if len(code) > MAX_SLOTS * op.SLOT_SIZE:
            raise self.refused(0, f"more than {MAX_SLOTS} instructions")
        try:
            self.instructions: list[Instruction | None] = [None] * (len(code) // op.SLOT_SIZE)
            for slot, instruction in walk(code):
                self.instructions[slot] = instruction
        except ObjectFormatError as error:
            raise self.refused(0, error.message) from error
        self.forms = [form_of(i) if i is not None else None for i in self.instructions]
        self.names = names
        self.lines = lines
        if sum(map(len, jumps.values())) > MAX_JUMP_TARGETS:
            raise self.refused(0, f"more than {MAX_JUMP_TARGETS} targets of its gotox instructions")
        self.jumps = {slot: sorted(set(slots)) for slot, slots in jumps.items()}

    def refused(self, slot: int, why: str) -> VerifierError:
        """The exception that says why the program is not run."""
        summary = f"{why} (instruction {slot})"
        return VerifierError(errno.EINVAL, self.name, summary, summary)

    def result(self, callback: int) -> Code:
        """Check everything."""
        if not self.instructions:
            raise self.refused(0, "an empty program")
        for slot, instruction in enumerate(self.instructions):
            if instruction is not None:
                self.check_instruction(slot, instruction)
        if not 0 <= callback < len(self.forms) or self.forms[callback] is None:
            raise self.refused(0, f"no function starts at instruction {callback}")
        starts = sorted({0, callback, *self.references()})
        functions = {}
        for start, end in zip(starts, [*starts[1:], len(self.instructions)], strict=True):
            functions[start] = self.function(start, end)
        self.check_depth(functions)
        self.check_callbacks(functions)
        instructions, forms = tuple(self.instructions), tuple(self.forms)
        return Code(self.name, instructions, forms, functions, self.lines, self.jumps, self.packed)

    def check_instruction(self, slot: int, instruction: Instruction) -> None:
        """The instruction by itself: known, and no register that cannot be."""
        form = self.forms[slot]
        if form is None:
            raise self.refused(slot, f"unknown instruction, opcode {instruction.opcode:#04x}")
        if form in _NOT_RUN:
            raise self.refused(slot, f"{_NOT_RUN[form]} is not run by the vm")
        if form is Form.LOAD_IMM64:
            kinds = (op.LoadKind.VALUE, *_RESOLVED_LOADS)
            if instruction.src not in kinds:
                raise self.refused(slot, f"ld_imm64 of kind {instruction.src} is not resolved")
        uses_src = form not in (Form.CALL, Form.LOAD_IMM64)
        if instruction.dst > op.FRAME_POINTER or (uses_src and instruction.src > op.FRAME_POINTER):
            raise self.refused(slot, "a register above r10")
        written = instruction.dst if form in _WRITES_DST else -1
        if form in _WRITES_SRC:
            written = instruction.src
        if written == op.FRAME_POINTER:
            raise self.refused(slot, "frame pointer is read only")
        if (
            form in (Form.ALU, Form.SIGNED_DIVISION)
            and not instruction.uses_source_register
            and instruction.operation in (op.AluOp.DIV, op.AluOp.MOD)
            and instruction.imm == 0
        ):
            raise self.refused(slot, "division by zero")

    def references(self) -> Iterable[int]:
        """The first slots of all functions that are called or whose address is taken."""
        for slot, instruction in enumerate(self.instructions):
            if instruction is not None:
                target = self.reference(slot, instruction)
                if target is not None:
                    if not 0 <= target < len(self.instructions) or self.forms[target] is None:
                        raise self.refused(slot, f"no function starts at instruction {target}")
                    yield target

    def reference(self, slot: int, instruction: Instruction) -> int | None:
        """The function that an instruction refers to."""
        is_address = self.forms[slot] is Form.LOAD_IMM64 and instruction.src == op.LoadKind.FUNCTION
        if instruction.is_subprogram_call or is_address:
            return slot + 1 + instruction.imm
        return None

    def function(self, start: int, end: int) -> CodeFunction:
        """Check one function's jumps and its end."""
        calls = set()
        stack = 0
        last = start
        for slot in range(start, end):
            instruction, form = self.instructions[slot], self.forms[slot]
            if instruction is None:
                continue
            last = slot
            for target in self.targets(slot, instruction):
                if not start <= target < end:
                    raise self.refused(slot, f"jump out of range, to instruction {target}")
                if self.instructions[target] is None:
                    raise self.refused(slot, "jump into the middle of ld_imm64")
            target_function = self.reference(slot, instruction)
            if target_function is not None:
                calls.add(target_function)
            stack = max(stack, self.frame_use(instruction, form))
        if self.forms[last] not in _ENDS:
            raise self.refused(last, "last instruction is not an exit or jump")
        name = self.names.get(start) or (self.name if start == 0 else f"function_{start}")
        return CodeFunction(name, start, end, frozenset(calls), stack)

    def targets(self, slot: int, instruction: Instruction) -> Sequence[int]:
        """Where an instruction may jump to."""
        if self.forms[slot] is Form.GOTO_REGISTER:
            if not self.jumps.get(slot):
                raise self.refused(slot, "gotox without a jump table")
            return self.jumps[slot]
        offset = instruction.jump_offset
        return () if offset is None else (slot + 1 + offset,)

    def frame_use(self, instruction: Instruction, form: Form | None) -> int:
        """How many bytes below r10 an instruction names."""
        if form in (Form.LOAD, Form.LOAD_SIGN_EXTENDED, Form.LOAD_ACQUIRE):
            base = instruction.src
        elif form is Form.ALU and instruction.operation == op.AluOp.ADD:
            uses = not instruction.uses_source_register and -FRAME_SIZE <= instruction.imm < 0
            return -instruction.imm if uses else 0
        else:
            base = instruction.dst
        return max(0, -instruction.offset) if base == op.FRAME_POINTER else 0

    def check_callbacks(self, functions: Mapping[int, CodeFunction]) -> None:
        """No tail call in a function that a helper calls back: there is nothing to replace."""
        pending = {
            slot + 1 + i.imm
            for slot, i in enumerate(self.instructions)
            if i is not None and i.is_load_imm64 and i.src == op.LoadKind.FUNCTION
        }
        seen: set[int] = set()
        while pending:
            function = functions[pending.pop()]
            seen.add(function.start)
            pending |= function.calls - seen
            for slot in range(function.start, function.end):
                instruction = self.instructions[slot]
                if instruction and instruction.is_helper_call and instruction.imm == TAIL_CALL:
                    raise self.refused(slot, "a tail call in a callback")

    def check_depth(self, functions: Mapping[int, CodeFunction]) -> None:
        """No recursion, and no chain of more than eight frames."""
        depths: dict[int, int] = {}
        for root in functions:
            path = [root]
            pending = [iter(sorted(functions[root].calls))]
            on_path = {root}
            while path:
                callee = next(pending[-1], None)
                if callee is None:
                    done = path.pop()
                    pending.pop()
                    on_path.discard(done)
                    calls = functions[done].calls
                    depths[done] = 1 + max((depths[c] for c in calls), default=0)
                elif callee in on_path:
                    raise self.refused(callee, "recursive call")
                elif callee not in depths:
                    path.append(callee)
                    on_path.add(callee)
                    pending.append(iter(sorted(functions[callee].calls)))
        if depths[0] > CALL_DEPTH:
            raise self.refused(0, f"the call stack of {depths[0]} frames is too deep")
