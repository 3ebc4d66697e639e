"""Random programs that compute with what can be known, and a hook that compares every
instruction's registers and stack with what the analysis says of them."""

from __future__ import annotations

from random import Random

from osmia.isa.alu import M32, M64
from osmia.isa.constants import KnownValues
from osmia.isa.lattice import ANY, FRAME, WORD, Pointer, Value
from osmia.isa.state import State
from osmia.vm.interpreter import Interpreter

_SIZES = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_ALU = ("+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=")
_CONDITIONS = ("==", "!=", "==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&")
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 31, 63, 255, 65535, -1, -2, -128, 2**31 - 1, -(2**31))
ROOM = 64


class KnownPrograms:
    """Makes programs. r0 to r5 are numbers, r6 is any, r7 points into the frame, r9 counts. The
    `ROOM` bytes below the frame pointer are data, then may come a pointer. With `frame`, the
    frame pointer's number, they also store where no verifier lets them."""

    def __init__(self, random: Random, *, frame: int | None = None) -> None:
        self.random = random
        self.frame = frame
        self.spills = random.random() < 0.5
        self.lines: list[str] = []
        self.labels = 0

    def program(self) -> str:
        self.emit("r7 = r10", f"r7 += -{ROOM}", "r6 = r1")
        if self.spills:
            self.emit(f"*(u64 *)(r10 -{ROOM + 8}) = r7")
        for register in range(6):
            self.emit(f"r{register} = {self.number()}")
        for offset in range(8, ROOM + 1, 8):
            self.emit(f"*(u64 *)(r10 -{offset}) = {self.number()}")
        for _ in range(self.random.randrange(4, 40)):
            self.statement(2)
        self.emit("r0 = 0", "exit")
        self.emit("numbers:")
        for _ in range(3):
            self.arithmetic()
        self.emit("exit", "writes:", "r2 = r1", f"*(u64 *)(r2 +{self.random.randrange(0, 8)}) = r3")
        self.emit("r0 = *(u64 *)(r1 +0)", "exit")
        return "\n".join(self.lines)

    def emit(self, *lines: str) -> None:
        self.lines += lines

    def number(self) -> int:
        return self.random.choice(_NUMBERS)

    def label(self) -> str:
        self.labels += 1
        return f"L{self.labels}"

    def register(self) -> int:
        return self.random.randrange(6)

    def statement(self, depth: int) -> None:
        choices = [self.arithmetic, self.arithmetic, self.moves, self.stack, self.stack, self.call]
        choices += [self.pointers, self.atomics]
        if depth:
            choices += [lambda: self.branch(depth), lambda: self.branch(depth)]
        if depth == 2:
            choices.append(self.loop)
        if self.random.random() < 0.2:
            choices.append(self.disguised)
        if self.frame is not None:
            choices.append(self.wild)
        self.random.choice(choices)()

    def arithmetic(self) -> None:
        name = self.random.choice("rw")
        operation = self.random.choice(_ALU)
        operand = str(self.number())
        if operation in ("/=", "%=", "s/=", "s%=") and operand == "0":
            operand = "3"
        if self.random.random() < 0.5:
            operand = f"{name}{self.register()}"
        self.emit(f"{name}{self.register()} {operation} {operand}")

    def moves(self) -> None:
        r, a, b = self.random, self.register(), self.register()
        self.emit(
            r.choice(
                [
                    f"r{a} = {self.number()}",
                    f"w{a} = {self.number()}",
                    f"r{a} = r{b}",
                    f"w{a} = w{b}",
                    f"r{a} = (s{r.choice((8, 16, 32))})r{b}",
                    f"w{a} = (s{r.choice((8, 16))})w{b}",
                    f"r{a} = -r{a}",
                    f"w{a} = -w{a}",
                    f"r{a} = be{r.choice((16, 32, 64))} r{a}",
                    f"r{a} = le{r.choice((16, 32, 64))} r{a}",
                    f"r{a} = bswap{r.choice((16, 32, 64))} r{a}",
                    f"r{a} = {r.getrandbits(64):#x} ll",
                    f"r{a} = r6",
                    f"w{a} = w6",
                ]
            )
        )

    def access(self, base: str, offset: int, size: int) -> None:
        place = f"*({_SIZES[size]} *)({base} {'+' if offset >= 0 else '-'}{abs(offset)})"
        match self.random.randrange(4):
            case 0:
                self.emit(f"r{self.register()} = {place}")
            case 1:
                small = min(size, 4)
                self.emit(f"r{self.register()} = {place.replace(_SIZES[size], f's{8 * small}')}")
            case 2:
                self.emit(f"{place} = r{self.register()}")
            case 3:
                self.emit(f"{place} = {self.number()}")

    def stack(self) -> None:
        size = self.random.choice((1, 2, 4, 8))
        place = self.random.randrange(0, ROOM - size + 1)
        if self.random.random() < 0.7:
            place &= -size
        if self.random.random() < 0.6:
            self.access("r10", place - ROOM, size)
        else:
            self.emit("r7 = r10", f"r7 += -{ROOM - place}")
            self.access("r7", 0, size)

    def pointers(self) -> None:
        """A pointer that is known only when it runs, or comes from the stack."""
        match self.random.choice((0, 1, 2, 3) if self.spills else (0, 3)):
            case 0:
                self.emit("r0 = r6", f"r0 &= {self.random.choice((8, 24, 56))}")
                self.emit("r7 = r10", f"r7 += -{ROOM}", "r7 += r0")
                self.access("r7", 0, self.random.choice((1, 2, 4, 8)))
            case 1:
                self.emit(f"r7 = *(u64 *)(r10 -{ROOM + 8})")
                self.access("r7", self.random.randrange(0, 56), self.random.choice((1, 2, 4, 8)))
            case 2:
                self.emit("r7 = r10", f"r7 += -{8 * self.random.randrange(1, 9)}")
                self.emit(f"*(u64 *)(r10 -{ROOM + 8}) = r7")
            case 3:
                end = self.label()
                self.emit("r7 = r10", "r7 += -8", f"if r{self.register()} == 0 goto {end}")
                self.emit("r7 += -8", f"{end}:")
                self.access("r7", 0, self.random.choice((1, 2, 4, 8)))

    def atomics(self) -> None:
        size = self.random.choice((4, 8))
        place = f"({_SIZES[size]} *)(r10 -{8 * self.random.randrange(1, 9)})"
        name, register = "atomic64" if size == 8 else "atomic", self.register()
        self.emit(
            self.random.choice(
                [
                    f"lock *{place} += r{register}",
                    f"r{register} = {name}_fetch_add({place}, r{register})",
                    f"r{register} = {name}_xchg({place}, r{register})",
                    f"r0 = {name}_cmpxchg({place}, r0, r{register})",
                ]
            )
        )

    def disguised(self) -> None:
        """A store through a pointer that is not known to be one any more."""
        self.emit("r8 = r10", "r8 += -24", f"r8 ^= {self.random.choice((0, 8, 16))}")
        if self.random.random() < 0.3:
            self.branch(1)
        self.access("r8", 0, self.random.choice((1, 2, 4, 8)))

    def wild(self) -> None:
        """A store through a number that happens to be in the frame."""
        assert self.frame is not None
        self.emit(f"r8 = {self.frame - 8 * self.random.randrange(1, 9):#x} ll")
        self.access("r8", 0, self.random.choice((1, 2, 4, 8)))

    def call(self) -> None:
        match self.random.randrange(4):
            case 0:
                self.emit("call bpf_get_prandom_u32", "r6 = r0")
            case 1:
                self.emit("call numbers")
            case 2:
                place = 8 * self.random.randrange(2, 9)
                self.emit("r1 = r10", f"r1 += -{place}", "call writes", "r6 = r0")
            case 3:
                self.emit("r1 = r10", f"r1 += -{8 * self.random.randrange(2, 9)}", "r2 = 16")
                self.emit("call bpf_get_current_comm")
        for register in range(1, 6):
            self.emit(f"r{register} = {self.number()}")

    def branch(self, depth: int) -> None:
        name = self.random.choice("rw")
        right = f"{name}{self.register()}" if self.random.random() < 0.3 else str(self.number())
        left = self.random.choice((self.register(), 6))
        condition = f"{name}{left} {self.random.choice(_CONDITIONS)} {right}"
        otherwise, end = self.label(), self.label()
        self.emit(f"if {condition} goto {otherwise}")
        for _ in range(self.random.randrange(1, 4)):
            self.statement(depth - 1)
        self.emit(f"goto {end}", f"{otherwise}:")
        for _ in range(self.random.randrange(0, 3)):
            self.statement(depth - 1)
        self.emit(f"{end}:")

    def loop(self) -> None:
        again = self.label()
        self.emit(f"r9 = {self.random.choice((1, 3, 10, 40))}", f"{again}:")
        for _ in range(self.random.randrange(1, 4)):
            self.statement(1)
        self.emit("r9 += -1", f"if r9 != 0 goto {again}")


class Watch:
    """A hook: what a run has in its registers and its frame must be what is known there."""

    def __init__(self, known: KnownValues) -> None:
        self.before: dict[int, State] = {}
        for block in known.flow.blocks:
            for slot, _, state in known.walk(block):
                self.before[slot] = state.copy()
        self.code: object = None
        self.precise = 0

    def __call__(self, interpreter: Interpreter) -> None:
        frame = interpreter.frame
        self.code = self.code or frame.code
        if frame.code is not self.code:
            return
        state = self.before.get(frame.slot)
        assert state is not None, f"{frame.slot} is said never to run"
        for register, actual in enumerate(frame.registers):
            value = state.registers[register]
            if actual is not None:
                assert holds(value, actual, frame.pointer), (frame.slot, register, value, actual)
                self.precise += value is not ANY
        for offset, (size, value) in state.stack.items():
            actual = interpreter.memory.load(frame.pointer + offset, size)
            assert holds(value, actual, frame.pointer), (frame.slot, offset, value, actual)


def holds(value: Value, actual: int, frame: int) -> bool:
    """Whether a number of a run is one that a value stands for."""
    if isinstance(value, frozenset):
        return any(holds(atom, actual, frame) for atom in value)
    if isinstance(value, Pointer):
        if value.token != FRAME.token:
            assert isinstance(value.token, int)
            frame = value.token
        return value.offset is None or actual == frame + value.offset & M64
    if value is WORD:
        return actual <= M32
    return value is ANY or value == actual
