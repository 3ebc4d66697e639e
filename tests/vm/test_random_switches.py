"""Random C with large switches: compiled to jump tables and to branches, all results are equal."""

from __future__ import annotations

import random
import struct
from itertools import count

import pytest

import osmia

pytestmark = pytest.mark.slow

SEEDS = (1, 2)
PROGRAMS, RUNS = 8, 40

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct input { __u64 a, b; };
char _license[] SEC("license") = "GPL";
"""


class Source:
    """C with programs p0, p1, …, some of whose switches are in subprograms."""

    def __init__(self, seed: int, programs: int) -> None:
        self.random = random.Random(seed)
        self.functions: list[str] = []
        self.numbers = count()
        entries = [self.program(number) for number in range(programs)]
        self.text = HEAD + "\n".join(self.functions + entries)

    def program(self, number: int) -> str:
        body = "".join(self.statement(depth=0) for _ in range(self.random.randint(1, 3)))
        return (
            f'SEC("syscall") int p{number}(struct input *in) {{\n'
            f"__u64 x = in->a, y = in->b;\n{body}return x ^ y ^ x >> 32;\n}}"
        )

    def function(self) -> str:
        """A subprogram with a switch; gives its name."""
        name = f"f{next(self.numbers)}"
        linkage = self.random.choice(("static __noinline", "__noinline"))
        self.functions.append(
            f"{linkage} __u64 {name}(__u64 x, __u64 y) {{\n{self.switch(1)}return x + y;\n}}"
        )
        return name

    def statement(self, depth: int) -> str:
        r = self.random
        match r.randrange(5):
            case 0 | 1 if depth < 2:
                return self.switch(depth)
            case 2 if depth == 0:
                # A little automaton: the switch is in a loop, and jumps go back.
                i = f"i{next(self.numbers)}"
                return f"for (int {i} = 0; {i} < {r.randint(2, 4)}; {i}++) {{\n{self.switch(1)}}}\n"
            case 3 if depth == 0:
                return f"y ^= {self.function()}(x, y);\n"
        return f"{r.choice('xy')} {r.choice(('+=', '-=', '*=', '^=', '|='))} {self.value()};\n"

    def value(self) -> str:
        r = self.random
        number = r.choice((r.randrange(64), r.getrandbits(31)))
        return r.choice((f"{number}u", f"(x >> {r.randrange(1, 60)})", f"y + {number}u", "y", "x"))

    def switch(self, depth: int) -> str:
        r = self.random
        span = r.randint(14, 40)
        cases = sorted(r.sample(range(span), r.randint(13, span)))
        low = r.choice((0, 0, 3, 1000))
        what = r.choice((f"x % {span + 5}", f"y >> {r.randrange(8)} & 31", "(x ^ y) & 15"))
        lines = [f"switch (({what}) + {low}) {{"]
        for case in cases:
            lines.append(f"case {low + case}: {self.statement(depth + 1).strip()}")
            if r.random() < 0.8:
                lines.append("break;")
        if r.random() < 0.7:
            lines.append(f"default: {self.statement(depth + 1).strip()}")
        return "\n".join(lines) + "\n}\n"


def inputs(seed: int, runs: int) -> list[bytes]:
    r = random.Random(seed)
    wide = (4, 6, 12, 64)
    return [
        struct.pack("<QQ", r.getrandbits(r.choice(wide)), r.getrandbits(r.choice(wide)))
        for _ in range(runs)
    ]


def compare(seed: int, programs: int, runs: int) -> int:
    """Run a source both ways; gives the number of its jump tables."""
    text = Source(seed, programs).text
    options = {"compiler": "zig", "name": f"switches_{seed}.bpf.c"}
    jumping, branching = (osmia.compile(text, cpu=cpu, **options) for cpu in ("v4", "v3"))
    with (
        branching.load() as kernel,
        branching.load("vm", memory=1 << 25, cpus=1) as branches,
        jumping.load("vm", memory=1 << 25, cpus=1) as jumps,
    ):
        for name in jumping.programs:
            for context in inputs(seed, runs):
                expected = kernel.programs[name].run(ctx=context).retval
                results = (
                    branches.programs[name].run(ctx=context, executor="jit").retval,
                    jumps.programs[name].run(ctx=context, executor="interpreter").retval,
                    jumps.programs[name].run(ctx=context, executor="jit").retval,
                )
                assert results == (expected,) * 3, (seed, name, context)
    return len(jumping.jump_tables)


@pytest.mark.kernel
@pytest.mark.parametrize("seed", SEEDS)
def test_jumps_and_branches_are_equal(seed: int) -> None:
    assert compare(seed, PROGRAMS, RUNS) >= PROGRAMS
