"""Blocks, where they go on, what is reached; and code that jumps where it must not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.errors import ObjectFormatError
from osmia.isa import (
    BasicBlock,
    ControlFlow,
    assemble,
    cfg,
    control_flow,
    encode,
    parse_assembly,
    walk,
)
from osmia.isa.instruction import Instruction


def flow_of(source: str, **options: Any) -> ControlFlow:
    return control_flow(assemble(source), **options)


DIAMOND = """
        if r1 > 0x5 goto big
        r0 = 0
        goto out
big:    r0 = 1 ll
out:    exit
"""


def test_a_branch_has_two_successors_and_its_arms_meet() -> None:
    flow = flow_of(DIAMOND)
    assert flow.blocks == (
        BasicBlock(0, 1, (1, 3)),
        BasicBlock(1, 3, (5,)),
        BasicBlock(3, 5, (5,)),
        BasicBlock(5, 6, ()),
    )
    assert flow.predecessors == {0: (), 1: (0,), 3: (0,), 5: (1, 3)}
    assert flow.reachable == {0, 1, 3, 5}


def test_the_block_of_a_slot_is_found() -> None:
    flow = flow_of(DIAMOND)
    assert [flow.block_at(slot).start for slot in range(6)] == [0, 1, 1, 3, 3, 5]
    for outside in (-1, 6):
        with pytest.raises(ValueError, match="outside the code"):
            flow.block_at(outside)


def test_a_block_gives_its_instructions_with_their_slots() -> None:
    flow = flow_of("r1 = 1 ll\nr0 = 0\nexit")
    assert [slot for slot, _ in flow.block_instructions(flow.blocks[0])] == [0, 2, 3]


def test_code_behind_a_jump_is_not_reached() -> None:
    flow = flow_of("r0 = 0\ngotol out\nr0 = 1\nout: exit")
    assert flow.reachable == {0, 3}
    assert not flow.is_reachable(2)
    assert flow.is_reachable(1)


def test_may_goto_goes_on_or_jumps() -> None:
    flow = flow_of("loop: may_goto out\nr0 += 1\ngoto loop\nout: exit")
    assert [block.successors for block in flow.blocks] == [(1, 3), (0,), ()]


def test_a_branch_to_the_next_instruction_has_one_successor() -> None:
    flow = flow_of("if r1 > r2 goto pc+0\nexit")
    assert flow.blocks[0].successors == (1,)


CALLING = """
        call first
        r1 = subprog[callback]
        exit
first:  call first
        exit
never:  call orphan
        exit
orphan: exit
callback: exit
"""


def test_subprograms_are_entries_reached_through_calls_and_addresses() -> None:
    flow = flow_of(CALLING)
    labels = parse_assembly(CALLING).labels
    first, never, orphan, callback = (
        labels[name] for name in ("first", "never", "orphan", "callback")
    )
    assert flow.blocks[0].calls == (first, callback)
    assert flow.blocks[0].successors == ()
    assert flow.entries == (0, first, orphan, callback)
    assert flow.reachable == {0, first, callback}
    assert not flow.is_reachable(never)


def test_a_function_is_its_own_blocks_only() -> None:
    flow = flow_of("call sub\nexit\nsub: if r1 > r2 goto out\nr0 = 0\nout: exit")
    assert flow.function(0) == {0}
    assert flow.function(2) == {2, 3, 4}


def test_more_roots_reach_more() -> None:
    flow = flow_of("exit\nr0 = 0\nexit", roots=(0, 1))
    assert flow.reachable == {0, 1}
    assert flow.entries == (0, 1)


def test_calls_before_relocation_can_be_left_alone() -> None:
    flow = flow_of("call pc-100\nr1 = subprog[+100]\nexit", subprograms=False)
    assert flow.blocks == (BasicBlock(0, 4, ()),)


def test_code_that_runs_off_its_end_says_so() -> None:
    flow = flow_of("r0 = 0\nif r1 > r2 goto pc-2")
    assert flow.blocks[-1] == BasicBlock(0, 2, (0,), runs_off_end=True)


def test_an_indirect_jump_goes_where_its_table_says() -> None:
    source = "gotox r1\nr0 = 0\nexit\nr0 = 1\nexit"
    flow = flow_of(source, jump_tables={0: [3, 1, 3]})
    assert flow.blocks[0].successors == (3, 1)
    with pytest.raises(ObjectFormatError, match="slot 77"):
        flow_of(source, jump_tables={0: [77]})


def test_an_indirect_jump_of_which_nothing_is_known_goes_anywhere() -> None:
    flow = flow_of("r0 = 7\nif r1 == 0 goto over\ngotox r1\nover: exit\nr0 = 5 ll\nexit")
    assert [block.start for block in flow.blocks] == [0, 1, 2, 3, 4, 6]
    jump = flow.block_at(2)
    assert jump == BasicBlock(2, 3, (), goes_anywhere=True)
    assert flow.reachable == {0, 1, 2, 3, 4, 6}
    unreached = flow_of("exit\ngotox r1\nr0 = 1\nexit")
    assert unreached.reachable == {0}


def test_one_function_of_some_code_flows_by_itself() -> None:
    code = assemble("call pc+1\nexit\nif r1 == 0 goto pc+1\nr0 = 1\nexit")
    own = {slot: insn for slot, insn in walk(code) if slot >= 2}
    flow = cfg.flow_of(own, roots=(2,), subprograms=False)
    assert flow.blocks == (BasicBlock(2, 3, (3, 4)), BasicBlock(3, 4, (4,)), BasicBlock(4, 5, ()))
    assert flow.reachable == {2, 3, 4}
    with pytest.raises(ObjectFormatError, match="slot 0"):
        cfg.flow_of({**own, 4: Instruction(0x05, offset=-5)}, roots=(2,), subprograms=False)


def test_no_code_has_no_blocks() -> None:
    assert control_flow(b"").blocks == ()
    assert control_flow(b"").reachable == frozenset()


@pytest.mark.parametrize(
    "source",
    [
        "r0 = 0\ngoto pc+1\nexit",
        "r0 = 0\ngoto pc-3\nexit",
        "r0 = 0\nif r1 > r2 goto pc+1\nr1 = 1 ll\nexit",
        "r0 = 0\ncall pc+1\nexit",
        "r0 = 0\ngotol pc+2147483647\nexit",
        "r0 = 0\nr1 = subprog[+4]\nexit",
    ],
)
def test_going_where_no_instruction_starts_is_refused_with_the_offset(source: str) -> None:
    with pytest.raises(ObjectFormatError, match="no instruction starts") as caught:
        flow_of(source)
    assert caught.value.offset == 8


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(min_size=8, max_size=8), max_size=12).map(b"".join))
def test_hostile_code_gives_blocks_that_cover_it_or_an_exception_of_ours(code: bytes) -> None:
    try:
        flow = control_flow(code)
    except ObjectFormatError:
        return
    edges = [0, *(block.end for block in flow.blocks)]
    assert edges[-1] == len(code) // 8
    assert [block.start for block in flow.blocks] == edges[:-1]


@pytest.mark.alone
def test_a_jump_into_every_slot_of_large_code_stays_fast() -> None:
    count = 30_000
    branches = [Instruction(0x15, offset=-(i % 32_000)) for i in range(1, count)]
    code = encode([*branches, Instruction(0x95)])
    started = time.perf_counter()
    assert len(control_flow(code).reachable) == count
    assert time.perf_counter() - started < 10
