"""BPF code to LLVM IR: a function each, registers as local variables, addresses masked.

What a program can observe is what the interpreter does without strict checks. A function
has one prototype, `i64 (ptr base, i64 frame, i64 r1 … r5)`: with equal prototypes a tail
call is a jump. Loops pay for their instructions at the jump back.
"""

from __future__ import annotations

import osmia.vm.helpers.skb  # noqa: F401  # packet_holds, packet_word
from osmia.isa import opcodes as op
from osmia.isa.alu import M64
from osmia.isa.cfg import BasicBlock
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.isa.state import State
from osmia.vm import layout
from osmia.vm.budgets import SPLIT
from osmia.vm.code import TAIL_CALL, Code, CodeFunction
from osmia.vm.errors import Interrupt
from osmia.vm.jit.arithmetic import CONDITIONS, arithmetic
from osmia.vm.jit.blocks import (
    frame_is_private,
    function_flow,
    instructions,
    known_numbers,
)
from osmia.vm.jit.calls import Calls, Context
from osmia.vm.jit.counts import Counts
from osmia.vm.jit.emitter import PARAMETERS, Emitter, Value, function, text

LARGE = 256
"""Functions of more slots are never copied into their callers: it would double the time that
compiling takes."""

UNSEEN = "memory(inaccessiblemem: readwrite)"
"""What asks for more of the budget touches nothing that a program sees: loops may keep in
registers what they would have to load again after any other call."""

_ATOMICS = {
    op.AtomicOp.ADD: "add",
    op.AtomicOp.OR: "or",
    op.AtomicOp.AND: "and",
    op.AtomicOp.XOR: "xor",
}


class FunctionTranslation:
    """One function of a program."""

    def __init__(self, context: Context, code: Code, this: CodeFunction) -> None:
        self.context = context
        self.code = code
        self.this = this
        flow = function_flow(code, this)
        reachable = flow.reachable
        self.blocks = [block for block in flow.blocks if block.start in reachable]
        self.private = frame_is_private(code, this)
        self.constants = known_numbers(flow, context.immediate, private=self.private)
        self.body = Emitter(["entry:"])
        self.registers: dict[int, str] = {}
        self.may_goto = ""
        self.frame = ""
        self.top = 0
        self.known = State()
        self.values: dict[int, Value] = {}
        self.unsaved: set[int] = set()
        self.paid = this.start  # straight code up to here is paid for
        self.state = ""
        self.counts = self._counts()
        self.calls = Calls(self)
        self.counted = Counts(self.body, self.blocks, context.counters)

    def _counts(self) -> bool:
        """Whether the function must count instructions: it has loops, or calls something
        that may have, or may itself be called many times, or is long."""
        if self.this.start or self.this.calls or self.this.end - self.this.start > SPLIT:
            return True
        if Form.CALL_REGISTER in self.code.forms[self.this.start : self.this.end]:
            return True
        return any(s <= b.start for b in self.blocks for s in b.successors)

    def text(self) -> str:
        """The function's IR."""
        body = self.body
        for register in range(10):
            self.registers[register] = body.value("alloca i64")
        self.state = body.cpu_state(self.context.layout, "%frame")
        for register in range(10):
            self.write(register, f"%a{register}" if 1 <= register <= 5 else 0)
        self.save()
        if Form.MAY_GOTO in self.code.forms[self.this.start : self.this.end]:
            self.may_goto = body.value("alloca i64")
            body.line(f"store i64 {layout.MAY_GOTO_LIMIT}, ptr {self.may_goto}")
        self.counted.begin()
        if self.private:
            self.private_frame()
        if self.counts:
            self.calls.load_budget()
            if self.this.start:
                self.pay(4, "begin")
                body.block("begin")
        body.jump(f"L{self.this.start}")
        for block in self.blocks:
            self.block(block)
        if self.counts:
            self.exhausted()
        linkage = "internal " if self.this.start else ""
        symbol = f"function_{self.this.start}" if self.this.start else "program"
        large = self.this.end - self.this.start > LARGE
        attributes = "nounwind noinline" if large else "nounwind"
        return function(symbol, PARAMETERS, body, linkage=linkage, attributes=attributes)

    def private_frame(self) -> None:
        """Keep the frame in a local variable, as far as it is used; LLVM takes it apart. It is
        cleared: what nobody wrote must not be undefined."""
        self.top = -(-self.this.stack // 8) * 8
        if self.top:
            self.frame = self.body.value(f"alloca [{self.top} x i8], align 8")
            name = "llvm.memset.p0.i64"
            self.context.natives.declarations.add(f"declare void @{name}(ptr, i8, i64, i1)")
            self.body.line(f"call void @{name}(ptr {self.frame}, i8 0, i64 {self.top}, i1 false)")

    def block(self, block: BasicBlock) -> None:
        """One basic block."""
        self.body.block(f"L{block.start}")
        if block.start - self.paid > SPLIT:
            self.pay(block.start - self.paid, f"P{block.start}")
            self.body.block(f"P{block.start}")
            self.paid = block.start
        entering = self.constants.entering.get(block.start)
        self.known = entering.copy() if entering else State()
        self.values.clear()
        for slot, instruction, form in instructions(self.code, block.start, block.end):
            if slot + 1 == block.end:  # it may jump
                self.save()
            self.instruction(slot, instruction, form)
            self.constants.effects.apply(self.known, slot, instruction)
        if not self.body.closed:
            self.save()
            self.body.jump(f"L{block.end}")

    def pay(self, cost: int, label: str) -> None:
        """Take instructions off the budget, then go on at a label."""
        body = self.body
        left = body.binary("sub", body.value(f"load i64, ptr {self.calls.budget}"), cost)
        body.line(f"store i64 {left}, ptr {self.calls.budget}")
        if not self.context.layout.interruptible:
            # No way back from there: LLVM optimises a loop that only ends better than one that
            # may go on after a call.
            body.unlikely(body.value(f"icmp slt i64 {left}, 0"), "exhausted", label)
            return
        spent = body.label("spent")
        body.unlikely(body.value(f"icmp slt i64 {left}, 0"), spent, label)
        body.block(spent)
        # How often this was done changes here and nowhere else, which tells LLVM that a loop
        # with its way through here is two loops, the inner one as plain as if it ended here.
        times = body.binary("add", body.value(f"load i64, ptr {self.calls.refills}"), 1)
        body.line(f"store i64 {times}, ptr {self.calls.refills}")
        more = self.context.natives.call(body, "refill", ["%frame", left, times], UNSEEN)
        body.line(f"store i64 {text(more)}, ptr {self.calls.budget}")
        body.unlikely(body.value(f"icmp slt i64 {text(more)}, 0"), "exhausted", label)

    def exhausted(self) -> None:
        """The end of a run whose budget is used up, or was taken by what interrupts it: what is
        left says why, see `osmia.vm.native.refill`."""
        body = self.body
        body.block("exhausted")
        if not self.context.layout.interruptible:
            left = body.value(f"load i64, ptr {self.calls.budget}")
            more = self.context.natives.call(body, "refill", ["%frame", left, 0], UNSEEN)
            body.line(f"store i64 {text(more)}, ptr {self.calls.budget}")
        why = body.load(body.pointer(self.state, layout.STATE_INTERRUPT), 8)
        first, end = body.label("first"), body.label("end")
        body.branch(body.value(f"icmp eq i64 {why}, 0"), first, end)
        body.block(first)
        ended = body.value(f"load i64, ptr {self.calls.budget}")
        self.calls.interrupt(body.binary("sub", 0, ended), 0)
        body.block(end)
        self.calls.save_budget()
        self.counted.save()
        body.ret(0)

    def go_on(self, i: Instruction) -> str:
        """The label of where a jump that is taken goes."""
        assert i.jump_offset is not None
        return self.go(self.slot, self.slot + 1 + i.jump_offset)

    def go(self, slot: int, destination: int) -> str:
        """The label to jump to; a jump back pays first."""
        label = f"L{destination}" if destination > slot else self.paying(slot, destination)
        address = self.counted.ways.get((slot, destination))
        if address is None:
            return label
        counting = self.body.label("way")
        self.counting.append((counting, label, address))
        return counting

    counting: list[tuple[str, str, int]]

    def paying(self, slot: int, destination: int) -> str:
        """The label of a block, put aside, that pays for a loop and jumps back."""
        label = self.body.label("back")
        self.pending.append((label, slot - destination + 1, destination))
        return label

    pending: list[tuple[str, int, int]]

    def instruction(self, slot: int, i: Instruction, form: Form) -> None:
        """One instruction."""
        self.pending = []
        self.counting = []
        self.slot = slot
        if slot in self.counted.starts:
            self.counted.add(self.counted.starts[slot])
        getattr(self, f"_{form.name.lower()}")(i)
        for label, onward, address in self.counting:
            self.body.block(label)
            self.counted.add(address)
            self.body.jump(onward)
        for label, cost, destination in self.pending:
            self.body.block(label)
            self.pay(cost, f"L{destination}")

    # Registers and addresses.

    def read(self, register: int) -> Value:
        """A register's value."""
        if register == op.FRAME_POINTER:
            return "%frame"
        known = self.known.registers[register]
        if type(known) is int:
            return known
        if register not in self.values:
            self.values[register] = self.body.value(f"load i64, ptr {self.registers[register]}")
        return self.values[register]

    def write(self, register: int, value: Value) -> None:
        """Set a register; inside a block its variable is not needed."""
        self.values[register] = value
        self.unsaved.add(register)

    def save(self) -> None:
        """Put what was written into the variables, for the blocks that follow."""
        for register in sorted(self.unsaved):
            value = text(self.values[register])
            self.body.line(f"store i64 {value}, ptr {self.registers[register]}")
        self.unsaved.clear()

    def operand(self, i: Instruction) -> Value:
        """The second operand of arithmetic and jumps."""
        return self.read(i.src) if i.uses_source_register else i.imm & M64

    def followed(self, register: int, offset: int) -> str:
        """The machine address of a load by a pointer that may lead nowhere: the zeros at 0 then."""
        if not self.context.follows or register == op.FRAME_POINTER:
            return self.place(register, offset)
        value, body = text(self.read(register)), self.body
        there = body.value(f"icmp ult i64 {value}, {self.context.layout.region_size}")
        return body.pointer(body.value(f"select i1 {there}, i64 {value}, i64 0"), offset)

    def place(self, register: int, offset: int) -> str:
        """The machine address that an instruction accesses. The frame needs no mask."""
        if register == op.FRAME_POINTER and self.frame:
            return self.body.value(f"getelementptr i8, ptr {self.frame}, i64 {self.top + offset}")
        value = self.read(register)
        if register != op.FRAME_POINTER:
            value = self.body.binary("and", value, self.context.layout.region_size - 1)
        return self.body.pointer(value, offset)

    # The forms, each named for its `Form`.

    def _alu(self, i: Instruction) -> None:
        bits = 64 if i.class_ is op.Class.ALU64 else 32
        a = self.body.narrow(self.read(i.dst), bits)
        b = self.body.narrow(self.operand(i), bits)
        self.write(i.dst, self.body.wide(arithmetic(self.body, i, bits, a, b), bits))

    _signed_division = _alu

    def _move(self, i: Instruction) -> None:
        value = self.operand(i)
        if i.class_ is op.Class.ALU:
            value = self.body.wide(self.body.narrow(value, 32), 32)
        self.write(i.dst, value)

    def _move_sign_extended(self, i: Instruction) -> None:
        bits = 64 if i.class_ is op.Class.ALU64 else 32
        value = self.body.narrow(self.read(i.src), i.offset)
        extended = self.body.value(f"sext i{i.offset} {value} to i{bits}")
        self.write(i.dst, self.body.wide(extended, bits))

    def _addr_space_cast(self, i: Instruction) -> None:
        self.write(i.dst, self.body.wide(self.body.narrow(self.read(i.src), 32), 32))

    def _negate(self, i: Instruction) -> None:
        bits = 64 if i.class_ is op.Class.ALU64 else 32
        value = self.body.narrow(self.read(i.dst), bits)
        self.write(i.dst, self.body.wide(self.body.value(f"sub i{bits} 0, {value}"), bits))

    def _to_endian(self, i: Instruction) -> None:
        value = self.body.narrow(self.read(i.dst), i.imm)
        if i.class_ is op.Class.ALU64 or i.opcode & op.Source.X:
            kind = f"i{i.imm}"
            self.context.natives.declarations.add(f"declare {kind} @llvm.bswap.{kind}({kind})")
            value = self.body.value(f"call {kind} @llvm.bswap.{kind}({kind} {value})")
        self.write(i.dst, self.body.wide(value, i.imm))

    _byte_swap = _to_endian

    def _load_imm64(self, i: Instruction) -> None:
        self.write(i.dst, self.context.immediate(i, self.slot))

    def _load(self, i: Instruction) -> None:
        self.write(i.dst, self.body.load(self.followed(i.src, i.offset), i.size.bytes))

    def _load_sign_extended(self, i: Instruction) -> None:
        place = self.followed(i.src, i.offset)
        self.write(i.dst, self.body.load(place, i.size.bytes, signed=True))

    def _store(self, i: Instruction) -> None:
        value = self.read(i.src)
        self.body.store(self.place(i.dst, i.offset), i.size.bytes, value)

    def _store_immediate(self, i: Instruction) -> None:
        self.body.store(self.place(i.dst, i.offset), i.size.bytes, i.imm)

    def _nospec(self, i: Instruction) -> None:
        """Nothing: there is no speculation to stop."""

    def aligned(self, register: int, offset: int, size: int) -> str:
        """The machine address of an atomic access: never across a cache line."""
        mask = self.context.layout.region_size - 1
        address = self.body.binary("and", self.read(register), mask)
        address = self.body.binary("add", address, offset)
        return self.body.pointer(self.body.binary("and", address, -size))

    def _atomic(self, i: Instruction) -> None:
        bits = 8 * i.size.bytes
        operand = self.body.narrow(self.read(i.src), bits)
        place = self.aligned(i.dst, i.offset, i.size.bytes)
        name = "xchg" if i.imm == op.AtomicOp.XCHG else _ATOMICS[op.AtomicOp(i.imm & ~op.FETCH)]
        order = "seq_cst" if i.imm & op.FETCH else "monotonic"
        old = self.body.value(
            f"atomicrmw {name} ptr {place}, i{bits} {operand} {order}, align {i.size.bytes}"
        )
        if i.imm & op.FETCH:
            self.write(i.src, self.body.wide(old, bits))

    _atomic_fetch = _atomic
    _exchange = _atomic

    def _compare_exchange(self, i: Instruction) -> None:
        bits = 8 * i.size.bytes
        body = self.body
        new = body.narrow(self.read(i.src), bits)
        expected = body.narrow(self.read(0), bits)
        place = self.aligned(i.dst, i.offset, i.size.bytes)
        pair = body.value(
            f"cmpxchg ptr {place}, i{bits} {expected}, i{bits} {new} seq_cst seq_cst,"
            f" align {i.size.bytes}"
        )
        old = body.value(f"extractvalue {{ i{bits}, i1 }} {pair}, 0")
        self.write(0, body.wide(old, bits))

    def _load_acquire(self, i: Instruction) -> None:
        size = i.size.bytes
        place = self.aligned(i.src, i.offset, size)
        value = self.body.value(f"load atomic i{8 * size}, ptr {place} acquire, align {size}")
        self.write(i.dst, self.body.wide(value, 8 * size))

    def _store_release(self, i: Instruction) -> None:
        size = i.size.bytes
        value = self.body.narrow(self.read(i.src), 8 * size)
        place = self.aligned(i.dst, i.offset, size)
        self.body.line(f"store atomic i{8 * size} {value}, ptr {place} release, align {size}")

    def _load_absolute(self, i: Instruction) -> None:
        self.legacy_load(i, i.imm & 0xFFFF_FFFF)

    def _load_indirect(self, i: Instruction) -> None:
        offset = self.body.binary("add", self.read(i.src), i.imm)
        self.legacy_load(i, self.body.binary("and", offset, 0xFFFF_FFFF))

    def legacy_load(self, i: Instruction, offset: Value) -> None:
        """Packet data in network order; beyond the packet the function returns 0."""
        body, natives = self.body, self.context.natives
        arguments: list[Value] = ["%frame", offset, i.size.bytes]
        holds = natives.call(body, "packet_holds", arguments)
        inside, outside = body.label("inside"), body.label("outside")
        body.branch(body.value(f"icmp ne i64 {text(holds)}, 0"), inside, outside)
        body.block(outside)
        self.leave(0)
        body.block(inside)
        self.write(0, natives.call(body, "packet_word", arguments))

    def _branch(self, i: Instruction) -> None:
        body = self.body
        bits = 64 if i.class_ is op.Class.JMP else 32
        a = body.narrow(self.read(i.dst), bits)
        b = body.narrow(self.operand(i), bits)
        if i.operation == op.JmpOp.JSET:
            common = body.value(f"and i{bits} {a}, {b}")
            condition = body.value(f"icmp ne i{bits} {common}, 0")
        else:
            condition = body.value(f"icmp {CONDITIONS[op.JmpOp(i.operation)]} i{bits} {a}, {b}")
        taken = self.go_on(i)
        body.branch(condition, taken, self.go(self.slot, self.slot + 1))

    def _goto(self, i: Instruction) -> None:
        self.body.jump(self.go_on(i))

    _goto_long = _goto

    def _goto_register(self, i: Instruction) -> None:
        """A switch over what the jump's tables hold: LLVM makes a table of its own of it."""
        body = self.body
        value = self.read(i.dst)
        elsewhere = body.label("elsewhere")
        cases = "".join(
            f" i64 {self.code.handles[slot]}, label %{self.go(self.slot, slot)}"
            for slot in self.code.jumps[self.slot]
        )
        body.line(f"switch i64 {text(value)}, label %{elsewhere} [{cases} ]")
        body.closed = True
        body.block(elsewhere)
        self.calls.interrupt(int(Interrupt.JUMP), value)
        self.leave(0)

    def _may_goto(self, i: Instruction) -> None:
        body = self.body
        left = body.value(f"load i64, ptr {self.may_goto}")
        body.line(f"store i64 {body.binary('sub', left, 1)}, ptr {self.may_goto}")
        over = body.value(f"icmp sle i64 {left}, 0")
        taken = self.go_on(i)
        body.branch(over, taken, self.go(self.slot, self.slot + 1))

    def leave(self, value: Value) -> None:
        """Return from the function."""
        if self.counts:
            self.calls.save_budget()
        self.counted.save()
        self.body.ret(value)

    def _exit(self, i: Instruction) -> None:
        self.leave(self.read(0))

    def _call_register(self, i: Instruction) -> None:
        self.calls.register(self.read(i.dst))

    def _call(self, i: Instruction) -> None:
        match i.src:
            case op.CallKind.SUBPROGRAM:
                self.calls.subprogram(self.slot + 1 + i.imm)
            case op.CallKind.PROGRAM:
                self.calls.program(i.imm)
            case op.CallKind.HELPER if i.imm == TAIL_CALL:
                self.calls.tail_call()
            case _:
                self.calls.helper(i)
