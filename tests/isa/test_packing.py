"""Decoding and encoding: any bytes survive, fields are where RFC 9669 puts them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.errors import AssemblerError, ObjectFormatError
from osmia.isa import Instruction, LoneSlot, decode, decode_one, encode, walk
from osmia.isa.packing import ByteOrder

LD_IMM64 = 0x18
any_slot = st.binary(min_size=8, max_size=8)
# Random bytes rarely hold an ld_imm64, least of all with a right second slot.
wide_slot = st.binary(min_size=7, max_size=7).map(lambda rest: bytes([LD_IMM64]) + rest)
second_slot = st.binary(min_size=4, max_size=4).map(lambda imm: bytes(4) + imm)
any_code = st.lists(st.one_of(any_slot, wide_slot, second_slot), max_size=20).map(b"".join)


@settings(derandomize=True, deadline=None)
@given(any_code, st.sampled_from(["little", "big"]))
def test_any_bytes_decode_and_encode_to_themselves(code: bytes, byteorder: ByteOrder) -> None:
    assert encode(decode(code, byteorder), byteorder) == code


@settings(derandomize=True, deadline=None)
@given(any_code)
def test_the_instructions_cover_the_code_without_gap(code: bytes) -> None:
    expected = 0
    for slot, insn in walk(code):
        assert slot == expected
        expected += insn.slots
    assert expected == len(code) // 8


def test_fields_of_little_endian_code() -> None:
    code = bytes.fromhex("7b1af8ff00000000")
    assert decode(code) == [Instruction(0x7B, dst=10, src=1, offset=-8)]


def test_big_endian_code_has_the_registers_and_bytes_the_other_way_round() -> None:
    little = bytes.fromhex("7b1af8ff01020304")
    big = bytes.fromhex("7ba1fff804030201")
    assert decode(big, "big") == decode(little)
    assert encode(decode(little), "big") == big


def test_ld_imm64_is_one_instruction_of_two_slots() -> None:
    [insn] = decode(bytes.fromhex("18010000fbffffff0000000001000000"))
    assert insn == Instruction(LD_IMM64, dst=1, imm=-5, imm_high=1)
    assert (insn.slots, insn.is_load_imm64, insn.imm64) == (2, True, 0x1FFFFFFFB)


@pytest.mark.parametrize(
    "following", ["", "0100000000000000", "0001000000000000", "0000010000000000"]
)
def test_ld_imm64_without_its_second_slot_is_a_lone_slot(following: str) -> None:
    first, *rest = decode(bytes.fromhex("1801000005000000" + following))
    assert first == LoneSlot(LD_IMM64, dst=1, imm=5)
    assert (first.slots, first.is_load_imm64) == (1, False)
    assert len(rest) == (1 if following else 0)


def test_code_that_is_not_whole_slots_is_refused_with_the_offset() -> None:
    with pytest.raises(ObjectFormatError, match="12 bytes") as caught:
        decode(bytes(12))
    assert caught.value.offset == 8


def test_one_instruction_is_decoded_at_its_offset() -> None:
    code = bytes.fromhex("b700000001000000 18010000050000000000000007000000 9500000000000000")
    assert decode_one(code, 0) == Instruction(0xB7, imm=1)
    assert decode_one(code, 8) == Instruction(LD_IMM64, dst=1, imm=5, imm_high=7)
    assert decode_one(memoryview(code), 24).is_exit


@pytest.mark.parametrize("offset", [-8, 3, 16, 1 << 40])
def test_no_instruction_at_a_wrong_offset(offset: int) -> None:
    with pytest.raises(ObjectFormatError) as caught:
        decode_one(bytes(16), offset)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "insn",
    [
        Instruction(256),
        Instruction(0xB7, dst=16),
        Instruction(0xBF, src=-1),
        Instruction(0x05, offset=32768),
        Instruction(0xB7, imm=1 << 31),
        Instruction(LD_IMM64, imm_high=1 << 31),
        Instruction(0xB7, imm_high=1),
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_is_refused_with_the_instruction(insn: Instruction) -> None:
    with pytest.raises(AssemblerError, match="instruction 1, "):
        encode([Instruction(0x95), insn])


def test_instructions_are_values() -> None:
    assert Instruction(0x95) == Instruction(0x95)
    assert len({Instruction(0x95), Instruction(0x95)}) == 1
    assert LoneSlot(LD_IMM64) != Instruction(LD_IMM64)
    with pytest.raises(AttributeError):
        Instruction(0x95).imm = 1  # type: ignore[misc]
