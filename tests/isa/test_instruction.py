"""What an instruction says about itself."""

from __future__ import annotations

import pytest

from osmia.isa import Instruction, decode
from osmia.isa.assembler import assemble
from osmia.isa.opcodes import Class, JmpOp, Size


def one(text: str) -> Instruction:
    [insn] = decode(assemble(text))
    return insn


def test_class_size_and_operation_are_parts_of_the_opcode() -> None:
    store = one("*(u16 *)(r1 +0) = r2")
    assert (store.class_, store.size, store.size.bytes) == (Class.STX, Size.H, 2)
    branch = one("if w1 s> w2 goto pc+1")
    assert (branch.class_, branch.operation) == (Class.JMP32, JmpOp.JSGT)
    assert branch.uses_source_register


@pytest.mark.parametrize(
    ("text", "offset", "conditional"),
    [
        ("goto pc-3", -3, False),
        ("gotol pc+100000", 100000, False),
        ("if r1 > 0x5 goto pc+7", 7, True),
        ("if w1 & w2 goto pc-7", -7, True),
        ("may_goto pc+2", 2, True),
        ("gotox r1", None, False),
    ],
)
def test_jumps_know_how_far_they_go(text: str, offset: int | None, conditional: bool) -> None:
    insn = one(text)
    assert insn.is_jump
    assert (insn.jump_offset, insn.is_conditional) == (offset, conditional)


@pytest.mark.parametrize("text", ["call pc+7", "exit", "r0 = 5", "call bpf_redirect", "callx r1"])
def test_calls_and_exit_are_no_jumps(text: str) -> None:
    insn = one(text)
    assert not insn.is_jump
    assert not insn.is_conditional
    assert insn.jump_offset is None


def test_kinds_of_calls_are_told_apart() -> None:
    kinds = {
        "call bpf_redirect": (True, False, False),
        "call pc+7": (False, True, False),
        "call kernel-function#5": (False, False, True),
        "callx r1": (False, False, False),
        "call program#5": (False, False, False),
    }
    for text, expected in kinds.items():
        insn = one(text)
        assert insn.is_call
        found = (insn.is_helper_call, insn.is_subprogram_call, insn.is_kfunc_call)
        assert found == expected, text
    assert one("exit").is_exit
    assert not one("exit").is_call
