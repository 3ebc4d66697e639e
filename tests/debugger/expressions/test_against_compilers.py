"""Random expressions are worth in the debugger what they are worth once compiled and run, and to
gdb."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from osmia.debugger import Session
from osmia.formats.open import read_elf
from osmia.object.model import Object
from osmia.toolchain import compile as compile_file

SEED, COUNT = 20261130, 160
_TYPES = ["__u8", "__s8", "__u16", "__s16", "__u32", "__s32", "__u64", "__s64", "_Bool"]
_VALUES = [
    0,
    1,
    2,
    5,
    127,
    128,
    200,
    255,
    32768,
    65535,
    1 << 31,
    (1 << 32) - 1,
    1 << 63,
    -1,
    -2,
    -9,
]
_BITFIELDS = ("s.low", "s.high", "s.wide")
_BINARY = ["+", "-", "*", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "&&", "||"]
_NAMES = {
    "__u8": "unsigned char", "__s8": "signed char", "__u16": "unsigned short", "__s16": "short",
    "__u32": "unsigned int", "__s32": "int", "__u64": "unsigned long", "__s64": "long",
}  # fmt: skip


class Expressions:
    """Makes expressions that C defines, but for overflows (-fwrapv)."""

    def __init__(self, leaves: Callable[[random.Random], str]) -> None:
        self._random = random.Random(SEED)
        self._leaves = leaves

    def make(self, depth: int) -> str:
        choose = self._random
        if depth == 0 or choose.random() < 0.1:
            return self._leaves(choose)
        inner = [self.make(depth - 1) for _ in range(3)]
        match choose.randrange(9):
            case 0:
                return f"({choose.choice(_TYPES)}){self._unary(inner[0])}"
            case 1:
                return choose.choice("-~!") + self._unary(inner[0])
            case 2:
                return f"({inner[0]} ? {inner[1]} : {inner[2]})"
            case 3:
                return f"(({inner[0]}) {choose.choice('/%')} (({inner[1]}) | 1))"
            case 4:
                return f"(({inner[0]}) {choose.choice(['<<', '>>'])} (({inner[1]}) & 7))"
            case 5:
                return f"{_sized(inner[0])} * {self._unary(inner[1])}"
            case _:
                # Without parentheses: precedences are what is looked for.
                operators = choose.sample(_BINARY, 2)
                return f"{inner[0]} {operators[0]} {inner[1]} {operators[1]} {inner[2]}"

    def _unary(self, text: str) -> str:
        return f"({text})"


def _sized(text: str) -> str:
    """The size of an expression; a bitfield has none before it is promoted."""
    return f"sizeof(+{text})" if text in _BITFIELDS else f"sizeof({text})"


def _literal(choose: random.Random) -> str:
    value = choose.choice([0, 1, 3, 7, 100, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40])
    text = choose.choice([str(value), hex(value)])
    return text + choose.choice(["", "", "u", "l", "UL"])


def _variable(choose: random.Random) -> str:
    number = choose.randrange(len(_TYPES))
    return choose.choice(
        [
            *(f"v{number}", f"s.m{number}", f"p->m{number}", f"a{number}[1]", f"*(a{number} + 2)"),
            *(*_BITFIELDS, "(p - &s)", _literal(choose)),
        ]
    )


def _source(expressions: list[str]) -> str:
    choose = random.Random(SEED + 1)

    def value(kind: str) -> str:
        return (
            f"({kind}){choose.choice(_VALUES)}ull" if kind != "_Bool" else str(choose.randrange(2))
        )

    declared, members = [], []
    for number, kind in enumerate(_TYPES):
        array = ", ".join(value(kind) for _ in range(3))
        declared.append(f"volatile {kind} v{number} = {value(kind)}, a{number}[3] = {{{array}}};")
        members.append(f"{kind} m{number};")
    bits = "__u32 low : 5; __s32 high : 7; __u64 wide : 40;"
    given = ", ".join(f".m{number} = {value(kind)}" for number, kind in enumerate(_TYPES))
    runs = "".join(f"out[{n}] = (__u64)({text});\n" for n, text in enumerate(expressions))
    sizes = "".join(f"sizes[{n}] = {_sized(text)};\n" for n, text in enumerate(expressions))
    return f"""
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
struct all {{ {" ".join(members)} {bits} }};
{chr(10).join(declared)}
volatile struct all s = {{{given}, .low = 21, .high = -5, .wide = 0xffffffffffull}};
volatile struct all *volatile p;
__u64 out[{len(expressions)}];
__u8 sizes[{len(expressions)}];
SEC("xdp") int prog(void *ctx)
{{
p = &s;
{runs}{sizes}return 0;
}}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def expressions() -> list[str]:
    made = Expressions(_variable)
    return [made.make(1 + number % 3) for number in range(COUNT)]


@pytest.fixture(scope="module")
def compiled(expressions: list[str]) -> Object:
    flags = ["-fwrapv", "-w", "-Wno-error"]
    made = compile_file(_source(expressions), flags=flags, cpu="v4")
    return read_elf(made.data, "", "prog")


def test_the_debugger_evaluates_as_compiled_code_does(
    compiled: Object, expressions: list[str]
) -> None:
    with compiled.load("vm") as bpf, bpf.programs["prog"].session(bytes(64)) as session:
        session.break_at(function="prog")
        while not session.data["p"]:
            session.step(instruction=True)
        found = [(session.evaluate(f"(u64)({text})"), _size(session, text)) for text in expressions]
        result = session.continue_().result
        assert result is not None and result.retval == 0
        ran = list(zip(session.data["out"], session.data["sizes"], strict=True))
    for text, debugger, program in zip(expressions, found, ran, strict=True):
        assert (text, *debugger) == (text, *program)


def _size(session: Session, text: str) -> int:
    found: int = session.evaluate(_sized(text))
    return found


@pytest.mark.skipif(shutil.which("gdb") is None, reason="there is no gdb here")
def test_the_debugger_evaluates_as_gdb_does(compiled: Object) -> None:
    made = Expressions(_literal)
    # gdb takes the type of the branch that is taken for a conditional's, and has no _Bool; what
    # sizeof gives is an int there.
    texts = [f"(u64)({text})" for text in (made.make(3) for _ in range(300))]
    texts = [text for text in texts if not any(word in text for word in ("?", "_Bool", "sizeof"))]
    pattern = re.compile("|".join(_NAMES))
    asked = [
        f"print/d {pattern.sub(lambda m: _NAMES[m[0]], text).replace('u64', 'unsigned long', 1)}"
        for text in texts
    ]
    command = ["gdb", "-nx", "-q", "-batch", "-ex", "set architecture i386:x86-64"]
    command += [*(word for each in asked for word in ("-ex", each))]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    answers = re.findall(r"^\$\d+ = (-?\d+)$", said.stdout, re.MULTILINE)
    assert len(answers) == len(asked), said.stderr
    with compiled.load("vm") as bpf, bpf.programs["prog"].session(bytes(64)) as session:
        mine = [session.evaluate(text) for text in texts]
    for text, value, answer in zip(texts, mine, answers, strict=True):
        assert value == int(answer) % (1 << 64), text
