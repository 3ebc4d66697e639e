"""Fuzzing of the rewriting passes: random objects, as they are and rewritten.

    python fuzz/rewriting.py --count 5000 --seed 1
    python fuzz/rewriting.py --count 2000 --kernel       # as root, under a second kernel

An object has a few programs in the slots of a prog array, with subprograms that call each
other, tail-call with constant and variable keys, keep values in all registers across calls,
have frames of their own and hand pointers into them down. It runs as it is and after each
pass (calls inlined, direct tail calls, dead code left out, tail calls that replace the
program) on the userspace engine, and in the kernel where its verifier takes the original.
Return values and global data must be equal.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import campaign

from osmia.errors import RewriteError, VerifierError
from osmia.isa import encode, parse_assembly
from osmia.object import (
    DataKind,
    DataSection,
    Function,
    Linkage,
    Map,
    MapType,
    Object,
    Program,
    ProgramType,
    Relocation,
    RelocationKind,
    Variable,
)

SLOTS = 6
WORDS = 16
SETTINGS = 4
PACKETS = (14, 20, 33, 64)
_ALU = ("+=", "-=", "*=", "|=", "&=", "^=", "<<=", ">>=", "s>>=")
_CONDITIONS = ("==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&")


@dataclass
class FunctionMaker:
    """One function: r6 is the context, r7 to r9 hold values that everything changes."""

    random: random.Random
    callees: list[str]
    program: bool
    lines: list[str] = field(default_factory=list)
    markers: list[tuple[str, RelocationKind, str, int]] = field(default_factory=list)
    labels: int = 0
    frame: int = 8

    def make(self, name: str) -> Function:
        r = self.random
        self.frame = 8 * r.choice((1, 2, 3, 5, 8, 8, 12, 20))
        self.emit("r6 = r1")
        if self.program:
            self.emit(
                "r7 = *(u32 *)(r1 +4)", "r8 = *(u32 *)(r1 +0)", "r7 -= r8", "r8 = 5", "r9 = 9"
            )
        else:
            self.emit("r7 = r2", "r8 = *(u64 *)(r3 +0)", "r9 = *(u64 *)(r3 +8)")
            self.emit("r8 += 1", "*(u64 *)(r3 +8) = r8")
        for offset in range(8, self.frame + 1, 8):
            self.emit(f"*(u64 *)(r10 -{offset}) = r{r.randrange(7, 10)}")
        for _ in range(r.randrange(2, 9)):
            self.statement(2)
        self.emit(f"r0 = r{r.randrange(7, 10)}", "r0 ^= r7", "exit")
        return self.function(name)

    def function(self, name: str) -> Function:
        assembly = parse_assembly("\n".join(self.lines))
        relocations = tuple(
            sorted(
                Relocation(8 * assembly.labels[label], kind, target, addend)
                for label, kind, target, addend in self.markers
            )
        )
        linkage = Linkage.GLOBAL if self.program else Linkage.STATIC
        code = encode(assembly.instructions)
        section = "xdp" if self.program else ".text"
        return Function(name, section, code, relocations, linkage=linkage)

    def emit(self, *lines: str) -> None:
        self.lines.extend(lines)

    def label(self) -> str:
        self.labels += 1
        return f"L{self.labels}"

    def marked(self, line: str, kind: RelocationKind, target: str, addend: int = 0) -> None:
        """An instruction with a relocation."""
        label = self.label()
        self.emit(f"{label}: {line}")
        self.markers.append((label, kind, target, addend))

    def value(self) -> str:
        return f"r{self.random.randrange(7, 10)}"

    def statement(self, depth: int) -> None:
        r = self.random
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.arithmetic, 6),
            (self.stack, 4),
            (self.data, 3),
            (self.frame_pointer, 2),
            (self.call, 6 if self.callees else 0),
            (self.tail_call, 2),
            (lambda: self.branch(depth), 4 if depth else 0),
            (lambda: self.setting(depth), 2 if depth else 0),
            (lambda: self.loop(depth), 1 if depth == 2 else 0),
        ]
        r.choices([k for k, _ in kinds], [w for _, w in kinds])[0]()

    def arithmetic(self) -> None:
        r = self.random
        operation = r.choice(_ALU)
        name = r.choice("rw")
        left = r.randrange(7, 10)
        if r.random() < 0.5 and operation not in ("<<=", ">>=", "s>>="):
            self.emit(f"{name}{left} {operation} {name}{r.randrange(7, 10)}")
        else:
            number = (
                r.randrange(31) if "<" in operation or ">" in operation else r.randrange(-99, 999)
            )
            self.emit(f"{name}{left} {operation} {number}")

    def slot(self) -> int:
        return 8 * self.random.randrange(1, self.frame // 8 + 1)

    def stack(self) -> None:
        r = self.random
        if r.random() < 0.5:
            self.emit(f"*(u64 *)(r10 -{self.slot()}) = {self.value()}")
        else:
            self.emit(f"{self.value()} = *(u64 *)(r10 -{self.slot()})")

    def frame_pointer(self) -> None:
        """The frame pointer in other uses than as the base of an access."""
        offset = self.slot()
        match self.random.randrange(3):
            case 0:
                self.emit("r2 = r10", f"r2 += -{offset}", f"*(u64 *)(r2 +0) = {self.value()}")
            case 1:
                self.emit(f"r2 = -{offset}", "r2 += r10", f"{self.value()} = *(u64 *)(r2 +0)")
            case 2:  # a pointer to the frame in the frame
                other = self.slot()
                self.emit("r2 = r10", f"r2 += -{offset}", f"*(u64 *)(r10 -{other}) = r2")
                self.emit(f"r3 = *(u64 *)(r10 -{other})", f"*(u64 *)(r10 -{other}) = r7")
                self.emit(f"{self.value()} = *(u64 *)(r3 +0)")

    def data(self) -> None:
        r = self.random
        self.marked("r1 = 0 ll", RelocationKind.DATA, ".bss", 8 * r.randrange(WORDS))
        value = self.value()
        self.emit("r2 = *(u64 *)(r1 +0)", f"r2 ^= {value}", "r2 += 1", "*(u64 *)(r1 +0) = r2")
        if r.random() < 0.5:
            self.emit(f"{value} = r2")

    def call(self) -> None:
        r = self.random
        if self.frame < 16:
            return
        offset = 8 * r.randrange(2, self.frame // 8 + 1)
        self.emit(f"*(u64 *)(r10 -{offset}) = {self.value()}")
        self.emit(f"*(u64 *)(r10 -{offset - 8}) = {self.value()}")
        self.emit("r1 = r6", f"r2 = {self.value()}", "r3 = r10", f"r3 += -{offset}")
        self.marked("call pc-1", RelocationKind.CALL, r.choice(self.callees))
        if r.random() < 0.2:  # sometimes it is the last thing that is done
            past = self.label()
            self.emit(f"if {self.value()} == 7 goto {past}", "exit", f"{past}:")
        self.emit(f"{self.value()} {r.choice(('=', '^=', '+='))} r0")

    def tail_call(self) -> None:
        r = self.random
        self.emit("r1 = r6")
        self.marked("r2 = 0 ll", RelocationKind.MAP, "progs")
        match r.randrange(4):
            case 0:
                self.emit(f"r3 = {r.randrange(SLOTS + 1)}")
            case 1:
                self.emit(f"r3 = {self.value()}", "r3 &= 3")
            case 2:
                self.emit(f"r3 = {self.value()}", "r3 &= 15")
            case 3:
                self.emit(f"r3 = {self.value()}", f"r3 <<= {r.choice((0, 33))}")
        self.emit("call bpf_tail_call")

    def branch(self, depth: int) -> None:
        r = self.random
        other, end = self.label(), self.label()
        right = self.value() if r.random() < 0.4 else str(r.randrange(-9, 99))
        self.emit(f"if {self.value()} {r.choice(_CONDITIONS)} {right} goto {other}")
        self.statement(depth - 1)
        if r.random() < 0.5:
            self.emit(f"goto {end}", f"{other}:")
            self.statement(depth - 1)
            self.emit(f"{end}:")
        else:
            self.emit(f"{other}:")

    def setting(self, depth: int) -> None:
        """What runs only with one value of read-only data."""
        r = self.random
        other = self.label()
        self.marked("r1 = 0 ll", RelocationKind.DATA, ".rodata", 4 * r.randrange(SETTINGS))
        self.emit("r1 = *(u32 *)(r1 +0)")
        self.emit(f"if r1 {r.choice(('==', '!=', '>', '<'))} {r.randrange(3)} goto {other}")
        for _ in range(r.randrange(1, 3)):
            self.statement(depth - 1)
        self.emit(f"{other}:")

    def loop(self, depth: int) -> None:
        again = self.label()
        self.frame += 8
        at = self.frame
        self.frame += 8  # nobody's but the loop's: `slot` takes what was there before
        self.emit(f"*(u64 *)(r10 -{at}) = {self.random.randrange(1, 4)}", f"{again}:")
        self.frame = at - 8
        self.statement(0)
        self.emit(f"r1 = *(u64 *)(r10 -{at})", "r1 += -1", f"*(u64 *)(r10 -{at}) = r1")
        self.emit(f"if r1 != 0 goto {again}")


def make_object(values: random.Random) -> Object:
    """A random object."""
    names = [f"f{n}" for n in range(values.randrange(1, 6))]
    functions: dict[str, Function] = {}
    for number, name in enumerate(names):
        maker = FunctionMaker(values, names[number + 1 :], program=False)
        functions[name] = maker.make(name)
    programs = {}
    for number in range(values.randrange(1, 4)):
        name = f"p{number}"
        functions[name] = FunctionMaker(values, names, program=True).make(name)
        programs[name] = Program(name, name, "xdp", ProgramType.XDP)
    slots = {key: values.choice(sorted(programs)) for key in range(SLOTS) if values.random() < 0.6}
    settings = b"".join(values.randrange(3).to_bytes(4, "little") for _ in range(SETTINGS))
    sections = {
        ".bss": DataSection(
            ".bss", DataKind.BSS, bytearray(8 * WORDS), {"words": Variable("words", 0, 8 * WORDS)}
        ),
        ".rodata": DataSection(
            ".rodata",
            DataKind.RODATA,
            bytearray(settings),
            {"settings": Variable("settings", 0, 4 * SETTINGS)},
        ),
    }
    array = Map("progs", MapType.PROG_ARRAY, 4, 4, SLOTS, slots=tuple(slots.items()))
    return Object(
        "fuzz",
        license="GPL",
        functions=functions,
        programs=programs,
        maps={"progs": array},
        data_sections=sections,
    )


Runs = list[tuple[int, bytes]]
PASSES: Mapping[str, dict[str, Any]] = {
    "inline": {"calls": "inline"},
    "direct": {"direct_tail_calls": True},
    "prune": {"prune": True, "keep": ("p0",)},
    "all": {"calls": "inline", "direct_tail_calls": True, "prune": True, "keep": ("p0",)},
}


def runs(obj: Object, engine: str, **options: Any) -> Runs:
    """What runs of its first program leave: return value and global data, after each packet."""
    found = []
    with obj.load(engine, **options) as loaded:
        for size in PACKETS:
            retval = loaded.programs["p0"].run(bytes(size)).retval
            found.append((retval, bytes(loaded.data["words"])))
    return found


class Rewriting:
    """Tries seeds."""

    def __init__(self, *, kernel: bool = False, executors: tuple[bool, ...] = (False,)) -> None:
        self.kernel = kernel
        self.executors = executors

    def __call__(self, seed: int) -> list[str]:
        obj = make_object(random.Random(seed))
        if self.kernel:
            return self._compare(with_types(obj), "kernel", {})
        outcomes = [self._compare(obj, "vm", {"jit": jit}) for jit in self.executors]
        outcomes.append(self._compare_program(obj))
        return [each for some in outcomes for each in some]

    def _compare(self, obj: Object, engine: str, options: dict[str, Any]) -> list[str]:
        """Each pass against the object as it is."""
        try:
            wanted = runs(obj, engine, **options)
        except VerifierError as error:
            return [f"{engine}: refused ({(error.strerror or '')[:20]})"]
        done = [f"{engine}: taken"]
        for name, passes in PASSES.items():
            try:
                found = runs(obj, engine, **options, **passes)
            except RewriteError:
                done.append(f"{engine} {name}: cannot be rewritten")
                continue
            self._check(f"{engine}, {name}", wanted, found)
            done.append(f"{engine} {name}: equal")
        return done

    def _compare_program(self, obj: Object) -> list[str]:
        """Tail calls that replace the program: the vm's own against the pass."""
        from osmia.passes.calls import rewrite_calls
        from osmia.passes.target import Target

        wanted = runs(obj, "vm", jit=False, tail_calls="program")
        try:
            rewritten = rewrite_calls(obj, Target(), "keep", "program")
        except RewriteError:
            return ["program: cannot be rewritten"]
        self._check("tail_calls='program'", wanted, runs(rewritten, "vm", jit=False))
        return ["program: equal"]

    @staticmethod
    def _check(what: str, wanted: Runs, found: Runs) -> None:
        if wanted != found:
            raise campaign.Difference(f"{what}:\n{wanted}\n{found}")


def with_types(obj: Object) -> Object:
    """The same with a prototype for each function: without, the kernel takes no tail call in
    subprograms."""
    from dataclasses import replace

    from osmia.btf import BTFBuilder, IntEncoding

    types = BTFBuilder()
    integer = types.add_int("int", 4, IntEncoding.SIGNED)
    long_ = types.add_int("long", 8, IntEncoding.SIGNED)
    pointer = types.add_ptr(long_)
    context = types.add_ptr(types.add_struct("xdp_md", 24))
    functions = {}
    for key, function in obj.functions.items():
        program = key in obj.programs
        parameters = (
            [("ctx", context)] if program else [("c", context), ("v", long_), ("p", pointer)]
        )
        prototype = types.add_func_proto(integer, parameters)
        identifier = types.add_func(key, prototype, int(function.linkage))
        functions[key] = replace(function, btf_id=identifier)
    return obj.copy(functions=functions, btf=types.build())


def main() -> int:
    parser = campaign.options(__doc__ or "")
    parser.add_argument("--kernel", action="store_true", help="in the kernel (as root)")
    parser.add_argument("--jit", action="store_true", help="compiled, too")
    given = parser.parse_args()
    executors = (False, True) if given.jit else (False,)
    report = campaign.run(
        lambda: Rewriting(kernel=given.kernel, executors=executors),
        given.seed,
        given.count,
        jobs=given.jobs,
        minutes=given.minutes,
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
