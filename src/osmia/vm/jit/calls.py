"""Calls in compiled code: subprograms, helpers, other programs, tail calls.

A tail call whose map and key are known jumps through a stub of this module that the vm
points at the slot's program (`osmia.vm.jit.stubs`); any other loads the program's entry
from the slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from osmia.isa.instruction import Instruction
from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.code import Code, CodeFunction
from osmia.vm.errors import Interrupt
from osmia.vm.helpers import Helper
from osmia.vm.jit import stubs
from osmia.vm.jit.door import PROGRAM_SHIFT
from osmia.vm.jit.emitter import Emitter, Value, VmLayout, text
from osmia.vm.jit.native_code import NativeCode
from osmia.vm.maps import slots

if TYPE_CHECKING:
    from osmia.vm.counting import Counters
    from osmia.vm.jit.counts import Counts

ARGUMENTS = range(1, 6)
ROOM = layout.FRAME_STRIDE + layout.CHAIN_ROOM + layout.TAIL_CALL_LIMIT * layout.TAIL_CALL_ROOM
"""What `osmia.vm.native.may_enter` ever asks for."""


@dataclass
class Context:
    """What the functions of one module share with the vm they are for."""

    layout: VmLayout
    natives: NativeCode
    immediate: Callable[[Instruction, int], int]
    resolve: Callable[[Instruction], Helper]
    top: int  # offset of a program's frame in its CPU's block
    typed: bool  # whether the program has a type, and with it one argument: the context
    follows: bool = False  # whether a load from where nothing is gives 0
    program: int = 0  # its number, for helpers that want to know who calls
    counters: Counters | None = None  # where what runs is counted


class Caller(Protocol):
    """The function that is being translated, as far as its calls touch it."""

    context: Context
    body: Emitter
    code: Code
    this: CodeFunction
    state: str
    counts: bool
    counted: Counts

    def read(self, register: int) -> Value:
        """A register's value."""

    def write(self, register: int, value: Value) -> None:
        """Set a register."""

    def leave(self, value: Value) -> None:
        """Return from the function."""


class Calls:
    """The calls of one function."""

    def __init__(self, function: Caller) -> None:
        self.function = function
        self.body = function.body
        self.context = function.context
        self.budget = self.refills = ""

    # The budget lives in a variable inside a function and in the CPU's state around calls.

    def load_budget(self) -> None:
        """Take the budget over from the CPU's state."""
        if not self.budget:
            self.budget = self.body.value("alloca i64")
            self.refills = self.body.value("alloca i64")
            self.body.line(f"store i64 0, ptr {self.refills}")
        left = self.body.load(self.body.pointer(self.function.state, layout.STATE_BUDGET), 8)
        self.body.line(f"store i64 {left}, ptr {self.budget}")

    def save_budget(self) -> None:
        """Put the budget into the CPU's state."""
        left = self.body.value(f"load i64, ptr {self.budget}")
        self.body.store(self.body.pointer(self.function.state, layout.STATE_BUDGET), 8, left)

    def interrupt(self, why: Value, detail: Value) -> None:
        """Say why the run ends here."""
        state = self.function.state
        self.body.store(self.body.pointer(state, layout.STATE_DETAIL), 8, detail)
        self.body.store(self.body.pointer(state, layout.STATE_INTERRUPT), 8, why)

    def _around(self, call: Callable[[], Value]) -> Value:
        """A call of something that counts instructions too."""
        if not self.function.counts:
            return call()
        self.save_budget()
        result = call()
        self.load_budget()
        return result

    def _arguments(self) -> str:
        return ", ".join(f"i64 {text(self.function.read(n))}" for n in ARGUMENTS)

    def subprogram(self, start: int) -> None:
        """Call a function of this program, in the next frame."""
        frame = self.body.binary("sub", "%frame", layout.FRAME_STRIDE)
        call = f"call i64 @function_{start}(ptr %base, i64 {frame}, {self._arguments()})"
        self.function.write(0, self._around(lambda: self.body.value(call)))
        self._leave_if_interrupted()

    def register(self, value: Value) -> None:
        """Call a function of this program by its address, in the next frame. One that is known
        here is among those that the function refers to, so its frames are counted."""
        start = self.function.code.function_of(value) if isinstance(value, int) else None
        if start is not None:
            self.subprogram(start)
            return
        self.context.natives.has_callbacks = True
        if self.function.counts:
            self.save_budget()
        self._check_entry()
        frame = self.body.binary("sub", "%frame", layout.FRAME_STRIDE)
        passed = f"ptr %base, i64 {frame}, i64 {text(value)}, {self._arguments()}"
        self.function.write(0, self.body.value(f"call i64 @dispatch({passed})"))
        if self.function.counts:
            self.load_budget()
        self._leave_if_interrupted()

    def program(self, handle: int) -> None:
        """Call the program that a dispatcher has, in the next frame."""
        body = self.body
        target = self.context.natives.attached(body, handle)
        if self.function.counts:
            self.save_budget()
        self._check_entry()
        frame = body.binary("sub", "%frame", layout.FRAME_STRIDE)
        call = f"call i64 {target}(ptr %base, i64 {frame}, {self._arguments()})"
        self.function.write(0, body.value(call))
        if self.function.counts:
            self.load_budget()
        self._leave_if_interrupted()

    def _check_entry(self) -> None:
        """Return from the function where the stack has no room for what is entered by handle;
        near its top it has room for everything."""
        body = self.body
        offset = body.binary("and", "%frame", layout.CPU_BLOCK - 1)
        deep, full, enters = body.label("deep"), body.label("full"), body.label("enters")
        body.unlikely(body.value(f"icmp ult i64 {offset}, {ROOM}"), deep, enters)
        body.block(deep)
        holds = self.context.natives.call(body, "may_enter", ["%frame"])
        body.unlikely(body.value(f"icmp eq i64 {text(holds)}, 0"), full, enters)
        body.block(full)
        self.interrupt(int(Interrupt.STACK), 0)
        body.store(body.pointer(self.function.state, layout.STATE_BUDGET), 8, 0)
        self.function.counted.save()
        body.ret(0)
        body.block(enters)

    def _leave_if_interrupted(self) -> None:
        """Where what was called has ended the run, or a tail call in it has replaced the whole
        program, callers return at once."""
        body = self.body
        why = body.load(body.pointer(self.function.state, layout.STATE_INTERRUPT), 8)
        leave, stay = body.label("interrupted"), body.label("goes_on")
        body.unlikely(body.value(f"icmp ne i64 {why}, 0"), leave, stay)
        body.block(leave)
        self.function.leave(0)
        body.block(stay)

    def helper(self, i: Instruction) -> None:
        """Call a helper: a native function of this module, or Python through its door."""
        found = self.context.resolve(i)
        arguments = [self.function.read(n) for n in range(1, 1 + len(found.arguments))]
        if not found.native:
            self._python(i, arguments, self.context.program if found.tells_program else 0)
            return
        # Only what selects a version: maps and callbacks. Other constants LLVM folds.
        passed: list[Value] = ["%frame"]
        if found.name == "poison":
            passed.append(self._variable(i.imm))
        for value in arguments:
            known = isinstance(value, int) and value >= layout.MAP_HANDLE
            passed.append(value if known else self._variable(value))
        natives, before = self.context.natives, self.context.natives.has_callbacks
        natives.has_callbacks = natives.interrupts = False
        call = self.context.natives.call
        result = self._around(lambda: call(self.body, found.native, passed))
        natives.has_callbacks |= before
        self.function.write(0, result)
        if natives.interrupts:
            self._leave_if_interrupted()

    def _variable(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        return self.body.value(f"add i64 {text(value)}, 0")

    def _python(self, i: Instruction, arguments: list[Value], program: int) -> None:
        body = self.body
        state = self.function.state
        door = body.load(body.pointer(state, layout.STATE_DOOR), 8)
        pointer = body.value(f"inttoptr i64 {door} to ptr")
        number = program << PROGRAM_SHIFT | i.src << 32 | i.imm & 0xFFFF_FFFF
        for position, value in enumerate([number, "%frame", *arguments]):
            body.store(body.pointer(state, layout.STATE_CALL + 8 * position), 8, value)
        call = f"call i64 {pointer}(ptr %base)"
        self.function.write(0, self._around(lambda: body.value(call)))
        self._leave_if_interrupted()

    # Tail calls.

    def tail_call(self) -> None:
        """Jump to the program in a slot; go on when there is none or the limit is reached."""
        array, key = self.function.read(2), self.function.read(3)
        context = text(self.function.read(1))
        natives = self.context.natives
        header = natives.call(self.body, "map_at", [array]) if isinstance(array, int) else 0
        if isinstance(header, int) and isinstance(key, int) and self._is_direct(header):
            self._direct(header, key & 0xFFFF_FFFF, context)
            return
        body = self.body
        if isinstance(key, int):
            key &= 0xFFFF_FFFF
        else:
            key = body.binary("and", key, 0xFFFF_FFFF)
        arguments: list[Value] = ["%frame", array, key]
        natives.interrupts = False
        entry = self._around(lambda: natives.call(body, "take_tail_entry", arguments))
        taken, failed = body.label("taken"), body.label("failed")
        body.unlikely(body.value(f"icmp eq i64 {text(entry)}, 0"), failed, taken)
        body.block(taken)
        self._jump(text(entry), body.value(f"inttoptr i64 {text(entry)} to ptr"), context)
        body.block(failed)
        if natives.interrupts:
            self._leave_if_interrupted()

    def _is_direct(self, header: int) -> bool:
        """Whether a map's slots can have stubs: the map is a prog array, and known to be."""
        if header == 0 or not stubs.supported():
            return False
        kind = self.context.natives.memory.load32(header + layout.MAP_TYPE)
        return kind == slots.PROG_ARRAY

    def _direct(self, header: int, key: int, context: str) -> None:
        """A slot that is known now: whether it is filled is looked up, where it leads is in
        the stub."""
        body = self.body
        slot = self.context.natives.memory.load64(header + layout.MAP_NODES)
        if key >= self.context.natives.memory.load32(header + layout.MAP_MAX_ENTRIES):
            return
        filled = body.pointer(slot + key * slots.SLOT_SIZE + slots.SLOT_ENTRY)
        entry = body.value(f"load atomic i64, ptr {filled} acquire, align 8")
        there, taken, failed = body.label("there"), body.label("taken"), body.label("failed")
        body.unlikely(body.value(f"icmp eq i64 {entry}, 0"), failed, there)
        body.block(there)
        # As `osmia.vm.maps.slots.count_tail_call` does, which hides from LLVM what is likely.
        counter = body.pointer(self.function.state, layout.STATE_TAIL_CALLS)
        count = body.load(counter, 4)
        over = body.value(f"icmp uge i64 {count}, {layout.TAIL_CALL_LIMIT}")
        body.unlikely(over, failed, taken)
        body.block(taken)
        body.store(counter, 4, body.binary("add", count, 1))
        self._jump(entry, f"@{self.context.natives.stubs.symbol((header, key))}", context)
        body.block(failed)

    def _jump(self, entry: str, target: str, context: str) -> None:
        """Replace this function's frame, or the whole program, by a program."""
        body, function = self.body, self.function
        if function.counts:
            self.save_budget()
        function.counted.save()
        if self.context.layout.tail_calls == "program":
            offset = body.binary("and", "%frame", layout.CPU_BLOCK - 1)
            at_top = body.value(f"icmp eq i64 {offset}, {self.context.top}")
            stay, unwind = body.label("top"), body.label("unwind")
            body.branch(at_top, stay, unwind)
            body.block(unwind)
            self.interrupt(int(Interrupt.TAIL_CALL), entry)
            body.ret(0)
            body.block(stay)
        # The target finds 0 in r2 to r5. So did a typed program that is not called by another
        # one: it passes on what it got, which takes no instruction.
        kept = self.context.typed and not function.this.start
        rest = ", ".join(f"i64 {f'%a{n}' if kept else 0}" for n in ARGUMENTS[1:])
        passed = f"ptr %base, i64 %frame, i64 {context}, {rest}"
        result = body.value(f"musttail call i64 {target}({passed})")
        body.ret(result)
