"""Every form has the verifier's spelling; whatever else prints as raw, and back exactly."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.errors import ObjectFormatError
from osmia.isa import Instruction, decode, disassemble, encode, form_of, format_instruction
from osmia.isa.assembler import assemble
from osmia.isa.forms import _RULES, Form
from osmia.isa.packing import ByteOrder

byteorders = st.sampled_from(["little", "big"])
registers = st.sampled_from([0, 0, 1, 2, 10, 11, 12]) | st.integers(0, 15)
offsets = st.sampled_from([0, 0, 1, 8, 16, 32, -1, 32767, -32768])
# Immediates that select a form, and the ends of the range.
immediates = st.sampled_from(
    [0, 0, 1, 5, -1, 16, 32, 64, 0x41, 0xE1, 0xF1, 0x100, 0x110, 2**31 - 1, -(2**31)]
)


@st.composite
def known_opcodes(draw: st.DrawFn) -> bytes:
    """An instruction whose opcode is known, its other fields likely but not surely right."""
    opcode = draw(st.sampled_from(sorted(_RULES)))
    dst, src = draw(registers), draw(registers)
    slot = struct.pack("<BBhi", opcode, src << 4 | dst, draw(offsets), draw(immediates))
    return slot + struct.pack("<ii", 0, draw(immediates)) if opcode == 0x18 else slot


any_code = st.lists(st.one_of(known_opcodes(), st.binary(min_size=8, max_size=8)), max_size=20)


def text_of(code: bytes, byteorder: ByteOrder = "little") -> str:
    return "\n".join(text for _, text in disassemble(code, byteorder))


def test_code_has_its_spelling(spelling: tuple[bytes, str]) -> None:
    code, text = spelling
    assert list(disassemble(code)) == [(0, text)]


def test_the_spellings_cover_every_form(spelled_code: list[bytes]) -> None:
    forms = {form_of(insn) for code in spelled_code for insn in decode(code)}
    assert forms == {*Form, None}


@settings(derandomize=True, deadline=None)
@given(any_code.map(b"".join), byteorders)
def test_assembling_the_text_of_any_code_gives_it_back(code: bytes, byteorder: ByteOrder) -> None:
    assert assemble(text_of(code, byteorder), byteorder) == code


@settings(derandomize=True, deadline=None)
@given(known_opcodes())
def test_a_form_that_is_known_does_not_print_as_raw(code: bytes) -> None:
    [insn] = decode(code)
    assert text_of(code).startswith(".raw") == (form_of(insn) is None)


def test_slots_count_both_halves_of_ld_imm64() -> None:
    code = assemble("r1 = 5 ll\nr0 = 0\nexit")
    assert [slot for slot, _ in disassemble(code)] == [0, 2, 3]


def test_names_stand_for_what_is_loaded_called_and_jumped_to() -> None:
    source = (
        "r1 = map[fd:0]\ncall pc+9\ncall kernel-function#77\nif r1 == 0x0 goto pc+1\nr0 = 0\nexit"
    )
    names = {0: "&flows", 16: "parse", 24: "bpf_iter_num_new", 32: "out"}
    asked: list[int] = []

    def symbol(offset: int, insn: Instruction) -> str | None:
        asked.append(offset)
        return names.get(offset)

    texts = [text for _, text in disassemble(assemble(source), symbol=symbol)]
    assert texts == [
        "r1 = &flows",
        "call parse",
        "call bpf_iter_num_new#77",
        "if r1 == 0x0 goto out",
        "r0 = 0",
        "exit",
    ]
    assert asked == [0, 16, 24, 32]


def test_an_instruction_without_a_name_keeps_its_number() -> None:
    text = list(disassemble(assemble("call pc+9"), symbol=lambda offset, insn: None))
    assert text == [(0, "call pc+9")]


def test_a_single_instruction_prints_with_and_without_a_name() -> None:
    call = Instruction(0x85, src=1, imm=9)
    assert format_instruction(call) == "call pc+9"
    assert format_instruction(call, "parse") == "call parse"
    assert format_instruction(Instruction(0xFF)) == ".raw 0xff, dst=0, src=0, offset=0, imm=0"


def test_big_endian_code_prints_the_same_text() -> None:
    source = "r1 = 0x700000005 ll\n*(u32 *)(r10 -8) = r1\nif r1 > 0x5 goto pc+1\nr0 = 0\nexit"
    assert text_of(assemble(source, "big"), "big") == source


def test_code_that_is_not_whole_slots_is_refused() -> None:
    with pytest.raises(ObjectFormatError):
        list(disassemble(encode([Instruction(0x95)]) + b"\0"))
