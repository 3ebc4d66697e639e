"""Differential fuzzing of the userspace engine: random valid programs, four executors.

    python fuzz/vm_programs.py --count 20000 --seed 1
    python fuzz/vm_programs.py --accepted 20000 --jobs 2

Each program that the kernel's verifier accepts runs on the kernel, the interpreter (strict), as
generated Python and compiled, on the same random packet and maps. Return value, packet and map
contents must be equal. A difference prints the seed and the program, and the exit status is 1.

Programs run in child processes, so that the run outlives what it finds.
"""

from __future__ import annotations

import random
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import campaign

from osmia.errors import OsmiaError, VerifierError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType

PACKET = 64
STACK = 64
VALUE = 64
PROGRAMS = 100
"""As many stay loaded in a vm."""
SCALARS = (1, 2, 3, 4, 5)
MAPS = {
    "out": (MapType.ARRAY, 4, 64, 1),
    "array": (MapType.ARRAY, 4, VALUE, 4),
    "hash": (MapType.HASH, 8, VALUE, 8),
    "lru": (MapType.LRU_HASH, 4, 8, 64),
    "percpu": (MapType.PERCPU_ARRAY, 4, 8, 2),
    "progs": (MapType.PROG_ARRAY, 4, 4, 4),
}
_SIZES = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_ALU = ("+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=")
_CONDITIONS = ("==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&")
_IMMEDIATES = (0, 1, 2, 7, 8, 31, 32, 63, 255, 256, 65535, -1, -2, -128, 2**31 - 1, -(2**31))


@dataclass
class Generator:
    """Makes one program; r6 is the context, r7 the packet, r8 a loop's counter, r9 a value."""

    random: random.Random
    lines: list[str] = field(default_factory=list)
    labels: int = 0
    functions: int = 0
    called: set[int] = field(default_factory=set)

    def program(self) -> str:
        """The text of a program; maps are written {name}."""
        r = self.random
        self.functions = r.randrange(4)
        self.emit(
            "r6 = r1",
            "r7 = *(u32 *)(r1 +0)",
            "r2 = *(u32 *)(r1 +4)",
            "r3 = r7",
            f"r3 += {PACKET}",
            "if r3 > r2 goto out",
            "r9 = map[fd:{out}][0]+0",
        )
        for offset in range(8, STACK + 1, 8):
            self.emit(f"*(u64 *)(r10 -{offset}) = {self.immediate()}")
        self.scalars()
        for _ in range(r.randrange(4, 30)):
            self.statement(2)
        self.emit("r9 = map[fd:{out}][0]+0")
        for register in SCALARS:
            self.emit(f"*(u64 *)(r9 +{8 * register}) = r{register}")
        self.emit("r0 = r1", "r0 ^= r3", "exit", "out: r0 = 0", "exit")
        for number in range(self.functions):
            if number in self.called:  # others are unreachable: the verifier refuses them
                self.function(number)
        return "\n".join(self.lines)

    def emit(self, *lines: str) -> None:
        self.lines.extend(lines)

    def label(self) -> str:
        self.labels += 1
        return f"L{self.labels}"

    def immediate(self) -> int:
        r = self.random
        return r.choice(_IMMEDIATES) if r.random() < 0.6 else r.randrange(-(2**31), 2**31)

    def scalar(self) -> int:
        return self.random.choice(SCALARS)

    def scalars(self, *but: int) -> None:
        """Give every scalar register a value: calls leave none in them."""
        r = self.random
        for register in SCALARS:
            if register in but:
                continue
            match r.randrange(3):
                case 0:
                    self.emit(f"r{register} = {self.immediate()}")
                case 1:
                    self.emit(f"r{register} = {r.getrandbits(64):#x} ll")
                case 2:
                    self.emit(f"r{register} = *(u64 *)(r10 -{8 * r.randrange(1, 9)})")

    def statement(self, depth: int) -> None:
        r = self.random
        choices = [
            (self.arithmetic, 10),
            (self.moves, 4),
            (self.stack, 4),
            (self.packet, 4),
            (self.indexed_packet, 1),
            (self.value, 3),
            (self.indexed_value, 1),
            (self.atomic, 3),
            (self.lookup, 3),
            (self.update, 2),
            (self.call, 2),
            (self.tail_call, 1),
        ]
        if depth:
            choices += [(lambda: self.branch(depth), 4), (lambda: self.loop(depth), 2)]
        actions, weights = zip(*choices, strict=True)
        r.choices(actions, weights)[0]()

    def arithmetic(self) -> None:
        r = self.random
        wide = r.random() < 0.6
        name = "r" if wide else "w"
        operation = r.choice(_ALU)
        target = f"{name}{self.scalar()}"
        if r.random() < 0.5:
            self.emit(f"{target} {operation} {name}{self.scalar()}")
            return
        value = self.immediate()
        if operation in ("<<=", ">>=", "s>>="):
            value = r.randrange(64 if wide else 32)
        elif operation in ("/=", "%=", "s/=", "s%=") and not value:
            value = 3
        self.emit(f"{target} {operation} {value}")

    def moves(self) -> None:
        r = self.random
        a, b = self.scalar(), self.scalar()
        self.emit(
            r.choice(
                [
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
                ]
            )
        )

    def access(self, base: str, room: int, low: int) -> None:
        """A load or store of any size inside `room` bytes from `base` + `low`."""
        r = self.random
        size = r.choice((1, 2, 4, 8))
        offset = low + r.randrange(0, room - size + 1) // size * size
        place = f"({base} {'+' if offset >= 0 else '-'}{abs(offset)})"
        match r.randrange(4):
            case 0:
                self.emit(f"r{self.scalar()} = *({_SIZES[size]} *){place}")
            case 1:
                small = min(size, 4)
                self.emit(f"r{self.scalar()} = *(s{8 * small} *){place}")
            case 2:
                self.emit(f"*({_SIZES[size]} *){place} = r{self.scalar()}")
            case 3:
                self.emit(f"*({_SIZES[size]} *){place} = {self.immediate()}")

    def stack(self) -> None:
        self.access("r10", STACK, -STACK)

    def packet(self) -> None:
        self.access("r7", PACKET, 0)

    def indexed_packet(self) -> None:
        """An access at an offset known only when it runs, checked against the packet's end."""
        skip = self.label()
        self.emit(
            f"r1 &= {self.random.choice((7, 31, 127))}",
            "r2 = r7",
            "r2 += r1",
            "r3 = r2",
            "r3 += 8",
            "r4 = *(u32 *)(r6 +4)",
            f"if r3 > r4 goto {skip}",
        )
        self.indexed(skip)

    def indexed_value(self) -> None:
        """An access at an offset into a value that is known only when it runs."""
        self.emit(f"r1 &= {VALUE // 2 - 1}", "r2 = r9", "r2 += r1")
        self.indexed(self.label())

    def indexed(self, end: str) -> None:
        size = self.random.choice((1, 2, 4, 8))
        self.emit(
            self.random.choice(
                [
                    f"r1 = *({_SIZES[size]} *)(r2 +0)",
                    f"*({_SIZES[size]} *)(r2 +0) = r5",
                    f"*({_SIZES[size]} *)(r2 +0) = {self.immediate()}",
                ]
            ),
            f"{end}:",
        )
        self.scalars(1, 5)

    def value(self) -> None:
        self.access("r9", VALUE, 0)

    def atomic(self) -> None:
        r = self.random
        size = r.choice((4, 8))
        base = r.choice(("r10", "r9"))
        offset = r.randrange(STACK // 8) * 8 - (STACK if base == "r10" else 0)
        place = f"({_SIZES[size]} *)({base} {'+' if offset >= 0 else '-'}{abs(offset)})"
        name = "atomic64" if size == 8 else "atomic"
        register = self.scalar()
        operation = r.choice(("add", "or", "and", "xor"))
        symbol = {"add": "+=", "or": "|=", "and": "&=", "xor": "^="}[operation]
        match r.randrange(4):
            case 0:
                self.emit(f"lock *{place} {symbol} r{register}")
            case 1:
                self.emit(f"r{register} = {name}_fetch_{operation}({place}, r{register})")
            case 2:
                self.emit(f"r{register} = {name}_xchg({place}, r{register})")
            case 3:
                self.emit(f"r0 = r{self.scalar()}")
                self.emit(f"r0 = {name}_cmpxchg({place}, r0, r{register})", f"r{register} = r0")

    def key(self, name: str) -> None:
        """A key at r10 - 72 and its address in r2, the map in r1."""
        kind, key_size, _, entries = MAPS[name]
        number = self.random.randrange(entries + 1 if kind is not MapType.LRU_HASH else 16)
        self.emit(
            f"*({_SIZES[key_size]} *)(r10 -72) = {number}",
            "r2 = r10",
            "r2 += -72",
            f"r1 = map[fd:{{{name}}}]",
        )

    def lookup(self) -> None:
        """Look a value up; r9 is it afterwards, or the globals when there is none."""
        name = self.random.choice(("array", "hash", "array", "hash", "lru", "percpu"))
        self.key(name)
        skip = self.label()
        self.emit("call bpf_map_lookup_elem")
        if MAPS[name][2] == VALUE:
            self.emit("r9 = map[fd:{out}][0]+0", f"if r0 == 0 goto {skip}", "r9 = r0", f"{skip}:")
            self.scalars()
        else:
            self.emit("r3 = 5", f"if r0 == 0 goto {skip}", "r3 = *(u64 *)(r0 +0)")
            self.emit("r3 += 1", "*(u64 *)(r0 +0) = r3", f"{skip}:")
            self.scalars(3)

    def update(self) -> None:
        """Change or delete an entry; the result goes to r3."""
        r = self.random
        name = r.choice(("array", "hash", "hash", "lru", "percpu"))
        self.key(name)
        if r.random() < 0.3:
            self.emit("call bpf_map_delete_elem", "r3 = r0")
        else:
            self.emit("r3 = r10", f"r3 += -{STACK}", f"r4 = {r.choice((0, 0, 0, 1, 2, 3))}")
            self.emit("call bpf_map_update_elem", "r3 = r0")
        # A value whose entry was replaced may still be used under RCU, but strict mode reports it.
        self.emit("r9 = map[fd:{out}][0]+0")
        self.scalars(3)

    def call(self) -> None:
        r = self.random
        if self.functions and r.random() < 0.8:
            self.call_of(r.randrange(self.functions))
            self.scalars(1)

    def call_of(self, number: int) -> None:
        self.called.add(number)
        self.emit(f"call f{number}", "r1 = r0")

    def tail_call(self) -> None:
        r = self.random
        self.emit("r1 = r6", "r2 = map[fd:{progs}]")
        if r.random() < 0.5:
            self.emit(f"r3 = {r.randrange(6)}")
        else:
            self.emit(f"r3 = *(u8 *)(r7 +{r.randrange(PACKET)})", "r3 &= 7")
        self.emit("call bpf_tail_call")
        self.scalars()

    def condition(self) -> str:
        r = self.random
        name = r.choice("rw")
        left, operation = f"{name}{self.scalar()}", r.choice(_CONDITIONS)
        right = f"{name}{self.scalar()}" if r.random() < 0.5 else str(self.immediate())
        return f"{left} {operation} {right}"

    def branch(self, depth: int) -> None:
        r = self.random
        otherwise, end = self.label(), self.label()
        self.emit(f"if {self.condition()} goto {otherwise}")
        for _ in range(r.randrange(1, 4)):
            self.statement(depth - 1)
        if r.random() < 0.5:
            self.emit(f"goto {end}", f"{otherwise}:")
            for _ in range(r.randrange(1, 4)):
                self.statement(depth - 1)
            self.emit(f"{end}:")
        else:
            self.emit(f"{otherwise}:")

    def loop(self, depth: int) -> None:
        """A loop of a few rounds; its counter is on the stack where nobody else writes."""
        if depth < 2:
            return
        again = self.label()
        self.emit(f"r8 = {self.random.randrange(1, 6)}", f"{again}:")
        for _ in range(self.random.randrange(1, 4)):
            self.statement(0)
        self.emit("r8 += -1", f"if r8 != 0 goto {again}")

    def function(self, number: int) -> None:
        """A subprogram of five scalars."""
        self.emit(f"f{number}:")
        for offset in range(8, STACK + 1, 8):
            self.emit(f"*(u64 *)(r10 -{offset}) = r{self.scalar()}")
        for _ in range(self.random.randrange(2, 10)):
            self.random.choice((self.arithmetic, self.moves, self.stack, self.arithmetic))()
        if number + 1 < self.functions and self.random.random() < 0.4:
            self.call_of(self.random.randrange(number + 1, self.functions))
            self.scalars(1)
        self.emit(f"r0 = r{self.scalar()}", f"r0 += r{self.scalar()}", "exit")


TAIL_TARGETS = (
    "r0 = *(u32 *)(r1 +4)\nr2 = *(u32 *)(r1 +0)\nr0 -= r2\nexit",
    "r9 = map[fd:{out}][0]+0\nr2 = 77\nlock *(u64 *)(r9 +56) += r2\nr6 = r1\n"
    "r2 = map[fd:{progs}]\nr3 = 1\ncall bpf_tail_call\nr0 = 9\nexit",
)


@dataclass(frozen=True)
class Outcome:
    """What a run left: return value, packet, maps."""

    retval: int
    data: bytes
    maps: dict[str, Any]


def contents(maps: dict[str, Any]) -> dict[str, Any]:
    """Every map's entries; of per-CPU values the sum, for runs differ in their CPU."""
    found: dict[str, Any] = {}
    for name in MAPS:
        if name == "percpu":
            found[name] = {k: sum(v) for k, v in maps[name].items()}
        elif name != "progs":
            found[name] = dict(maps[name].items())
    return found


def seeded(maps: dict[str, Any], values: random.Random) -> None:
    """The same contents in any engine's maps."""
    maps["out"][0] = bytes(64)
    for key in range(4):
        maps["array"][key] = values.randbytes(VALUE)
    for key in values.sample(range(8), 4):
        maps["hash"][key] = values.randbytes(VALUE)
    for key in values.sample(range(16), 6):
        maps["lru"][key] = values.getrandbits(64)


class Engines:
    """The kernel's and a vm's maps, made once and emptied for each program."""

    def __init__(self, stack: ExitStack, *, kernel: bool = True) -> None:
        from osmia.vm.engine import Vm

        self.kernel = kernel
        self.vm = stack.enter_context(Vm(memory=1 << 26, cpus=2))
        self.vm_maps: dict[str, Any] = {
            name: self.vm.create_map(kind, key_size=k, value_size=v, max_entries=n, name=name)
            for name, (kind, k, v, n) in MAPS.items()
        }
        self.kernel_maps: dict[str, Any] = {}
        if kernel:
            from osmia.engine.maps import Map

            for name, (kind, k, v, n) in MAPS.items():
                made = Map.create(kind, key_size=k, value_size=v, max_entries=n, name=name)
                self.kernel_maps[name] = stack.enter_context(made)
            for index, target in enumerate(TAIL_TARGETS):
                program = stack.enter_context(self.kernel_load(target))
                self.kernel_maps["progs"][index] = program

        self.renew()

    def renew(self) -> None:
        """Forget the vm's programs but the tail call targets."""
        self.vm.forget_programs()
        for index, target in enumerate(TAIL_TARGETS):
            self.vm_maps["progs"][index] = self.load(target)

    def load(self, text: str) -> Any:
        """A program in the vm; its tail calls find the targets in the prog array."""
        numbers = {name: held.id for name, held in self.vm_maps.items()}
        return self.vm.load_program(assemble(text.format(**numbers)), type=ProgramType.XDP)

    def kernel_load(self, text: str) -> Any:
        """The same in the kernel. Raises VerifierError."""
        from osmia.kernel.programs.program import KernelProgram

        numbers = {name: held.fileno() for name, held in self.kernel_maps.items()}
        code = assemble(text.format(**numbers))
        return KernelProgram.load(ProgramType.XDP, code, license="GPL")

    def run(self, program: Any, seed: int, executor: str) -> Outcome:
        """Run a program from the state that a seed gives."""
        values = random.Random(seed)
        kernel = executor == "kernel"
        maps = self.kernel_maps if kernel else self.vm_maps
        for name in ("hash", "lru", "percpu"):
            maps[name].clear()
        seeded(maps, values)
        packet = values.randbytes(values.randrange(PACKET, 128))
        result = program.run(packet, **({} if kernel else {"executor": executor}))
        return Outcome(result.retval, result.data, contents(maps))


def check(engines: Engines, seed: int) -> str | None:
    """One program on all executors: None when the kernel does not take it, else "" or what
    differs."""
    text = Generator(random.Random(seed)).program()
    outcomes: dict[str, Any] = {}
    if engines.kernel:
        try:
            with engines.kernel_load(text) as program:
                outcomes["kernel"] = engines.run(program, seed, "kernel")
        except VerifierError:
            return None
    program = engines.load(text)
    for executor in ("interpreter", "generated", "jit"):
        try:
            outcomes[executor] = engines.run(program, seed, executor)
        except OsmiaError as error:
            outcomes[executor] = error
    first = next(iter(outcomes.values()))
    if all(outcome == first for outcome in outcomes.values()):
        return ""
    return "\n".join([text, *(f"{n}: {o}" for n, o in outcomes.items())])


def attempts(*, kernel: bool, optimised: int) -> campaign.Attempt:
    """What checks seeds in one process, one in `optimised` of them with optimised code."""
    engines = Engines(ExitStack(), kernel=kernel)

    def attempt(seed: int) -> list[str]:
        engines.vm.need_jit().level = 0 if seed % optimised else 2
        difference = check(engines, seed)
        if len(engines.vm.programs) > PROGRAMS:
            engines.renew()
        if difference:
            raise campaign.Difference(difference)
        if difference is None:
            return ["refused by the verifier"]
        return ["accepted", "of these not optimised" if seed % optimised else "of these optimised"]

    return attempt


def main() -> int:
    parser = campaign.options(__doc__ or "")
    parser.add_argument("--accepted", type=int, default=0, help="go on until so many were taken")
    parser.add_argument("--no-kernel", action="store_true")
    given = parser.parse_args()
    report = campaign.run(
        lambda: attempts(kernel=not given.no_kernel, optimised=given.optimised),
        given.seed,
        None if given.accepted else given.count,
        enough=lambda report: 0 < given.accepted <= report.outcomes["accepted"],
        jobs=given.jobs,
        minutes=given.minutes,
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
