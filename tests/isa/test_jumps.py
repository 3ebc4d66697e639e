"""Where jumps go, and jumps that are written anew: short ones, long ones, either byte order."""

from __future__ import annotations

from typing import Literal

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble, decode, encode, walk
from osmia.isa import opcodes as op
from osmia.isa.instruction import Instruction, LoneSlot
from osmia.isa.jumps import destinations, place_jumps, placed, second_slots

TEXT = """
    call sub
    r2 = subprog[sub]
    if r1 == 0 goto out
    may_goto out
    gotol out
    gotox r1
    call 5
    r1 = 5 ll
out:
    exit
sub:
    goto out
"""
GOES_TO = {0: 11, 1: 11, 3: 10, 4: 10, 5: 10, 11: 10}


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_all_that_goes_somewhere_is_found(byteorder: Literal["little", "big"]) -> None:
    code = assemble(TEXT, byteorder)
    assert destinations(code, byteorder) == GOES_TO
    assert [slot for slot, mark in enumerate(second_slots(code)) if mark] == [2, 9]


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_written_anew_to_the_same_places_code_is_the_same(
    byteorder: Literal["little", "big"],
) -> None:
    code = assemble(TEXT, byteorder)
    assert place_jumps(code, GOES_TO, byteorder) == (code, [])
    elsewhere = dict.fromkeys(GOES_TO, 0)
    moved, _ = place_jumps(code, elsewhere, byteorder)
    assert destinations(moved, byteorder) == elsewhere


def test_slots_are_halves_of_an_imm64_only_in_pairs() -> None:
    lone = LoneSlot(op.LD_IMM64, 1, op.LoadKind.FUNCTION)
    code = encode([lone, Instruction(op.EXIT), lone])
    assert not any(second_slots(code))
    assert len(decode(code)) == 3


def conditions() -> list[int]:
    return [
        opcode
        for opcode in range(256)
        if (insn := Instruction(opcode)).is_conditional and insn.opcode != op.MAY_GOTO
    ]


@pytest.mark.slow
@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("opcode", [*conditions(), op.MAY_GOTO, op.JA])
@pytest.mark.parametrize("forwards", [True, False])
def test_a_jump_that_is_too_far_goes_long(
    opcode: int, forwards: bool, byteorder: Literal["little", "big"]
) -> None:
    """Only which of two ways it goes is looked at here; the vm runs such jumps elsewhere."""
    jump, filler = Instruction(opcode, dst=1, src=2), [Instruction(op.EXIT)] * 33_000
    code = encode([*([] if forwards else filler), jump, *(filler if forwards else [])], byteorder)
    at, to = (0, 32_999) if forwards else (33_000, 0)
    longer, added = place_jumps(code, {at: to}, byteorder)
    assert added == [at] * (len(longer) // 8 - 33_001)
    insns = dict(walk(longer, byteorder))
    last = at + len(added)
    assert insns[last].opcode == op.JA32
    assert last + 1 + insns[last].imm == placed(to, added)
    match len(added):
        case 0:
            assert opcode == op.JA
        case 1:  # the condition is turned round
            assert (insns[at].opcode ^ opcode) & ~op.OPERATION_MASK == 0
            assert {insns[at].opcode & 0xF0, opcode & 0xF0} in OPPOSITES
            assert insns[at].offset == 1
        case 2:
            assert opcode & 0xF0 in (op.JmpOp.JSET, op.JmpOp.JCOND)
            assert (insns[at].opcode, insns[at].offset) == (opcode, 1)
            assert (insns[at + 1].opcode, insns[at + 1].offset) == (op.JA, 1)
    if opcode != op.JA:
        assert (insns[at].dst, insns[at].src) == (1, 2)


OPPOSITES = (
    {op.JmpOp.JEQ, op.JmpOp.JNE},
    {op.JmpOp.JGT, op.JmpOp.JLE},
    {op.JmpOp.JGE, op.JmpOp.JLT},
    {op.JmpOp.JSGT, op.JmpOp.JSLE},
    {op.JmpOp.JSGE, op.JmpOp.JSLT},
)


def test_one_jump_that_grows_makes_others_grow() -> None:
    """The first reaches just so, until the second, which it jumps over, takes a slot more."""
    code = encode([Instruction(0x15), Instruction(0x15), *[Instruction(op.EXIT)] * 40_000])
    assert place_jumps(code, {0: 32_768, 1: 5})[1] == []
    assert place_jumps(code, {0: 5, 1: 32_770})[1] == [1]
    assert place_jumps(code, {0: 32_768, 1: 32_770})[1] == [0, 1]


def test_without_long_jumps_only_what_16_bits_reach_is_written() -> None:
    code = encode([Instruction(op.JA), *[Instruction(op.EXIT)] * 40_000])
    assert place_jumps(code, {0: 32_768}, long_jumps=False)[1] == []
    with pytest.raises(NotSupportedError, match=r"slot 0 .* 32768 slots.*gotol.*6\.6"):
        place_jumps(code, {0: 32_769}, long_jumps=False)
