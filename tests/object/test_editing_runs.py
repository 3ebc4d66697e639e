"""Edited programs run as before: no-ops anywhere, and jumps that have become long ones."""

from __future__ import annotations

import importlib
import os
import random
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

import osmia
from osmia.errors import VerifierError
from osmia.formats.elf_writer import write_object
from osmia.isa import Instruction, assemble, walk
from osmia.isa import opcodes as op
from osmia.kernel.programs.program import KernelProgram
from osmia.object import Function, Object, ProgramType
from osmia.object.editing import FunctionEditor, apply_edits
from osmia.vm.engine import Vm
from osmia.vm.programs import Executor

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
EXECUTORS: tuple[Executor, ...] = ("interpreter", "generated", "jit")
SEED, PROGRAMS, IN_THE_KERNEL = 41_000, 60, 20
#: What changes nothing wherever it stands.
NO_OPS = tuple(map(assemble, ("goto pc+0", "gotol pc+0", "if r10 == 0 goto pc+0")))


@pytest.fixture
def vm() -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=2) as machine:
        yield machine


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(TESTS.parent / "fuzz"))
    yield importlib.import_module("vm_programs")
    monkeypatch.undo()


def with_no_ops(obj: Object, values: random.Random, share: float = 0.5) -> Object:
    """No-ops before some instructions; never where nobody comes, which the kernel refuses."""
    editors = []
    for key, function in obj.functions.items():
        edit = FunctionEditor(obj, key)
        reached = False
        for slot, insn in walk(function.code):
            if values.random() < share:
                takes_jumps = not reached or values.random() < 0.5
                edit.insert_before(edit.label(slot), values.choice(NO_OPS), takes_jumps=takes_jumps)
            reached = not insn.is_exit and (not insn.is_jump or insn.is_conditional)
        editors.append(edit)
    return apply_edits(obj, editors)[0]


def object_of(code: bytes) -> Object:
    return Object("o", functions={"f": Function("f", ".text", code)})


@pytest.mark.parametrize("kernel", [False, pytest.param(True, marks=pytest.mark.kernel)])
def test_generated_programs_with_no_ops_do_what_they_did(
    generator: ModuleType, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have subprograms in one piece of code: calls are distances there."""
    if kernel and os.geteuid():
        pytest.skip("needs bpf(2) as root")
    print(f"seeds from {SEED}")
    accepted = 0
    with ExitStack() as stack:
        engines = generator.Engines(stack, kernel=kernel)
        for seed in range(SEED, SEED + (IN_THE_KERNEL if kernel else PROGRAMS)):
            values = random.Random(seed)
            text = generator.Generator(values).program()
            if kernel:
                try:
                    with engines.kernel_load(text) as program:
                        expected = engines.run(program, seed, "kernel")
                except VerifierError:
                    continue
            else:
                expected = engines.run(engines.load(text), seed, "interpreter")
            accepted += 1

            def edited(text: str, values: random.Random = values) -> bytes:
                return with_no_ops(object_of(assemble(text)), values).functions["f"].code

            with monkeypatch.context() as patch:
                patch.setattr(generator, "assemble", edited)
                if kernel:
                    with engines.kernel_load(text) as program:
                        assert engines.run(program, seed, "kernel") == expected, text
                program = engines.load(text)
            for executor in EXECUTORS:
                assert engines.run(program, seed, executor) == expected, text
    assert accepted > (5 if kernel else 50)


def test_switches_with_no_ops_go_where_they_went() -> None:
    """`gotox` through tables, in the vm: 6.19 is the first kernel with it."""
    obj = osmia.compile(TESTS / "formats" / "jump_tables.bpf.c", cpu="v4", compiler="zig")
    edited = with_no_ops(obj, random.Random(3))
    assert len(edited.jump_tables) == len(obj.jump_tables) > 2
    assert all(edited.jump_tables[name] != table for name, table in obj.jump_tables.items())
    with ExitStack() as stack:
        before, *after = (
            stack.enter_context(each.load("vm", memory=1 << 25, cpus=1))
            for each in (obj, *[edited] * len(EXECUTORS))
        )
        for name in ("two_switches", "everything"):
            for a in range(0, 1 << 12, 29):
                context = struct.pack("<QQ", a | a << 12, 7 * a)
                expected = before.programs[name].run(ctx=context, executor="interpreter").retval
                for bpf, executor in zip(after, EXECUTORS, strict=True):
                    result = bpf.programs[name].run(ctx=context, executor=executor)
                    assert result.retval == expected, (name, a)


def test_an_edited_object_is_written_to_elf_and_read_back() -> None:
    obj = osmia.compile(TESTS / "formats" / "jump_tables.bpf.c", cpu="v4", compiler="zig")
    edited = with_no_ops(obj, random.Random(4))
    again = osmia.open(write_object(edited))
    assert again.jump_tables == edited.jump_tables
    assert again.functions.keys() == edited.functions.keys()
    for key, function in again.functions.items():
        assert function.instruction_count == edited.functions[key].instruction_count
        assert function.relocations == edited.functions[key].relocations
        assert again.source_lines(key) == edited.source_lines(key)


FAR = 33_000
CONDITIONS = [
    opcode for opcode in range(256) if Instruction(opcode).is_conditional and opcode != op.MAY_GOTO
]
#: What the conditions compare, with the number 5 where they compare with a number.
COMPARED = [(a, b) for a in (0, 4, 5, 6, -1, 2**31, -(2**31), 2**32) for b in (0, 5, -1, 2**31)]


def conditional_jumps(forwards: bool) -> tuple[bytes, int]:
    """Code with a jump for each condition, whose bit is set in r0 where it was taken; and the
    slot between the jumps and what they jump to."""
    names = range(len(CONDITIONS))
    jumps = "\n".join(f"if r3 == r4 goto far{n}\nback{n}:" for n in names)
    taken = "\n".join(f"far{n}: r5 = {1 << n:#x} ll\nr0 |= r5\ngoto back{n}" for n in names)
    start = "r0 = 0\nr3 = *(u64 *)(r1 +0)\nr4 = *(u64 *)(r1 +8)"
    if forwards:
        text = f"{start}\n{jumps}\nexit\n{taken}"
        between = 3 + len(CONDITIONS) + 1
    else:
        text = f"{start}\ngoto main\n{taken}\nmain:\n{jumps}\nexit"
        between = 4 + 4 * len(CONDITIONS)
    code = bytearray(assemble(text))
    opcodes = iter(CONDITIONS)
    for slot, insn in walk(bytes(code)):
        if insn.is_conditional:
            code[8 * slot] = opcode = next(opcodes)
            if not opcode & op.Source.X:
                code[8 * slot + 1] &= 0x0F
                code[8 * slot + 4] = 5
    return bytes(code), between


@pytest.mark.parametrize("forwards", [True, False])
def test_every_condition_holds_as_before_when_its_jump_goes_long(vm: Vm, forwards: bool) -> None:
    code, between = conditional_jumps(forwards)
    edit = FunctionEditor(object_of(code), "f")
    edit.insert_before(edit.label(between), assemble("r7 = 1") * FAR, takes_jumps=False)
    longer = edit.apply()[0].functions["f"].code
    assert len(longer) // 8 > len(code) // 8 + FAR + len(CONDITIONS)
    programs = vm.load_program(code), vm.load_program(longer)
    for a, b in COMPARED:
        data = b"".join((value & (1 << 64) - 1).to_bytes(8, "little") for value in (a, b))
        expected = programs[0].run(data, executor="interpreter").retval
        for executor in EXECUTORS:
            assert programs[1].run(data, executor=executor).retval == expected, (a, b)
    assert expected


@pytest.mark.kernel
def test_jumps_over_code_that_runs_are_long_in_every_engine(vm: Vm) -> None:
    """Both ways, with and without condition; also one that two pieces push apart."""
    text = """
        r2 = *(u32 *)(r1 +4)
        r3 = *(u32 *)(r1 +0)
        r2 -= r3
        r0 = 0
        goto start
    back:
        r0 += 1
        if r2 & 1 goto odd
        exit
    start:
        if r2 == 64 goto out
        if r2 > 100 goto back
        goto back
    odd:
        r0 += 2
    out:
        exit
    """
    edit = FunctionEditor(object_of(assemble(text)), "f")
    for slot in (5, 8, 9):  # back, start, and behind the first jump of start
        edit.insert_before(edit.label(slot), assemble("r0 += 1") * FAR)
    code = edit.apply()[0].functions["f"].code
    assert sum(insn.opcode == op.JA32 for _, insn in walk(code)) >= 4
    with KernelProgram.load(ProgramType.XDP, code, license="GPL") as in_kernel:
        in_vm = vm.load_program(code, type=ProgramType.XDP)
        for size, expected in ((64, FAR), (65, 3 * FAR + 3), (66, 3 * FAR + 1), (121, 3 * FAR + 3)):
            packet = bytes(size)
            found = [in_vm.run(packet, executor=name).retval for name in EXECUTORS]
            assert [in_kernel.run(packet).retval, *found] == [expected] * (1 + len(EXECUTORS))
