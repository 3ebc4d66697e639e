"""A program with every kind of variable, and what a run of it shows at its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import osmia
from osmia.debugger.origins import Origins
from osmia.debugger.values import Variable
from osmia.debugger.variables import DebugInformation, Level
from osmia.formats.open import read_elf
from osmia.object.model import Object
from osmia.toolchain import compile as compile_file
from osmia.vm.interpreter import Frame, Interpreter

_MEMORY = 1 << 21
"""Bytes in which all is that the programs here use."""

SOURCE = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum kind { KIND_LOW = 1, KIND_HIGH = 7 };
struct point { int x; int y; };
struct flow {
    __u32 id;
    char name[8];
    struct point where;
    enum kind kind;
};
struct bits { __u8 low : 3, high : 5; __s8 small : 4; };
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct flow);
} flows SEC(".maps");

int total;
static int calls = 40;

#define keep(value) asm volatile("r0 = %0" : : "r"(value) : "r0", "memory")

static __always_inline int scaled(int value, int factor)
{
    int doubled = value * 2;
    keep(doubled);
    if (doubled > 10) {
        int inner = doubled * factor;
        keep(inner);                      /* in scaled */
        return inner;
    }
    return doubled;
}

static __always_inline int twice(int number)
{
    int first = scaled(number, 3);
    keep(first);                          /* in twice */
    return first;
}

static __noinline int summed(struct flow *flow, int count)
{
    volatile int sum = 0;
    static int often;
    int i;

    for (i = 0; i < count && i < 4; i++)
        sum += flow->name[i & 7];         /* in the loop */
    often++;
    return sum;                           /* after the loop */
}

SEC("xdp") int prog(struct xdp_md *ctx)
{
    struct flow flow = {};
    volatile struct bits bits = {};
    struct point points[3] = {{1, 2}, {3, 4}, {5, 6}};
    int unused = 12;
    __u32 key = 1;
    long result;

    flow.id = 0x12345678;
    bits.low = 5;
    bits.high = 17;
    bits.small = -3;
    flow.where.y = -9;
    flow.kind = KIND_HIGH;
    __builtin_memcpy(flow.name, "bee", 4);
    bpf_map_update_elem(&flows, &key, &flow, 0);
    bpf_probe_read_kernel(&points[1], 8, &points[2]);
    struct flow *found = bpf_map_lookup_elem(&flows, &key);
    if (!found)
        return XDP_ABORTED;
    keep(found);                          /* found */
    result = twice(found->id & 15);
    result += summed(&flow, 6);
    total += result + calls;
    return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
"""


def compiled(source: str = SOURCE, **options: Any) -> bytes:
    return compile_file(source, dwarf=True, **options).data


class FrameOf:
    """A frame of the interpreter, as variables want it; what is read is as it was at the stop."""

    def __init__(self, interpreter: Interpreter, frame: Frame, loaded: Any) -> None:
        self.interpreter, self.frame = interpreter, frame
        self.registers: Sequence[int | None] = list(frame.registers)
        self.memory = interpreter.memory.read(0, _MEMORY)
        self.sections = {name: each.values_address for name, each in loaded._sections.items()}

    def read(self, address: int, size: int) -> bytes:
        return self.memory[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        self.interpreter.memory.write(address, data)

    def write_register(self, register: int, value: int) -> None:
        self.frame.registers[register] = value

    def data_address(self, section: str, offset: int) -> int | None:
        found = self.sections.get(section)
        return None if found is None else found + offset


class Shown:
    """What was to be seen when a line began: the levels, their variables by name."""

    def __init__(self, levels: Sequence[Level], variables: Sequence[Mapping[str, Variable]]):
        self.levels = levels
        self.variables = variables
        self.texts = [{name: each.text for name, each in some.items()} for some in variables]


def run(
    obj: Object,
    information: DebugInformation,
    line: str,
    *,
    program: str = "prog",
    change: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[int, list[Shown]]:
    """Run a program; what is shown whenever the line with this text begins.

    `change` gives variables of the innermost function another value there.
    """
    shown: list[Shown] = []

    def hook(interpreter: Interpreter) -> None:
        frame = interpreter.frame
        known = frame.code.lines.get(frame.slot)
        if known is None or line not in known.text:
            return
        function = frame.code.function_at(frame.slot)
        slot = frame.slot - function.start
        levels = information.levels(function.name, slot)
        around = FrameOf(interpreter, frame, loaded)
        variables = [
            {each.name: each for each in information.variables(function.name, slot, around, level)}
            for level in range(len(levels))
        ]
        shown.append(Shown(levels, variables))
        for name, value in (change or {}).items():
            variables[0][name].assign(value)

    with obj.load("vm", passes=information.origins.passes, **options) as loaded:
        ran = loaded.programs[program].run(bytes(64), executor="interpreter", hook=hook)
    return ran.retval, shown


def opened(data: bytes) -> tuple[Object, DebugInformation]:
    obj = read_elf(data, "", "prog")
    return obj, DebugInformation(obj, [("prog.bpf.o", data)], Origins())


def linked(*sources: str) -> tuple[Object, DebugInformation]:
    data = [compiled(source, name=f"part{number}.bpf.c") for number, source in enumerate(sources)]
    objects = [read_elf(each, "", f"part{number}") for number, each in enumerate(data)]
    obj = osmia.link(objects)
    files = [(f"part{number}.o", each) for number, each in enumerate(data)]
    return obj, DebugInformation(obj, files, Origins())
