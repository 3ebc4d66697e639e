"""Hostile programs for the userspace engine: whatever they do, nothing of ours breaks.

    python fuzz/vm_hostile.py --count 100000 --seed 1 --jobs 2

Random bytes, and structured garbage: jumps everywhere, registers that do not exist, endless
loops, deep and recursive calls, wild pointers, helpers with any arguments. Each program goes
through the interpreter (strict, and as compiled code behaves), generated Python and the JIT.
Allowed are a result and an exception of osmia's. A crash, a hang, another exception, or a change
of the vm's fixed control memory is reported with the program's seed, and the exit status is 1.

Programs run in a child process, so that the run outlives what it finds.
"""

from __future__ import annotations

import hashlib
import random
import sys

import campaign

from osmia.errors import OsmiaError
from osmia.isa import opcodes as op
from osmia.isa.helper_functions import HELPERS
from osmia.object.uapi import MapType, ProgramType
from osmia.vm import layout
from osmia.vm.engine import Vm
from osmia.vm.helpers import supported
from osmia.vm.programs import Executor

BUDGET = 2000
#: How each program is run: by what, and whether strictly.
WAYS: tuple[tuple[Executor, bool], ...] = (
    ("interpreter", True),
    ("interpreter", False),
    ("generated", False),
    ("jit", False),
)
MAPS = (
    (MapType.ARRAY, 4, 16, 4),
    (MapType.HASH, 8, 16, 8),
    (MapType.LRU_HASH, 4, 8, 16),
    (MapType.LPM_TRIE, 8, 8, 8),
    (MapType.PROG_ARRAY, 4, 4, 4),
    (MapType.QUEUE, 0, 8, 4),
    (MapType.RINGBUF, 0, 0, 4096),
    (MapType.PERCPU_HASH, 4, 8, 4),
)
TYPES = (None, ProgramType.XDP, ProgramType.SCHED_CLS, ProgramType.SOCKET_FILTER)
HELPER_NUMBERS = tuple(
    number for number, known in HELPERS.items() if known.name.removeprefix("bpf_") in supported()
)
_WILD = (0, 1, -1, 2**31, 2**32 - 1, 2**30, -(2**31), 2**63, layout.MAP_HANDLE, 0xFFFF_FFFF_0000)
_OPERATIONS = (*range(8), 10, 11, 12)
_ALU = [c | s | o << 4 for c in (op.Class.ALU, op.Class.ALU64) for s in (0, 8) for o in _OPERATIONS]
_CONDITIONS = (1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13)
_BRANCHES = [
    c | s | o << 4 for c in (op.Class.JMP, op.Class.JMP32) for s in (0, 8) for o in _CONDITIONS
]
_LOADS = (0x61, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91)
_STORES = (0x63, 0x6B, 0x73, 0x7B)
_STORES_OF_NUMBERS = (0x62, 0x6A, 0x72, 0x7A)
_ATOMICS = (0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1, 0x100, 0x110)
_EXIT = bytes([0x95, 0, 0, 0, 0, 0, 0, 0])


def instruction(opcode: int, dst: int, src: int, offset: int, imm: int) -> bytes:
    """One packed slot; every field is cut to its size."""
    fields = (opcode & 0xFF, (src & 15) << 4 | dst & 15)
    return bytes(fields) + (offset & 0xFFFF).to_bytes(2, "little") + _word(imm)


def _word(value: int) -> bytes:
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


class Hostile:
    """Makes one program from a seed."""

    def __init__(self, seed: int, maps: tuple[int, ...]) -> None:
        self.random = random.Random(seed)
        self.maps = maps

    def program(self) -> bytes:
        r = self.random
        common = (self.noise, self.flipped, self.structured)
        kinds = (*common, self.calls, self.loops, self.pointers, self.tails)
        return r.choices(kinds, (40, 10, 15, 10, 10, 15, 10))[0]()

    def noise(self) -> bytes:
        """Random bytes."""
        return self.random.randbytes(self.random.randrange(1, 200))

    def flipped(self) -> bytes:
        """A structured program with a few bits turned."""
        code = bytearray(self.structured())
        for _ in range(self.random.randrange(1, 6)):
            code[self.random.randrange(len(code))] ^= 1 << self.random.randrange(8)
        return bytes(code)

    def structured(self) -> bytes:
        """Known instructions in any order, jumps to anywhere in (and now and then out)."""
        length = self.random.randrange(2, 24)
        return b"".join(self.any(length) for _ in range(length)) + _EXIT

    def register(self) -> int:
        r = self.random
        return r.randrange(11) if r.random() < 0.97 else r.randrange(16)

    def immediate(self) -> int:
        r = self.random
        return r.choice((0, 1, 8, 64, -1, -8, 255, 4096, r.getrandbits(32)))

    def any(self, length: int) -> bytes:
        r = self.random
        match r.choices(range(6), (8, 4, 6, 2, 3, 2))[0]:
            case 0:
                return self.alu()
            case 1:
                offset = r.randrange(-length, length)
                return self.operands(r.choice(_BRANCHES), self.register(), offset)
            case 2:
                return self.access()
            case 3:
                low, high = r.getrandbits(32), r.getrandbits(32)
                return self.load(r.randrange(10), low | high << 32)
            case 4:
                return self.helper()
            case _:
                return self.map(r.randrange(10))

    def operands(self, opcode: int, dst: int, offset: int) -> bytes:
        """An instruction whose operand is a register or a number, the other field empty."""
        if opcode & 8:
            return instruction(opcode, dst, self.register(), offset, 0)
        return instruction(opcode, dst, 0, offset, self.immediate())

    def alu(self) -> bytes:
        r = self.random
        opcode = r.choice(_ALU)
        signed = opcode >> 4 in (3, 9) and r.random() < 0.4
        return self.operands(opcode, r.randrange(10), 1 if signed else 0)

    def access(self, register: int | None = None) -> bytes:
        """A load, a store or an atomic operation, mostly on the stack if not told."""
        r = self.random
        base = register
        if base is None:
            base = 10 if r.random() < 0.4 else self.register()
        offset = r.choice((0, 0, 8, -8, -16, -512, -520, 511, 0x7FFF, -0x8000))
        match r.randrange(8):
            case 0 | 1 | 2:
                return instruction(r.choice(_LOADS), r.randrange(10), base, offset, 0)
            case 3 | 4:
                return instruction(r.choice(_STORES), base, self.register(), offset, 0)
            case 5:
                return instruction(r.choice(_STORES_OF_NUMBERS), base, 0, offset, self.immediate())
            case 6:
                opcode = r.choice((0xC3, 0xDB))
                return instruction(opcode, base, r.randrange(10), offset, r.choice(_ATOMICS))
            case _:
                opcode = r.choice((0x20, 0x28, 0x30))
                if r.random() < 0.5:
                    return instruction(opcode, 0, 0, 0, self.immediate())
                return instruction(opcode + 0x20, 0, r.randrange(10), 0, self.immediate())

    def load(self, dst: int, value: int) -> bytes:
        return instruction(0x18, dst, 0, 0, value) + instruction(0, 0, 0, 0, value >> 32)

    def map(self, dst: int) -> bytes:
        """A map, or the address of something in one, or beyond it."""
        r = self.random
        kind = r.choice((op.LoadKind.MAP_FD, op.LoadKind.MAP_FD, op.LoadKind.MAP_VALUE))
        number = r.choice(self.maps) if r.random() < 0.98 else r.getrandbits(31)
        offset = r.choice((0, 8, 64, 2**31)) if kind == op.LoadKind.MAP_VALUE else 0
        return instruction(0x18, dst, kind, 0, number) + instruction(0, 0, 0, 0, offset)

    def helper(self) -> bytes:
        """A helper call, its arguments sometimes of the right kind and mostly not."""
        r = self.random
        number = r.choice(HELPER_NUMBERS) if r.random() < 0.97 else r.randrange(300)
        arguments = b""
        for register in range(1, 6):
            match r.randrange(6):
                case 0:
                    arguments += self.map(register)
                case 1:
                    arguments += instruction(0xBF, register, 10, 0, 0)
                    arguments += instruction(0x07, register, 0, 0, -r.randrange(0, 600, 8))
                case 2:
                    arguments += instruction(0xB7, register, 0, 0, r.choice((0, 1, 8, 64, 4096)))
                case 3:
                    arguments += self.load(register, r.choice(_WILD) & (2**64 - 1))
                case 4:
                    arguments += instruction(0xBF, register, r.randrange(10), 0, 0)
        return arguments + instruction(0x85, 0, 0, 0, number)

    def calls(self) -> bytes:
        """Functions that call each other: chains too deep, cycles, callbacks of themselves."""
        r = self.random
        count = r.randrange(2, 12)
        bodies: list[list[bytes]] = []
        for number in range(count):
            body = [instruction(0xB7, 0, 0, 0, number)]
            body += [instruction(0x7B, 10, 0, -8 * r.randrange(1, 70), 0)]
            body += [b"call"] * r.randrange(1 + (number < count - 1), 3)
            if r.random() < 0.3:
                body.append(instruction(0x85, 0, 0, 0, r.choice(HELPER_NUMBERS)))
            bodies.append([*body, _EXIT])
        starts = [0]
        for body in bodies:
            starts.append(starts[-1] + len(body))
        cycles = r.random() < 0.2
        code = b""
        slot = 0
        for number, body in enumerate(bodies):
            for one in body:
                if one == b"call":
                    low = 0 if cycles else number + 1
                    target = starts[r.randrange(low, count)] if low < count else None
                    one = (
                        instruction(0xBF, 1, 10, 0, 0)
                        if target is None
                        else instruction(0x85, 0, 1, 0, target - slot - 1)
                    )
                code += one
                slot += 1
        return code

    def tails(self) -> bytes:
        """Tail calls through maps of any kind and through no maps, known to the compiler or not;
        where a slot could be taken for filled, there are numbers."""
        r = self.random
        code = instruction(0xB7, 4, 0, 0, 0)
        for _ in range(r.randrange(3)):
            code += instruction(0x7A, 4, 0, r.choice((0, 8, 12, 16, 56)), r.getrandbits(31))
        code += self.map(2) if r.random() < 0.8 else self.load(2, r.choice(_WILD) & (2**64 - 1))
        code += instruction(0xB7, 3, 0, 0, r.choice((0, 1, 4, 4096, -1)))
        if r.random() < 0.7:
            code += instruction(0x79, 4, 10, -8, 0) + instruction(0x57, 4, 0, 0, 0)
            code += instruction(0x0F, r.choice((2, 3)), 4, 0, 0)
        return code + instruction(0x85, 0, 0, 0, 12) + instruction(0xB7, 0, 0, 0, 0) + _EXIT

    def loops(self) -> bytes:
        """Loops, mostly endless, that store, call helpers and jump into each other."""
        r = self.random
        body = [self.access() for _ in range(r.randrange(1, 4))]
        body.append(self.alu())
        if r.random() < 0.5:
            body.append(self.helper())
        code = b"".join(body)
        slots = len(code) // 8
        back = (
            instruction(0x05, 0, 0, -slots - 1, 0),
            instruction(0x06, 0, 0, 0, -slots - 1),
            instruction(0x55, 1, 0, -slots - 1, 7),
            instruction(0x1D, 1, 2, -slots - 1, 0),
            instruction(0xE5, 0, 0, -slots - 1, 0),
        )
        return code + r.choice(back) + instruction(0xB7, 0, 0, 0, 0) + _EXIT

    def pointers(self) -> bytes:
        """Stores and loads at addresses from everywhere."""
        r = self.random
        code = b""
        for _ in range(r.randrange(1, 10)):
            register = r.randrange(10)
            code += self.load(register, (r.choice(_WILD) + r.randrange(-16, 16)) & (2**64 - 1))
            if r.random() < 0.3:
                code += instruction(0x0F, register, r.randrange(11), 0, 0)
            code += self.access(register)
        return code + instruction(0xB7, 0, 0, 0, 0) + _EXIT


class Target:
    """A vm with one map of each kind, and what must never change in it."""

    def __init__(self, optimised: int = 1) -> None:
        self.optimised = optimised  # the compiled code of one program in so many
        self.vm = Vm(memory=1 << 25, cpus=1)
        made = [
            self.vm.create_map(kind, key_size=k, value_size=v, max_entries=n, flags=_flags(kind))
            for kind, k, v, n in MAPS
        ]
        self.maps = tuple(held.id for held in made)
        self.headers = [self.vm.lifetimes.maps[number].header for number in self.maps]
        self.fixed = self.digest()

    def digest(self) -> bytes:
        """The map table and the constant part of the map headers."""
        digest = hashlib.blake2b(self.vm.memory.read(self.vm.map_table, 8 * (len(MAPS) + 2)))
        for header in self.headers:
            digest.update(self.vm.memory.read(header, layout.MAP_CONSTANTS_END))
        return digest.digest()

    def attempt(self, seed: int) -> list[str]:
        """What became of a program, on each executor."""
        values = random.Random(~seed)
        self.vm.need_jit().level = 0 if seed % self.optimised else 2
        code = Hostile(seed, self.maps).program()
        kind = values.choice(TYPES)
        data = values.randbytes(64)
        try:
            program = self.vm.load_program(code, type=kind)
        except OsmiaError:
            return ["refused"]
        outcomes = []
        for executor, strict in WAYS:
            try:
                program.run(data, executor=executor, strict=strict, budget=BUDGET)
                outcomes.append(f"{executor}{'' if strict else ', free'}: ended")
            except OsmiaError as error:
                outcomes.append(f"{executor}{'' if strict else ', free'}: {type(error).__name__}")
        self.vm.forget_programs()
        if self.digest() != self.fixed:
            raise AssertionError("control memory was changed")
        return outcomes


def _flags(kind: MapType) -> int:
    return 1 if kind is MapType.LPM_TRIE else 0


def main() -> int:
    given = campaign.options(__doc__ or "").parse_args()
    report = campaign.run(
        lambda: Target(given.optimised).attempt,
        given.seed,
        given.count,
        jobs=given.jobs,
        minutes=given.minutes,
        chunk=1000,
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
