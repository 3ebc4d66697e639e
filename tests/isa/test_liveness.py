"""Which registers are still needed, by hand-made cases and by the kernel's own answer."""

from __future__ import annotations

import pytest

from osmia.isa import (
    assemble,
    control_flow,
    live_registers,
    parse_assembly,
    registers_read,
    registers_written,
)
from osmia.isa.instruction import Instruction
from osmia.isa.liveness import ALL_REGISTERS, registers


def live_before(source: str) -> list[tuple[int, ...]]:
    flow = control_flow(assemble(source))
    before = live_registers(flow).before
    return [registers(before[slot]) for slot in flow.instructions]


@pytest.mark.parametrize(
    ("text", "read", "written"),
    [
        ("r1 += r2", (1, 2), (1,)),
        ("w1 s/= 5", (1,), (1,)),
        ("r1 = r2", (2,), (1,)),
        ("r1 = 5", (), (1,)),
        ("r1 = (s8)r2", (2,), (1,)),
        ("r1 = -r1", (1,), (1,)),
        ("r1 = be16 r1", (1,), (1,)),
        ("r1 = addr_space_cast(r2, 0, 1)", (2,), (1,)),
        ("r1 = 5 ll", (), (1,)),
        ("r1 = *(u8 *)(r2 +0)", (2,), (1,)),
        ("*(u8 *)(r2 +0) = 5", (2,), ()),
        ("*(u8 *)(r2 +0) = r3", (2, 3), ()),
        ("lock *(u64 *)(r2 +0) += r3", (2, 3), ()),
        ("r3 = atomic64_fetch_add((u64 *)(r2 +0), r3)", (2, 3), (3,)),
        ("r3 = atomic_xchg((u32 *)(r2 +0), r3)", (2, 3), (3,)),
        ("r0 = atomic_cmpxchg((u32 *)(r2 +0), r0, r3)", (0, 2, 3), (0,)),
        ("r1 = load_acquire((u32 *)(r2 +0))", (2,), (1,)),
        ("store_release((u32 *)(r2 +0), r3)", (2, 3), ()),
        ("r0 = *(u8 *)skb[5]", (6,), (0, 1, 2, 3, 4, 5)),
        ("r0 = *(u8 *)skb[r7 + 5]", (6, 7), (0, 1, 2, 3, 4, 5)),
        ("if r1 > r2 goto pc+0", (1, 2), ()),
        ("if r1 > 0x5 goto pc+0", (1,), ()),
        ("may_goto pc+0", (), ()),
        ("call bpf_map_lookup_elem", (1, 2), (0, 1, 2, 3, 4, 5)),
        ("call bpf_get_prandom_u32", (), (0, 1, 2, 3, 4, 5)),
        ("call bpf_trace_printk", (1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5)),
        ("call unknown#5000", (1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5)),
        ("call pc+0", (1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5)),
        ("callx r7", (1, 2, 3, 4, 5, 7), (0, 1, 2, 3, 4, 5)),
        ("exit", (0,), ()),
    ],
)
def test_an_instruction_reads_and_writes(
    text: str, read: tuple[int, ...], written: tuple[int, ...]
) -> None:
    [insn] = parse_assembly(text).instructions
    assert registers(registers_read(insn)) == read
    assert registers(registers_written(insn)) == written


def test_an_unknown_instruction_is_taken_to_need_everything() -> None:
    assert registers_read(Instruction(0xFF)) == ALL_REGISTERS
    assert registers_written(Instruction(0xFF)) == 0


def test_a_value_lives_from_its_writing_to_its_last_reading() -> None:
    assert live_before("r6 = 1\nr0 = 2\nr0 += r6\nexit") == [(), (6,), (0, 6), (0,)]


def test_a_value_overwritten_unread_is_dead() -> None:
    flow = control_flow(assemble("r0 = 1\nr0 = 2\nexit"))
    assert live_registers(flow).after[0] == 0


def test_either_arm_of_a_branch_keeps_a_value_alive() -> None:
    source = "if r1 > 0x0 goto other\nr0 = r2\nexit\nother: r0 = r3\nexit"
    assert live_before(source)[0] == (1, 2, 3)


def test_a_loop_keeps_what_its_next_turn_reads() -> None:
    source = "loop: r0 += r6\nr7 -= 1\nif r7 != 0x0 goto loop\nexit"
    assert live_before(source) == [(0, 6, 7), (0, 6, 7), (0, 6, 7), (0,)]


def test_long_chains_of_loops_need_no_recursion() -> None:
    source = "r0 = 0\n" + "if r1 == 0x0 goto pc-1\n" * 20_000 + "exit"
    assert live_before(source)[5] == (0, 1)


def test_all_registers_are_needed_behind_a_jump_of_which_nothing_is_known() -> None:
    code = assemble("r2 = 5\ngotox r1\nexit")
    anywhere = live_registers(control_flow(code))
    assert anywhere.after[1] == ALL_REGISTERS
    assert registers(anywhere.before[0]) == tuple(r for r in range(12) if r != 2)
    known = live_registers(control_flow(code, jump_tables={1: [2]}))
    assert registers(known.before[0]) == (0, 1)
