"""Random objects whose programs and subprograms call and tail-call, for fuzz/rewriting.py.

A few programs in the slots of a prog array, with subprograms that call each other, tail-call with
constant and variable keys, keep values in all registers across calls, have frames of their own
and hand pointers into them down.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from osmia.btf import BTFBuilder, IntEncoding
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
_ALU = ("+=", "-=", "*=", "|=", "&=", "^=", "<<=", ">>=", "s>>=")
_CONDITIONS = ("==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&")


@dataclass
class FunctionMaker:
    """One function: r6 is the context, r7 to r9 hold values that everything changes."""

    random: random.Random
    callees: list[str]
    program: bool
    tail_calls: bool = True
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
            (self.tail_call, 2 if self.tail_calls else 0),
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


def make_object(values: random.Random, *, cycles: bool = True) -> Object:
    """A random object.

    Without `cycles`, tail calls in subprograms lead to programs from which no subprogram tail-calls
    again: it ends where the kernel counts them as `callers_count_tail_calls` describes.
    """
    functions: dict[str, Function] = {}

    def subprograms(prefix: str, *, tail_calls: bool) -> list[str]:
        names = [f"{prefix}{n}" for n in range(values.randrange(1, 6))]
        for number, name in enumerate(names):
            maker = FunctionMaker(values, names[number + 1 :], False, tail_calls)
            functions[name] = maker.make(name)
        return names

    names = subprograms("f", tail_calls=True)
    others = names if cycles else subprograms("g", tail_calls=False)
    programs = []
    for number in range(values.randrange(1, 4) if cycles else values.randrange(2, 4)):
        name = f"p{number}"
        callees = others if number else names
        functions[name] = FunctionMaker(values, callees, program=True).make(name)
        programs.append(name)
    targets = programs if cycles else programs[1:]
    slots = {key: values.choice(targets) for key in range(SLOTS) if values.random() < 0.6}
    settings = b"".join(values.randrange(3).to_bytes(4, "little") for _ in range(SETTINGS))
    return _object(functions, slots, settings)


def _object(functions: dict[str, Function], slots: dict[int, str], settings: bytes) -> Object:
    """Those functions, of which the ones in section xdp are programs."""
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
        programs={
            name: Program(name, name, "xdp", ProgramType.XDP)
            for name, function in functions.items()
            if function.section == "xdp"
        },
        maps={"progs": array},
        data_sections=sections,
    )


def twice_into_itself(entries: int) -> Object:
    """A program that calls a subprogram twice, and the subprogram tail-calls the program, as long
    as it was not entered that many times. The first of its `words` counts this.
    """
    program = FunctionMaker(random.Random(0), [], program=True)
    program.emit("r6 = r1")
    program.marked("r1 = 0 ll", RelocationKind.DATA, ".bss")
    program.emit("r2 = *(u64 *)(r1 +0)", "r2 += 1", "*(u64 *)(r1 +0) = r2")
    for _ in range(2):
        program.emit("r1 = r6", "r2 = 0", "r3 = 0")
        program.marked("call pc-1", RelocationKind.CALL, "f0")
    program.emit("r0 = 2", "exit")
    subprogram = FunctionMaker(random.Random(0), [], program=False)
    subprogram.emit("r6 = r1")
    subprogram.marked("r1 = 0 ll", RelocationKind.DATA, ".bss")
    subprogram.emit("r2 = *(u64 *)(r1 +0)", f"if r2 >= {entries} goto past", "r1 = r6")
    subprogram.marked("r2 = 0 ll", RelocationKind.MAP, "progs")
    subprogram.emit("r3 = 0", "call bpf_tail_call", "past:", "r0 = 0", "exit")
    functions = {"f0": subprogram.function("f0"), "p0": program.function("p0")}
    return _object(functions, {0: "p0"}, bytes(4 * SETTINGS))


def with_types(obj: Object) -> Object:
    """The same with a prototype for each function: without, the kernel takes no tail call in
    subprograms."""
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
