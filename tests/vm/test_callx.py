"""Calls through a register: of functions whose address a program took, on both executors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.isa import assemble
from osmia.isa.forms import Form
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError, ProgramFault

CHOSEN = """
    r6 = *(u64 *)(r1 +0)
    r7 = *(u64 *)(r1 +8)
    r1 = 1000
    r2 = 200
    r3 = 30
    r4 = 4
    r5 = r7
    r8 = subprog[add]
    if r6 == 0 goto call
    r8 = subprog[subtract]
    if r6 == 1 goto call
    r8 = r6
    call: callx r8
    r0 += r6
    exit
    add: r0 = r1
    r0 += r2
    r0 += r3
    r0 += r4
    r0 += r5
    exit
    subtract: r0 = r1
    r0 -= r2
    r0 -= r3
    r0 -= r4
    r0 -= r5
    exit
"""


def words(*numbers: int) -> bytes:
    return b"".join((n & 2**64 - 1).to_bytes(8, "little") for n in numbers)


def test_the_function_in_the_register_is_called_with_five_arguments(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble(CHOSEN))
    assert program.run(words(0, 6), executor=executor).retval == 1000 + 200 + 30 + 4 + 6
    assert program.run(words(1, 6), executor=executor).retval == 1000 - 200 - 30 - 4 - 6 + 1


@pytest.mark.parametrize("value", [5, 0xFFFF_C000_0000_0000, 0xFFFF_C000_0000_0008, -1])
def test_anything_else_than_a_function_ends_the_run(vm: Vm, executor: Any, value: int) -> None:
    """Also the entry, and the middle of a function."""
    program = vm.load_program(assemble(CHOSEN))
    with pytest.raises(ProgramFault, match=f"{value & 2**64 - 1:#x} is no function of this"):
        program.run(words(value, 6), executor=executor)


def test_what_is_known_to_be_none_ends_the_run_too(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble("r1 = 5\ncallx r1\nexit"))
    with pytest.raises(ProgramFault, match="0x5 is no function of this program"):
        program.run(executor=executor)
    callback = "r1 = 2\nr2 = 24\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit"
    with pytest.raises(ProgramFault, match="0x18 is no function of this program"):
        vm.load_program(assemble(callback)).run(executor=executor)


def test_a_function_that_calls_itself_by_its_address_ends(vm: Vm, executor: Any) -> None:
    text = """
        r1 = subprog[again]
        r2 = r1
        callx r2
        r0 = 0
        exit
        again: callx r1
        exit
    """
    program = vm.load_program(assemble(text))
    with pytest.raises(ProgramFault, match="stack has no room"):
        program.run(executor=executor, strict=False)


def test_a_loop_of_calls_is_paid_for(vm: Vm, executor: Any) -> None:
    text = """
        r7 = *(u64 *)(r1 +0)
        r8 = subprog[nothing]
        if r7 == 0 goto again
        r8 = r7
        again: callx r8
        goto again
        nothing: r0 = 0
        exit
    """
    program = vm.load_program(assemble(text))
    with pytest.raises(BudgetExceededError):
        program.run(words(0), executor=executor, budget=10_000)


def test_registers_six_to_nine_and_the_frame_are_the_callers(vm: Vm, executor: Any) -> None:
    text = """
        r6 = 7
        *(u64 *)(r10 -8) = 5
        r1 = subprog[other]
        callx r1
        r0 += r6
        r1 = *(u64 *)(r10 -8)
        r0 += r1
        exit
        other: r6 = 100
        *(u64 *)(r10 -8) = 1000
        r0 = 1
        exit
    """
    assert vm.load_program(assemble(text)).run(executor=executor).retval == 13


def test_c_that_chooses_a_function(tmp_path: Path, executor: Any) -> None:
    source = tmp_path / "chosen.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "static __attribute__((noinline)) int twice(int n) { return 2 * n; }\n"
        "static __attribute__((noinline)) int square(int n) { return n * n; }\n"
        'SEC("xdp") int choose(struct xdp_md *ctx) {\n'
        "    int (*f)(int) = ctx->ingress_ifindex == 2 ? twice : square;\n"
        "    return f(ctx->rx_queue_index);\n}\n"
    )
    with osmia.compile(source).load(engine="vm") as bpf:
        program = bpf.programs["choose"]
        found = [
            program.run(
                bytes(64),
                {"ingress_ifindex": index, "rx_queue_index": 5},
                executor=executor,
            ).retval
            for index in (2, 3)
        ]
        assert found == [10, 25]
        assert Form.CALL_REGISTER in program.code.forms
