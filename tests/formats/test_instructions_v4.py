"""The newer instructions of clang 22 with -mcpu=v4: from C through reader, text and writer into
both engines, with the results that C has."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.formats.elf_writer import write_object
from osmia.formats.listing import list_function
from osmia.isa import assemble, decode, disassemble, form_of
from osmia.isa.forms import Form
from osmia.object import Object

SOURCE = Path(__file__).with_name("instructions_v4.bpf.c")
M32, M64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
NEWER = {
    "sign_extending": {Form.LOAD_SIGN_EXTENDED, Form.MOVE_SIGN_EXTENDED},
    "ordered": {Form.LOAD_ACQUIRE, Form.STORE_RELEASE},
    "looping": {Form.MAY_GOTO},
    "far_away": {Form.GOTO_LONG},
    "swapped": {Form.BYTE_SWAP},
    "divided": {Form.SIGNED_DIVISION},
    "through_arena": {Form.ADDR_SPACE_CAST},
}


@pytest.fixture(scope="module")
def obj() -> Object:
    return osmia.compile(SOURCE, cpu="v4", compiler="zig")


@pytest.mark.parametrize("name", NEWER)
def test_the_compiler_emits_them(obj: Object, name: str) -> None:
    forms = {form_of(insn) for insn in decode(obj.functions[name].code)}
    assert None not in forms
    assert forms >= NEWER[name]


@pytest.mark.parametrize("name", NEWER)
def test_their_text_assembles_to_the_same_code(obj: Object, name: str) -> None:
    code = obj.functions[name].code
    assert assemble("\n".join(text for _, text in disassemble(code))) == code


def test_they_are_written_and_read_back(obj: Object) -> None:
    again = osmia.open(write_object(obj))
    for name, function in obj.functions.items():
        texts = [each.text for each in list_function(obj, name)]
        assert [each.text for each in list_function(again, name)] == texts
        assert again.functions[name].relocations == function.relocations


def sign_extended(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def swapped(value: int, size: int) -> int:
    return int.from_bytes((value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), "big")


def expected(name: str, number: int, count: int) -> int:
    """What C gives for an input of a signed and an unsigned 64-bit number."""
    match name:
        case "sign_extending":
            total = -5 - 300 - 70000 + sign_extended(number, 8) + sign_extended(count, 16)
            return total ^ total >> 40
        case "ordered":
            return count + (number & M32)
        case "looping":
            return count * (count + 1) // 2
        case "far_away":
            return 50 if count == 5 else count
        case "swapped":
            return swapped(count, 4) + swapped(number, 2) + (swapped(count, 8) >> 32)
        case _:
            by = sign_extended(count, 64)
            if by == 0:
                return 1000 * number  # x / 0 is 0 and x % 0 is x
            quotient = abs(number) // abs(by) * (1 if (number < 0) == (by < 0) else -1)
            return quotient + 1000 * (number - by * quotient)


def inputs(name: str) -> Iterator[tuple[int, int]]:
    seed = random.Random(64)
    yield from ((-77, 5), (-(1 << 63), M64), (1 << 62, 0), (7, M64 - 2), (-128, 0x8000))
    for _ in range(40):
        yield sign_extended(seed.getrandbits(64), 64), seed.getrandbits(seed.choice((3, 20, 64)))


def check(program: Any, name: str, **options: Any) -> None:
    for number, wide in inputs(name):
        count = wide & 0x3FF if name == "looping" else wide
        result = program.run(ctx=struct.pack("<qQ", number, count), **options)
        assert result.retval == expected(name, number, count) & M32, (number, count)


@pytest.mark.kernel
def test_they_run_in_the_kernel(obj: Object) -> None:
    with obj.load() as bpf:
        for name in sorted(NEWER.keys() - {"through_arena"}):
            check(bpf.programs[name], name)
        for count in (5, 7):
            bpf.programs["through_arena"].run(ctx=struct.pack("<qQ", 0, count))
        assert bpf.data["in_arena"] == 12


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_they_run_in_the_vm(executor: str) -> None:
    flat = osmia.compile(SOURCE, cpu="v4", compiler="zig", defines={"WITHOUT_ARENA": 1})
    with flat.load("vm", memory=1 << 25, cpus=1) as bpf:
        for name in flat.programs:
            check(bpf.programs[name], name, executor=executor)
