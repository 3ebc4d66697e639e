"""One function of a program as a Python function: registers as its variables, memory by views.

What a program can observe is what the interpreter does without strict checks: registers that
nobody wrote are 0, addresses are masked to the region. A function takes the run, its frame pointer
and r1 to r5. Loops pay for their instructions at the jump back, as in compiled code. The source has
nothing of the object but numbers: names in it are these modules' own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from osmia.isa import opcodes as op
from osmia.isa.alu import M32, M64
from osmia.isa.cfg import BasicBlock
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.vm import layout
from osmia.vm.budgets import SPLIT
from osmia.vm.code import TAIL_CALL, Code, CodeFunction
from osmia.vm.generated.arithmetic import Operand, arithmetic, condition, cut, number, swapped
from osmia.vm.generated.structure import (
    Branch,
    Known,
    Lines,
    NestingError,
    Structured,
    dispatched,
    reverse_postorder,
)
from osmia.vm.jit.blocks import function_flow, instructions

if TYPE_CHECKING:
    from osmia.vm.counting import Counters

PARAMETERS = "run, r10, r1=0, r2=0, r3=0, r4=0, r5=0"


class FunctionSource:
    """One function of a program. `arity` tells how many arguments the call in a slot takes."""

    def __init__(
        self,
        code: Code,
        this: CodeFunction,
        mask: int,
        immediate: Callable[[Instruction, int], int],
        arity: Callable[[Instruction], int],
        counters: Counters | None = None,
        follows: bool = False,
    ) -> None:
        self.code = code
        self.this = this
        self.mask = mask
        self.follows = follows  # whether a load from where nothing is gives 0
        self.immediate = immediate
        self.arity = arity
        self.starts = counters.starts if counters is not None else {}
        self.ways = counters.ways if counters is not None else {}
        self.blocks: dict[int, BasicBlock] = {b.start: b for b in function_flow(code, this).blocks}
        self.order = reverse_postorder(this.start, self.successors)
        self.costs = self._costs()
        self.local = self._loops() or bool(self.costs)  # whether the budget is in a variable
        self.counts = self.local or bool(this.start)
        self.known: Known = {}
        self.lines = Lines()
        self.branches: Sequence[Branch] = ()
        self.slot = self.end = this.start

    def _costs(self) -> dict[int, int]:
        """Which blocks of long straight code pay for how many slots before them."""
        costs: dict[int, int] = {}
        paid = self.this.start
        for start in sorted(self.order):
            if start - paid > SPLIT:
                costs[start], paid = start - paid, start
        return costs

    def _loops(self) -> bool:
        number = {block: n for n, block in enumerate(self.order)}
        return any(number[s] <= number[b] for b in self.order for s in self.successors(b))

    def text(self) -> str:
        """The function's source."""
        try:
            nested = Structured(self, self.order)
            nested.write(self.this.start, {})
            lines = nested.lines
        except NestingError:
            lines = dispatched(self, self.order)
        body = lines.text()
        start = [f"def function_{self.this.start}({PARAMETERS}):"]
        start.append(" r0 = r6 = r7 = r8 = r9 = way = 0")
        if Form.MAY_GOTO in self.code.forms[self.this.start : self.this.end]:
            start.append(f" may_goto = {layout.MAY_GOTO_LIMIT}")
        if "top" in body:
            start.append(f" top = r10 + {layout.GUARD}")
        if self.counts:
            start.append(" left = run.left")
        if self.this.start:
            start += [" left -= 4", " if left < 0:", "  left = run.refill(left)"]
            if not self.local:
                start.append(" run.left = left")
        return "\n".join(start) + "\n" + body

    # What `structure` asks.

    def successors(self, block: int) -> Sequence[int]:
        """See `Source`."""
        return tuple(dict.fromkeys(self.blocks[block].successors))

    def back(self, source: int, target: int, into: Lines) -> None:
        """See `Source`."""
        self.pay(abs(source - target) + 1, into)

    def pay(self, cost: int, into: Lines) -> None:
        """Take instructions off the budget."""
        into.add(f"left -= {cost}")
        into.add("if left < 0:")
        into.depth += 1
        into.add("left = run.refill(left)")
        into.depth -= 1

    def write(self, block: int, known: Known, into: Lines) -> Sequence[Branch]:
        """See `Source`."""
        self.known, self.lines = known, into
        self.end = self.blocks[block].end
        self.branches = self.onward()
        if block in self.costs:
            self.pay(self.costs[block], into)
        for slot, i, form in instructions(self.code, block, self.end):
            self.slot = slot
            if slot in self.starts:
                self.count(self.starts[slot])
            getattr(self, f"_{form.name.lower()}")(i)
        return self.branches

    def count(self, address: int) -> None:
        """Add to what counts how often the code got here."""
        self.lines.add(f"words64[{address + layout.GUARD >> 3}] += 1")

    def way(self, target: int) -> None:
        """The same for a way of the jump in this slot that has a count."""
        self.count(self.ways[self.slot, target])

    def counted(self, test: str, taken: int, following: int) -> str:
        """Count which way a jump goes by a condition; the condition by which it then goes."""
        ways = (("if taken:", taken), ("if not taken:", following))
        here = [(head, target) for head, target in ways if (self.slot, target) in self.ways]
        if not here:
            return test
        self.lines.add(f"taken = {test}")
        for head, target in here:
            self.lines.add(head)
            self.lines.depth += 1
            self.way(target)
            self.lines.depth -= 1
        return "taken"

    def onward(self) -> Sequence[Branch]:
        """How a block goes on that does not jump."""
        return (Branch("", self.end - 1, self.end),)

    # Registers and addresses.

    def read(self, register: int) -> Operand:
        """A register's value."""
        if register == op.FRAME_POINTER:
            return Operand("r10", self.mask)
        return self.known.get(register) or Operand(f"r{register}", M64)

    def set(self, register: int, value: Operand) -> None:
        """Give a register a value."""
        text = value.text
        if text[0] == "(" and _is_one(text):
            text = text[1:-1]
        name = f"r{register}"
        if text != name:
            self.lines.add(f"{name} = {text}")
        # A number stays where it is written; of others only how large they can be is kept.
        self.known[register] = value if value.known else Operand(name, value.most)

    def forget(self, register: int, most: int = M64) -> None:
        """A register holds anything up to a number."""
        self.known[register] = Operand(f"r{register}", most)

    def operand(self, i: Instruction) -> Operand:
        """The second operand of arithmetic and jumps."""
        return self.read(i.src) if i.uses_source_register else number(i.imm & M64)

    def place(self, register: int, offset: int, follows: bool = False) -> str:
        """The index of an address in the view of bytes."""
        at = layout.GUARD + offset
        if register == op.FRAME_POINTER:
            return f"top {'-' if offset < 0 else '+'} {abs(offset)}"
        base = self.read(register)
        if follows:
            return f"({base.text} if {base.text} <= {self.mask} else 0) + {at}"
        if base.known:
            return str((base.most & self.mask) + at)
        return f"({base.text} & {self.mask}) + {at}"

    def load(self, i: Instruction) -> Operand:
        """What an instruction loads."""
        size = i.size.bytes
        place = self.place(i.src, i.offset, self.follows)
        most = (1 << 8 * size) - 1
        if size == 1:
            return Operand(f"bytes8[{place}]", most)
        if i.src == op.FRAME_POINTER and i.offset % size == 0:
            return Operand(f"words{size * 8}[{place} >> {size.bit_length() - 1}]", most)
        return Operand(f"load{size * 8}(bytes8, {place})[0]", most)

    def store(self, i: Instruction, value: Operand) -> None:
        """Store a value where an instruction says."""
        size = i.size.bytes
        place = self.place(i.dst, i.offset)
        text = cut(value, 8 * size).text
        if size == 1:
            self.lines.add(f"bytes8[{place}] = {text}")
        elif i.dst == op.FRAME_POINTER and i.offset % size == 0:
            self.lines.add(f"words{size * 8}[{place} >> {size.bit_length() - 1}] = {text}")
        else:
            self.lines.add(f"store{size * 8}(bytes8, {place}, {text})")

    # The forms, each named for its `Form`.

    def _alu(self, i: Instruction) -> None:
        self.set(i.dst, arithmetic(i, self.read(i.dst), self.operand(i)))

    _signed_division = _move = _move_sign_extended = _negate = _alu

    def _addr_space_cast(self, i: Instruction) -> None:
        self.set(i.dst, cut(self.read(i.src), 32))

    def _to_endian(self, i: Instruction) -> None:
        self.set(i.dst, swapped(i, self.read(i.dst)))

    _byte_swap = _to_endian

    def _load_imm64(self, i: Instruction) -> None:
        self.set(i.dst, number(self.immediate(i, self.slot) & M64))

    def _load(self, i: Instruction) -> None:
        self.set(i.dst, self.load(i))

    def _load_sign_extended(self, i: Instruction) -> None:
        sign = 1 << (8 * i.size.bytes - 1)
        self.set(i.dst, Operand(f"(({self.load(i).text} ^ {sign}) - {sign} & {M64})", M64))

    def _store(self, i: Instruction) -> None:
        self.store(i, self.read(i.src))

    def _store_immediate(self, i: Instruction) -> None:
        self.store(i, number(i.imm & M64))

    def _nospec(self, i: Instruction) -> None:
        """Nothing: there is no speculation to stop."""

    def aligned(self, register: int, i: Instruction) -> str:
        """The address of an atomic access, as the run's methods take it."""
        base = self.read(register).text
        return f"({base} & {self.mask}) + {i.offset} & {-i.size.bytes}"

    def _atomic(self, i: Instruction) -> None:
        size, expected = i.size.bytes, self.read(0).text
        place, operand = self.aligned(i.dst, i), self.read(i.src).text
        call = f"run.atomic({i.imm}, {place}, {operand}, {expected}, {size})"
        into = 0 if i.imm == op.AtomicOp.CMPXCHG else i.src
        if i.imm & op.FETCH:
            self.set(into, Operand(call, (1 << 8 * size) - 1))
        else:
            self.lines.add(call)

    _atomic_fetch = _exchange = _compare_exchange = _atomic

    def _load_acquire(self, i: Instruction) -> None:
        size = i.size.bytes
        most = (1 << 8 * size) - 1
        self.set(i.dst, Operand(f"run.memory.load({self.aligned(i.src, i)}, {size})", most))

    def _store_release(self, i: Instruction) -> None:
        value = self.read(i.src).text
        self.lines.add(f"run.memory.store({self.aligned(i.dst, i)}, {i.size.bytes}, {value})")

    def _load_absolute(self, i: Instruction) -> None:
        self.legacy_load(i, str(i.imm & M32))

    def _load_indirect(self, i: Instruction) -> None:
        self.legacy_load(i, f"{self.read(i.src).text} + {i.imm} & {M32}")

    def legacy_load(self, i: Instruction, offset: str) -> None:
        """Packet data in network order; beyond the packet the function returns 0."""
        self.lines.add(f"r0 = run.execution.packet_load({offset}, {i.size.bytes})")
        self.lines.add("if r0 is None:")
        self.lines.depth += 1
        self.leave("0")
        self.lines.depth -= 1
        self.forget(0)
        self.branches = self.onward()

    def _branch(self, i: Instruction) -> None:
        taken, following = self.slot + 1 + i.offset, self.slot + 1
        if taken == following:
            return
        test = condition(i, self.read(i.dst), self.operand(i))
        test = self.counted(test, taken, following)
        ways = Branch(test, self.slot, taken), Branch("", self.slot, following)
        self.branches = ways

    def _goto(self, i: Instruction) -> None:
        assert i.jump_offset is not None
        self.branches = (Branch("", self.slot, self.slot + 1 + i.jump_offset),)

    _goto_long = _goto

    def _goto_register(self, i: Instruction) -> None:
        value = self.read(i.dst).text
        ways = [
            Branch(f"{value} == {self.code.handles[target]}", self.slot, target)
            for target in dict.fromkeys(self.code.jumps[self.slot])
        ]
        tested = ", ".join(str(self.code.handles[way.target]) for way in ways)
        self.lines.add(f"if {value} not in ({tested},):")
        self.lines.depth += 1
        self.lines.add(f"run.wrong_jump(here, {self.slot}, {value})")
        self.lines.depth -= 1
        for way in ways:
            if (self.slot, way.target) in self.ways:
                self.lines.add(f"if {way.condition}:")
                self.lines.depth += 1
                self.way(way.target)
                self.lines.depth -= 1
        ways[-1] = Branch("", self.slot, ways[-1].target)
        self.branches = ways

    def _may_goto(self, i: Instruction) -> None:
        taken, following = self.slot + 1 + i.offset, self.slot + 1
        if taken == following:
            return
        self.lines.add("may_goto -= 1")
        test = self.counted("may_goto < 0", taken, following)
        ways = Branch(test, self.slot, taken), Branch("", self.slot, following)
        self.branches = ways

    def leave(self, value: str) -> None:
        """Return from the function."""
        if self.local:
            self.lines.add("run.left = left")
        self.lines.add(f"return {value}")
        self.branches = ()

    def _exit(self, i: Instruction) -> None:
        self.leave(self.read(0).text)

    # Calls: what a slot calls is a global of its number.

    def around(self, call: str) -> None:
        """Call what may count instructions too; r0 is what it gives."""
        if self.local:
            self.lines.add("run.left = left")
        self.lines.add(f"r0 = {call}")
        if self.local:
            self.lines.add("left = run.left")
        self.forget(0)

    def arguments(self, count: int = 5) -> str:
        """The first registers that calls pass."""
        return "".join(f", {self.read(n).text}" for n in range(1, 1 + count))

    def _call(self, i: Instruction) -> None:
        below = f"r10 - {layout.FRAME_STRIDE}"
        match i.src:
            case op.CallKind.SUBPROGRAM:
                start = self.slot + 1 + i.imm
                self.around(f"function_{start}(run, {below}{self.arguments()})")
            case op.CallKind.PROGRAM:
                self.around(f"run.call_program(here, {self.slot}, r10{self.arguments()})")
            case op.CallKind.HELPER if i.imm == TAIL_CALL:
                self.tail_call()
            case _:
                arguments = self.arguments(self.arity(i))
                self.around(f"call_{self.slot}(run, r10{arguments})")

    def _call_register(self, i: Instruction) -> None:
        value = self.read(i.dst).text
        self.around(f"run.call_register(here, {self.slot}, {value}, r10{self.arguments()})")

    def tail_call(self) -> None:
        """Replace this function's frame by a program; go on when there is none."""
        array, key = self.read(2).text, self.read(3).text
        if self.local:
            self.lines.add("run.left = left")
        self.lines.add(f"target = run.tail_call(here, {self.slot}, {array}, {key})")
        self.lines.add("if target is not None:")
        self.lines.depth += 1
        self.lines.add(f"return run.replace(target, r10, {self.read(1).text})")
        self.lines.depth -= 1


def _is_one(text: str) -> bool:
    """Whether the bracket that a text begins with ends at its end."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return position == len(text) - 1
    return False
