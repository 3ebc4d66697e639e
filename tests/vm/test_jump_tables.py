"""Jump tables in the vm: equal to the same source without them, there and in the kernel."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import RelocationError, VerifierError
from osmia.isa import assemble
from osmia.object import JumpTable, Object
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError, ProgramFault
from osmia.vm.layout import FUNCTION_HANDLE, FUNCTION_HANDLE_SHIFT, LABEL_HANDLE
from osmia.vm.programs import Executor

SOURCE = Path(__file__).parents[1] / "formats" / "jump_tables.bpf.c"
M32 = 0xFFFF_FFFF


@pytest.fixture(scope="module")
def jumping() -> Object:
    return osmia.compile(SOURCE, cpu="v4", compiler="zig")


@pytest.fixture(scope="module")
def branching() -> Object:
    return osmia.compile(SOURCE, cpu="v3", compiler="zig")


@pytest.fixture(scope="module")
def loaded(jumping: Object) -> Iterator[Any]:
    with jumping.load("vm", memory=1 << 25, cpus=2) as bpf:
        yield bpf


def inputs(count: int) -> Iterator[tuple[int, int]]:
    """Every case of every switch, then anything."""
    for kind in range(32):
        yield kind, 0x1234_5678_9ABC
        yield 4 | kind << 5, 3
    seed = random.Random(19)
    for _ in range(count):
        yield seed.getrandbits(48), seed.getrandbits(seed.choice((4, 16, 33, 64)))


def signed(value: int) -> int:
    return (value & M32) - ((value & 0x8000_0000) << 1)


def arithmetic(kind: int, x: int) -> int:
    """What the C function of that name gives, but for case 20, which counts."""
    small = signed(x)
    remainder = abs(small) % 9
    results = {
        2: x * 3,
        3: x ^ 7,
        4: x + 100,
        5: x // 3,
        6: x % 5,
        7: x << 3,
        8: x >> 3,
        10: x - 9,
        11: x & 0x70,
        14: x * x,
        15: ~x,
        16: -x,
        17: x | 1,
        18: x * x * x,
        19: -remainder if small < 0 else remainder,
    }
    return results.get(kind, 77) & M32


def labels(x: int, a: int, b: int, c: int, d: int, start: int) -> int:
    match x & 3:
        case 0:
            return (start + a) * x
        case 1:
            return (start + b) ^ x
        case 2:
            return start + c - d
        case _:
            return start - d


def machine(text: int, x: int) -> int:
    r = x & M32
    for _ in range(8):
        now, text = text & 3, text >> 2
        if now == 3:
            return r
        r = (r + 3, r * 2, ~r)[now] & M32
    return r + 1


def everything(a: int, b: int) -> int:
    return (
        arithmetic(a & 31, b)
        + 3 * labels(a >> 5, 5, 9, 10, 3, 1)
        + 5 * labels(a >> 7, 50, 90, 11, 30, 2)
        + 7 * machine(a >> 9, b)
    ) & M32


@pytest.mark.parametrize("options", [{}, {"strict": False}, {"executor": "jit"}])
def test_jumps_do_what_the_source_says(loaded: Any, options: dict[str, Any]) -> None:
    program = loaded.programs["everything"]
    executor = {"executor": "interpreter"} | options
    for a, b in inputs(150):
        if a & 31 != 20:
            result = program.run(ctx=struct.pack("<QQ", a, b), **executor)
            assert result.retval == everything(a, b), (a, b)


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["two_switches", "everything", "plain"])
def test_jumps_are_equal_to_branches_here_and_in_the_kernel(
    jumping: Object, branching: Object, name: str
) -> None:
    """The same runs in the same order: the counter of case 20 is equal, too."""
    with (
        branching.load() as kernel,
        branching.load("vm", memory=1 << 25, cpus=1) as branches,
        jumping.load("vm", memory=1 << 25, cpus=1) as interpreted,
        jumping.load("vm", memory=1 << 25, cpus=1) as compiled,
    ):
        for a, b in inputs(300):
            context = struct.pack("<QQ", a, b)
            expected = kernel.programs[name].run(ctx=context).retval
            results = (
                branches.programs[name].run(ctx=context, executor="jit").retval,
                interpreted.programs[name].run(ctx=context, executor="interpreter").retval,
                compiled.programs[name].run(ctx=context, executor="jit").retval,
            )
            assert results == (expected,) * 3, (a, b)
        steps = {bpf.data["steps"] for bpf in (kernel, branches, interpreted, compiled)}
        assert len(steps) == 1


@pytest.mark.parametrize("semantics", ["subprogram", "program"])
def test_tables_work_in_both_semantics_of_tail_calls(jumping: Object, semantics: Any) -> None:
    with jumping.load("vm", memory=1 << 25, cpus=1, tail_calls=semantics) as bpf:
        executors: tuple[Executor, ...] = ("interpreter", "generated", "jit")
        for executor in executors:
            context = struct.pack("<QQ", 0x2345_6789, 77)
            result = bpf.programs["everything"].run(ctx=context, executor=executor)
            assert result.retval == everything(0x2345_6789, 77)


def test_a_loop_through_a_table_uses_up_the_budget(executor: Any) -> None:
    text = f"again:\nr1 = {LABEL_HANDLE:#x} ll\ngotox r1\nexit"
    with Vm(memory=1 << 25, cpus=1) as vm:
        program = vm.load_program(assemble(text), jumps={2: [0, 3]})
        with pytest.raises(BudgetExceededError):
            program.run(executor=executor, budget=10_000)


JUMP = """
    r6 = *(u64 *)(r1 +0)
    r0 = 5
    gotox r6
    r0 = 1
    exit
    r0 = 2
    exit
"""


@pytest.mark.parametrize(
    ("value", "retval"),
    [(LABEL_HANDLE, 1), (LABEL_HANDLE + 1, 2)],
)
def test_a_target_by_hand(vm: Vm, executor: Any, value: int, retval: int) -> None:
    program = vm.load_program(assemble(JUMP), jumps={2: [5, 3, 5, 5]})
    assert program.run(struct.pack("<Q", value), executor=executor).retval == retval


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        0,
        3,
        LABEL_HANDLE + 2,
        LABEL_HANDLE - 1,
        LABEL_HANDLE & 0xFFFF_FFFF,
        FUNCTION_HANDLE + (3 << FUNCTION_HANDLE_SHIFT),
        (1 << 64) - 1,
    ],
)
def test_what_is_in_no_table_is_a_fault(vm: Vm, executor: Any, value: int, strict: bool) -> None:
    program = vm.load_program(assemble(JUMP), jumps={2: [3, 5]})
    with pytest.raises(ProgramFault, match=f"gotox to {value:#x}, which is no entry"):
        program.run(struct.pack("<Q", value), executor=executor, strict=strict)


def test_a_label_of_another_function_is_a_fault(executor: Any) -> None:
    text = f"""
    r1 = {LABEL_HANDLE:#x} ll
    gotox r1
    call function
    exit
function:
    r1 = {{label:#x}} ll
    gotox r1
    r0 = 7
    exit
    """
    jumps = {2: [3], 7: [8]}
    with Vm(memory=1 << 25, cpus=1) as vm:
        own = vm.load_program(assemble(text.format(label=LABEL_HANDLE + 1)), jumps=jumps)
        assert own.run(executor=executor).retval == 7
        others = vm.load_program(assemble(text.format(label=LABEL_HANDLE)), jumps=jumps)
        with pytest.raises(ProgramFault, match=f"gotox to {LABEL_HANDLE:#x}"):
            others.run(executor=executor)
        with pytest.raises(VerifierError, match="jump out of range, to instruction 3"):
            vm.load_program(assemble(text.format(label=0)), jumps={2: [3], 7: [3, 8]})


def test_a_jump_without_a_table_is_refused(vm: Vm) -> None:
    wrong: tuple[dict[int, list[int]] | None, ...] = (None, {}, {2: []}, {3: [5]})
    for jumps in wrong:
        with pytest.raises(VerifierError, match="gotox without a jump table"):
            vm.load_program(assemble(JUMP), jumps=jumps)
    many = range(1 << 20)
    with pytest.raises(VerifierError, match="more than 1048576 targets"):
        vm.load_program(assemble("gotox r1\ngotox r1\nexit"), jumps={0: many, 1: many})
    with pytest.raises(VerifierError, match="middle of ld_imm64"):
        vm.load_program(assemble("r1 = 0 ll\ngotox r1\nexit"), jumps={2: [1]})


def test_programs_cannot_write_to_tables(jumping: Object) -> None:
    (table,) = (t for t in jumping.jump_tables.values() if t.function == "local_labels")
    (reference,) = jumping.functions["local_labels"].relocations
    assert reference.target == table.name
    changed = jumping.copy()
    function = changed.functions["local_labels"]
    code = bytearray(function.code)
    load = reference.offset + 16  # "r2 += r1", then the load of the entry
    assert code[load] == 0x0F
    code[load : load + 8] = assemble("*(u64 *)(r2 +0) = r1")
    changed.functions["local_labels"] = osmia.object.Function(
        "local_labels", function.section, bytes(code), function.relocations
    )
    with (
        changed.load("vm", memory=1 << 25, cpus=1) as bpf,
        pytest.raises(ProgramFault, match="read"),
    ):
        bpf.programs["everything"].run(ctx=bytes(16), executor="interpreter")


def test_a_missing_table_is_named(jumping: Object) -> None:
    changed = jumping.copy()
    del changed.jump_tables["BPF.JT.0.0"]
    with pytest.raises(RelocationError, match=r"no jump table 'BPF\.JT\.0\.0'"):
        changed.load("vm", memory=1 << 25, cpus=1)
    changed.jump_tables["BPF.JT.0.0"] = JumpTable("BPF.JT.0.0", "nobody", (0,))
    with pytest.raises(RelocationError, match=r"no jump table 'BPF\.JT\.0\.0'"):
        changed.load("vm", memory=1 << 25, cpus=1)


def test_tables_are_freed_with_their_object(jumping: Object, vm: Vm) -> None:
    before = set(vm.maps)
    with jumping.load("vm", vm=vm):
        names = [held.name for number, held in vm.maps.items() if number not in before]
        assert names.count(".jumptables") == 7  # one a table and program
    assert set(vm.maps) == before
