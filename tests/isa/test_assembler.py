"""Text becomes code: labels, comments, free blanks, log excerpts, and errors that say why."""

from __future__ import annotations

import re

import pytest

from osmia.errors import AssemblerError
from osmia.isa import Instruction, assemble, disassemble, parse_assembly


def texts(source: str) -> list[str]:
    return [text for _, text in disassemble(assemble(source))]


def test_text_has_its_code(spelling: tuple[bytes, str]) -> None:
    code, text = spelling
    assert assemble(text) == code


def test_blanks_mean_nothing(spelling: tuple[bytes, str]) -> None:
    code, text = spelling
    if text.startswith(".raw"):
        return
    spread = text.replace("(", " ( ").replace(")", " ) ").replace("=", "= ").replace("= =", "==")
    assert assemble(f"\t {spread}  \r") == code
    tight = text.replace(" *)", "*)").replace(" = ", "=").replace(", ", ",").replace(" +", "+")
    assert assemble(tight) == code


def test_comments_and_empty_lines_are_skipped() -> None:
    source = """
        # a whole line
        r0 = 1      ; to the end
        r0 += 2     // to the end: goto nowhere
        call bpf_get_prandom_u32#7   # the number is no comment
        ;
        exit"""
    assert texts(source) == ["r0 = 1", "r0 += 2", "call bpf_get_prandom_u32#7", "exit"]


def test_nothing_assembles_to_nothing() -> None:
    assert assemble("") == b""
    assert assemble("end: ; only a label") == b""


def test_labels_become_distances_over_slots() -> None:
    source = """
    start:  r1 = 5 ll
            if r1 > r2 goto out
            may_goto start
            gotol start
            call sub
    out:    exit
    sub:    r1 = subprog[start]
            goto sub
    """
    assert texts(source) == [
        "r1 = 0x5 ll",
        "if r1 > r2 goto pc+3",
        "may_goto pc-4",
        "gotol pc-5",
        "call pc+1",
        "exit",
        "r1 = subprog[-8]",
        "goto pc-3",
    ]


def test_a_subprogram_address_counts_from_its_second_slot() -> None:
    [insn, *_] = parse_assembly("r1 = subprog[cb]\nexit\ncb: exit").instructions
    assert insn.imm == 2


def test_labels_may_have_dots_and_share_a_slot() -> None:
    assembly = parse_assembly("goto .L2\nentry: .L2: $x: exit\nend:")
    assert assembly.labels == {"entry": 1, ".L2": 1, "$x": 1, "end": 2}
    assert assembly.instructions[0] == Instruction(0x05)


def test_the_parsed_text_knows_the_line_of_each_instruction() -> None:
    assert parse_assembly("\nr1 = 5 ll\n\n; no\nexit").lines == (2, 5)


@pytest.mark.parametrize(
    "call", ["bpf_redirect", "redirect", "bpf_redirect#23", "23", "unknown#23"]
)
def test_a_helper_is_called_by_name_or_number(call: str) -> None:
    assert texts(f"call {call}") == ["call bpf_redirect#23"]


def test_a_label_hides_the_helper_of_that_name() -> None:
    assert texts("call redirect\nexit\nredirect: exit")[0] == "call pc+1"


def test_a_numbered_name_that_is_no_helper_is_a_kfunc() -> None:
    assert texts("call bpf_iter_num_new#77") == ["call kernel-function#77"]
    assert texts("call bpf_iter_num_new[2]#77") == ["call kernel-function[2]#77"]


def test_a_verifier_log_assembles_as_it_is() -> None:
    log = """
    0: (18) r1 = 0xffffffff00000001
    2: (b7) r0 = 5                        ; R0_w=5
    3: (15) if r0 == 0x5 goto pc+1        ; R0_w=5
    5: (95) exit
    """
    assert texts(log) == ["r1 = 0xffffffff00000001 ll", "r0 = 5", "if r0 == 0x5 goto pc+1", "exit"]


def test_a_map_of_a_program_dump_is_named_by_its_id() -> None:
    assert texts("r1 = map[id:5]\nr1 = map[id:5][0]+8") == [
        "r1 = map[fd:5]",
        "r1 = map[fd:5][0]+8",
    ]


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("r1 = 0x7fffffff", "r1 = 2147483647"),
        ("w1 = 0xffffffff", "w1 = -1"),
        ("r1 = 0x10", "r1 = 16"),
        ("r1 = -1 ll", "r1 = 0xffffffffffffffff ll"),
        ("r1 = *(u32 *)(r2)", "r1 = *(u32 *)(r2 +0)"),
        ("r1 = *(u32 *)(r2 - 0x8)", "r1 = *(u32 *)(r2 -8)"),
        ("*(u32 *)(r2 +0) = 0xffffffff", "*(u32 *)(r2 +0) = -1"),
        ("if r1 == -1 goto pc+0", "if r1 == 0xffffffff goto pc+0"),
        ("r0 = *(u8 *)skb[r1]", "r0 = *(u8 *)skb[r1 + 0]"),
    ],
)
def test_other_ways_to_write_a_number(text: str, same_as: str) -> None:
    assert texts(text) == [same_as]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("r1 = r2 = r3", "no such instruction: 'r1 = r2 = r3'"),
        ("jump away", "no such instruction"),
        ("r12 = 1", "there is no register r12: they are r0 to r10"),
        ("w1 = w99999999999999999999", "there is no register w99999999999999999999"),
        ("r01 = 1", "there is no register r01"),
        ("r1 = w2", "w2 must be r2 here"),
        ("if w1 > r2 goto pc+0", "r2 must be w2 here"),
        ("w1 = *(u32 *)(r2 +0)", "w1 must be r1 here"),
        ("r1 = 4294967296", "outside -2147483648 to 2147483647; r1 = 4294967296 ll loads 64 bits"),
        ("w1 = 4294967296", "outside"),
        ("r1 = 0x10000000000000000 ll", "outside"),
        ("r1 = 010", "must be a decimal or 0x number, not '010'"),
        ("r1 = five", "must be a number, not 'five'"),
        ("r1 = " + "9" * 10_000, "must be a number"),
        ("*(u32 *)(r1 +32768) = 5", "the offset +32768 is outside"),
        ("*(u33 *)(r1 +0) = 5", "'u33' is not a type of this access"),
        ("*(s32 *)(r1 +0) = r2", "'s32' is not a type"),
        ("r1 = *(s64 *)(r2 +0)", "'s64' is not a type"),
        ("r1 = be16 r2", "r1 and r2 must be the same register"),
        ("r1 = be24 r1", "no such instruction"),
        ("w1 = (s32)w2", "extends 8 or 16 bits"),
        ("r1 = -r2", "must be the same register"),
        ("r1 = *(u8 *)skb[5]", "packet access loads r0, not r1"),
        ("r0 = *(u64 *)skb[5]", "packet access loads u8, u16 or u32"),
        ("lock *(u16 *)(r1 +0) += r2", "atomic operations take u32 or u64"),
        ("r2 = atomic_xchg((u64 *)(r1 +0), r2)", "atomic does not go with u64"),
        ("r2 = atomic_xchg((u32 *)(r1 +0), r3)", "must be the same register"),
        ("r1 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)", "compares with r0"),
        ("goto nowhere", "label 'nowhere' is not defined"),
        ("r1 = subprog[nowhere]", "label 'nowhere' is not defined"),
        ("call bpf_nothing", "no label and no helper 'bpf_nothing' to call"),
        ("call bpf_redirect#1", "bpf_redirect is helper 23, not 1"),
        ("goto pc+40000", "outside -32768 to 32767"),
        ("(95) r0 = 0", "'r0 = 0' has opcode b7, not (95)"),
        (".raw 0xb7, dst=1, src=0, offset=0, imm=0, imm_high=0", "only opcode 0x18"),
        (".raw 0x100, dst=1, src=0, offset=0, imm=0", "the opcode 0x100 is outside"),
        ("call pc+40000#2", "16 bits"),
        ("a: b: a: exit", "label 'a' is defined twice"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(text: str, reason: str) -> None:
    with pytest.raises(AssemblerError, match=f"^line 3: .*{re.escape(reason)}") as caught:
        assemble(f"r0 = 0\n\n{text}\nexit")
    assert caught.value.line == 3


def test_a_label_too_far_for_goto_says_so_and_gotol_reaches_it() -> None:
    filler = "r0 = 0\n" * 40_000
    with pytest.raises(AssemblerError, match=r"line 1: label 'far' is 40000 slots away.*gotol"):
        assemble(f"goto far\n{filler}far: exit")
    assert texts(f"gotol far\n{filler}far: exit")[0] == "gotol pc+40000"
