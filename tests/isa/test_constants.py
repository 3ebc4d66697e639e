"""What registers and stack are known to hold: on every path, soundly, in bounded time."""

from __future__ import annotations

import importlib
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.errors import ObjectFormatError
from osmia.isa import Instruction, assemble, control_flow, encode, parse_assembly
from osmia.isa import opcodes as op
from osmia.isa.constants import KnownValues, known_values
from osmia.isa.lattice import ANY, FRAME, WORD, Pointer, Value
from osmia.isa.state import State
from osmia.vm.engine import Vm

from .known_programs import KnownPrograms, Watch

SEED = 4200
PROGRAMS = 60
TAIL_CALL = 12


def known(text: str, **options: Any) -> KnownValues:
    return known_values(control_flow(assemble(text)), **options)


def at(text: str, label: str = "here", **options: Any) -> State:
    """What is known in front of a label."""
    state = known(text, **options).before(parse_assembly(text).labels[label])
    assert state is not None, "never reached"
    return state


def r1(text: str, **options: Any) -> Value:
    return at(f"{text}\nhere: exit", **options).registers[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("r1 = -1", 2**64 - 1),
        ("w1 = -1", 2**32 - 1),
        ("r1 = 5 ll\nr1 += 2", 7),
        ("r1 = -7\nr1 s/= 2", 2**64 - 3),
        ("r1 = 7\nr2 = 0\nr1 /= r2", 0),
        ("r1 = 7\nr2 = 0\nr1 %= r2", 7),
        ("r1 = 0x180\nr1 = (s8)r1", 2**64 - 128),
        ("r1 = 0x1234\nr1 = be16 r1", 0x3412),
        ("r1 = 1\nr1 <<= 65", 2),
        ("w1 = 1\nw1 = -w1", 2**32 - 1),
        ("r1 ^= r1", 0),
        ("w1 = w2", WORD),
        ("r1 = *(u32 *)(r2 +0)", WORD),
        ("r1 = *(s32 *)(r2 +0)", ANY),
        ("r1 &= 5", frozenset((0, 1, 4, 5))),
        ("r1 %= 3", frozenset((0, 1, 2))),
        ("r1 = r10\nr1 += -8", Pointer(FRAME.token, -8)),
        ("r1 = r10\nr1 += r2", Pointer(FRAME.token, None)),
        ("r1 = r10\nr2 = r10\nr2 += -8\nr1 -= r2", 8),
        ("r1 = r10\nr1 *= 2", ANY),
        ("r1 = 7\ncall bpf_ktime_get_ns", ANY),
        ("r1 = map[fd:3]", ANY),
    ],
)
def test_arithmetic_is_followed(text: str, value: Value) -> None:
    assert r1(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("*(u64 *)(r10 -8) = 5\nr1 = *(u64 *)(r10 -8)", 5),
        ("*(u64 *)(r10 -8) = r10\nr1 = *(u64 *)(r10 -8)", FRAME),
        ("*(u64 *)(r10 -8) = 0x1020304\nr1 = *(u16 *)(r10 -8)", 0x304),
        ("*(u64 *)(r10 -8) = 0\n*(u8 *)(r10 -7) = 1\nr1 = *(u64 *)(r10 -8)", 0x100),
        ("*(u32 *)(r10 -8) = 1\n*(u32 *)(r10 -4) = 2\nr1 = *(u64 *)(r10 -8)", 0x2_0000_0001),
        ("*(u64 *)(r10 -8) = 5\n*(u8 *)(r10 -8) = r2\nr1 = *(u64 *)(r10 -8)", ANY),
        ("*(u8 *)(r10 -8) = -1\nr1 = *(s8 *)(r10 -8)", 2**64 - 1),
        ("r2 = r10\nr2 += -16\n*(u64 *)(r2 +8) = 6\nr1 = *(u64 *)(r10 -8)", 6),
        ("*(u64 *)(r10 -8) = 5\n*(u64 *)(r3 +0) = 7\nr1 = *(u64 *)(r10 -8)", 5),
        (
            "*(u64 *)(r10 -8) = 5\nr2 = r10\nr2 += r3\n*(u8 *)(r2 +0) = 7\nr1 = *(u64 *)(r10 -8)",
            ANY,
        ),
        ("*(u64 *)(r10 -8) = 5\nlock *(u64 *)(r10 -8) += r3\nr1 = *(u64 *)(r10 -8)", ANY),
        ("*(u64 *)(r10 -520) = 5\nr1 = *(u64 *)(r10 -520)", ANY),
    ],
)
def test_the_stack_is_followed_byte_by_byte(text: str, value: Value) -> None:
    assert r1(text) == value


def test_numbers_on_the_stack_have_the_byte_order_of_the_code() -> None:
    text = "*(u64 *)(r10 -8) = 0x1020304\nr1 = *(u16 *)(r10 -2)\nr1 = be16 r1\nexit"
    code = assemble(text, byteorder="big")
    state = known_values(control_flow(code, "big"), byteorder="big").before(3)
    assert state is not None and state.number(1) == 0x304


DISGUISED = "*(u64 *)(r10 -8) = 5\nr2 = r10\nr2 ^= 8\n"


@pytest.mark.parametrize(
    ("between", "value"),
    [
        # What it was is lost: any store and any call may go there.
        (f"{DISGUISED}*(u64 *)(r3 +0) = 1", ANY),
        (f"{DISGUISED}call bpf_ktime_get_ns", ANY),
        # It is kept where nothing is known of it.
        ("*(u64 *)(r10 -8) = 5\n*(u64 *)(r3 +0) = r10\ncall bpf_ktime_get_ns", ANY),
        ("*(u64 *)(r10 -16) = r10\n*(u8 *)(r10 -16) = 0\n*(u64 *)(r3 +0) = 0", ANY),
        # Paths meet of which one has it.
        (
            "*(u64 *)(r10 -8) = 5\nr2 = 0\nif r1 == 0 goto over\nr2 = r10\nr2 *= 2\n"
            "over: *(u64 *)(r3 +0) = 1",
            ANY,
        ),
        (
            "*(u64 *)(r10 -8) = 5\nif r1 == 0 goto over\n*(u64 *)(r10 -16) = r10\n"
            "over: r2 = *(u64 *)(r10 -16)\n*(u64 *)(r2 +0) = 1",
            ANY,
        ),
        # A helper writes where it is told and behind; one that only reads changes nothing.
        ("*(u64 *)(r10 -8) = 5\nr1 = r10\nr1 += -16\nr2 = 16\ncall bpf_get_current_comm", ANY),
        ("*(u64 *)(r10 -24) = 5\nr1 = r10\nr1 += -16\nr2 = 16\ncall bpf_get_current_comm", 5),
        ("*(u64 *)(r10 -8) = 5\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem", 5),
        ("*(u64 *)(r10 -8) = 5\nr3 = r10\ncall bpf_loop", ANY),
        ("*(u64 *)(r10 -8) = 5\nr1 = r10\ncall kernel-function#7", ANY),
        ("*(u64 *)(r10 -8) = 5\nr1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall kernel-function#7", 5),
        # It reads what else lies there, a pointer into the frame among it.
        (
            "*(u64 *)(r10 -8) = 5\n*(u64 *)(r10 -16) = r10\nr2 = r10\nr2 += -16\n"
            "call bpf_map_lookup_elem",
            ANY,
        ),
    ],
)
def test_the_stack_is_forgotten_when_others_may_have_changed_it(between: str, value: Value) -> None:
    offset = -24 if "-24" in between else -8
    if "-8" not in between and offset == -8:
        between = f"*(u64 *)(r10 -8) = 5\n{between}"
    assert r1(f"{between}\nr1 = *(u64 *)(r10 {offset})") == value


def test_of_code_that_nobody_verified_any_store_and_any_call_changes_the_stack() -> None:
    for between in (
        "*(u8 *)(r3 +0) = 1",
        "call bpf_ktime_get_ns",
        "r4 = 0x10 ll\n*(u8 *)(r4 +0) = 1",
    ):
        text = f"*(u64 *)(r10 -8) = 5\n{between}\nr1 = *(u64 *)(r10 -8)"
        assert r1(text) == 5
        assert r1(text, verified=False) == ANY


def test_paths_that_meet_give_a_set() -> None:
    text = "r1 = 1\nif r2 == 0 goto here\nr1 = 2\nhere: r1 += 10\nexit"
    assert at(text).numbers(1) == frozenset({1, 2})
    assert at(text).number(1) is None
    assert at(text.replace("r1 += 10", "r1 += 10\nbehind: exit"), "behind").numbers(1) == frozenset(
        {11, 12}
    )


def test_a_comparison_tells_about_its_operands() -> None:
    assert at("if r1 == 7 goto here\nexit\nhere: exit").number(1) == 7
    assert at("if r1 != 7 goto out\nhere: r0 = 0\nout: exit").number(1) == 7
    assert at("r2 = 7\nif r1 == r2 goto here\nexit\nhere: exit").number(1) == 7
    assert at("if r1 > 3 goto out\nhere: r0 = 0\nout: exit").numbers(1) == frozenset({0, 1, 2, 3})
    assert at("if r1 < 70000 goto here\nexit\nhere: exit").registers[1] is WORD
    assert at("w1 = w1\nif w1 == 7 goto here\nexit\nhere: exit").number(1) == 7
    assert at("if w1 == 7 goto here\nexit\nhere: exit").registers[1] is ANY
    assert at("w1 = w1\nif w1 >= 2 goto out\nhere: r0 = 0\nout: exit").numbers(1) == frozenset(
        {0, 1}
    )
    assert at("r1 &= 3\nif r1 s> 1 goto here\nexit\nhere: exit").numbers(1) == frozenset({2, 3})


def test_a_way_that_no_value_takes_is_no_way() -> None:
    text = "r1 = 1\nif r1 > 2 goto never\nr2 = 5\ngoto here\nnever: r2 = 6\nhere: exit"
    assert at(text).number(2) == 5
    assert known(text).before(parse_assembly(text).labels["never"]) is None
    assert known("r1 &= 1\nif r1 == 4 goto pc+1\nexit\nexit").before(3) is None


def test_tokens_say_what_is_loaded() -> None:
    text = "r1 = map[fd:3]\nr1 += 8\nhere: exit"
    tokens = {0: Pointer("counters")}
    assert at(text, tokens=tokens).registers[1] == Pointer("counters", 8)
    assert r1("r1 = 5 ll", tokens={0: ANY}) is ANY
    both = "r1 = map[fd:1]\nif r2 == 0 goto here\nr1 = map[fd:2]\nhere: exit"
    two: dict[int, Value] = {0: Pointer("one"), 3: Pointer("two")}
    assert at(both, tokens=two).registers[1] == frozenset({Pointer("one"), Pointer("two")})


def test_constant_memory_is_read() -> None:
    content = (7).to_bytes(4, "little") + (9).to_bytes(4, "little")

    def memory(token: object, offset: int | None, size: int) -> Value | None:
        assert token == "rodata"
        if offset is None or not 0 <= offset <= len(content) - size:
            return None
        return int.from_bytes(content[offset : offset + size], "little")

    text = "r2 = map[fd:3][0]+0\n"
    options: dict[str, Any] = {"tokens": {0: Pointer("rodata")}, "memory": memory}
    assert r1(f"{text}r1 = *(u32 *)(r2 +4)", **options) == 9
    assert r1(f"{text}r1 = *(u64 *)(r2 +4)", **options) is ANY
    assert r1(f"{text}r3 &= 1\nr3 <<= 2\nr2 += r3\nr1 = *(u32 *)(r2 +0)", **options) == frozenset(
        {7, 9}
    )
    assert r1(f"{text}r2 += r3\nr1 = *(u32 *)(r2 +0)", **options) is WORD
    either = f"{text}if r3 == 0 goto over\nr2 += 4\nover: r1 = *(u32 *)(r2 +0)"
    assert r1(either, **options) == frozenset({7, 9})
    pruned = f"{text}r3 = *(u32 *)(r2 +0)\nr1 = 1\nif r3 == 7 goto here\nr1 = 2\nhere: exit"
    assert at(pruned, **options).number(1) == 1


def test_instructions_that_are_not_settled_are_not_known() -> None:
    assert r1("r1 = 5\nr1 += 8", unsettled={1}) is ANY
    assert r1("*(u64 *)(r10 -8) = 5\nr1 = *(u64 *)(r10 -8)", unsettled={1}) is ANY
    assert (
        r1("*(u64 *)(r10 -8) = 5\n*(u64 *)(r10 -16) = 6\nr1 = *(u64 *)(r10 -8)", unsettled={1})
        is ANY
    )
    assert at("r2 = 1\nif r2 == 2 goto here\nexit\nhere: exit", unsettled={1}).number(2) == 1


def test_a_loop_counts_through_a_set_and_a_long_one_is_given_up() -> None:
    text = "r1 = 0\nhere: r1 += 1\nif r1 != {n} goto here\nbehind: exit"
    assert at(text.format(n=10)).numbers(1) == frozenset(range(10))
    assert at(text.format(n=10), "behind").number(1) == 10
    assert at(text.format(n=1000)).registers[1] in (ANY, WORD)
    assert at(text.format(n=1000), "behind").number(1) == 1000


CALLS = """
        r6 = 3
        *(u64 *)(r10 -8) = 4
        r1 = 1
        r2 = 5
        call sub
        r1 = 2
        r2 = r10
        call sub
here:   exit
sub:    r6 = 9
        r0 = 0
        exit
"""


def test_a_subprogram_gets_what_its_calls_pass_and_keeps_what_is_its_callers() -> None:
    inside = at(CALLS, "sub")
    assert inside.numbers(1) == frozenset({1, 2})
    assert inside.registers[2] is ANY  # 5, or a pointer into another frame
    assert inside.registers[6] is ANY
    assert not inside.stack
    assert at(CALLS).number(6) == 3
    assert at(CALLS).stack == {}  # the second call got a pointer to it
    assert at(CALLS.replace("r2 = r10", "r2 = 0")).stack == {-8: (8, 4)}


def test_callbacks_and_roots_get_anything() -> None:
    text = "r1 = subprog[sub]\nr1 = 7\ncall sub\nexit\nsub: r0 = 0\nexit"
    assert at(text, "sub").registers[1] is ANY
    code = assemble("r1 = 7\ncall pc+1\nexit\nr0 = 0\nexit")
    assert known_values(control_flow(code)).before(3).number(1) == 7  # type: ignore[union-attr]
    both = known_values(control_flow(code, roots=(0, 3)))
    assert both.before(3).registers[1] is ANY  # type: ignore[union-attr]


def test_what_is_entered_later_is_known_as_if_it_had_been_entered_at_once() -> None:
    text = """
        r1 = 7
        call sub
        exit
    sub: r0 = 0
        if r1 == 7 goto out
        r0 = 1
    out: exit
    other: r0 = 2
        exit
    """
    labels = parse_assembly(text).labels
    flow = control_flow(assemble(text), roots=(0, labels["sub"], labels["other"]))
    later, at_once = known_values(flow, roots=[0]), known_values(flow)
    assert later.ways == {labels["sub"]: (True,)}
    assert later.before(labels["other"]) is None
    changed = later.enter(flow.roots[1:])
    assert changed == {labels[name] for name in ("sub", "out", "other")} | {labels["sub"] + 2}
    assert later.ways == at_once.ways == {labels["sub"]: (False, True)}
    assert {at: repr(state) for at, state in later.entering.items()} == {
        at: repr(state) for at, state in at_once.entering.items()
    }
    assert not later.enter(flow.roots)


def test_calls_of_a_helper_are_listed_with_what_they_get() -> None:
    text = """
        r2 = map[fd:1]
        r3 = 4
        if r1 == 0 goto over
        r3 = 5
over:   call bpf_tail_call
        r2 = map[fd:1]
        r3 = *(u32 *)(r6 +0)
        call bpf_tail_call
        r4 = 0
        if r4 == 0 goto out
        call bpf_tail_call
out:    exit
    """
    tokens = {slot: Pointer("calls") for slot in (0, 6)}
    sites = list(known(text, tokens=tokens).calls(TAIL_CALL))
    assert [slot for slot, _ in sites] == [5, 9]
    assert [state.registers[2] for _, state in sites] == [Pointer("calls")] * 2
    assert [state.numbers(3) for _, state in sites] == [{4, 5}, None]


def test_behind_a_jump_that_may_go_anywhere_nothing_is_known() -> None:
    text = "r1 = 1\nr2 = 5\ngotox r3\nhere: exit"
    assert at(text).registers[1] is ANY
    slots = {2: [3]}
    flow = control_flow(assemble(text), jump_tables=slots)
    assert known_values(flow).before(3).number(1) == 1  # type: ignore[union-attr]


# What runs really have.


@pytest.mark.parametrize("wild", [False, True])
def test_runs_have_what_is_known(wild: bool) -> None:
    print(f"seeds {SEED} to {SEED + PROGRAMS}")
    precise = 0
    with Vm(memory=1 << 24, cpus=1) as vm:
        frame = vm.cpus.of_frame(vm.cpus.first_block).stack_top if wild else None
        for seed in range(SEED, SEED + PROGRAMS):
            code = assemble(KnownPrograms(Random(seed), frame=frame).program())
            program = vm.load_program(code)
            watch = Watch(known_values(control_flow(code), verified=not wild))
            program.run(bytes(64), executor="interpreter", strict=False, hook=watch)
            precise += watch.precise
    assert precise > 1000 * PROGRAMS


def test_runs_of_packet_programs_have_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer's programs: maps, packets, tail calls, subprograms."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fuzz"))
    fuzzer = importlib.import_module("vm_programs")
    with ExitStack() as stack:
        engines = fuzzer.Engines(stack, kernel=False)
        for seed in range(SEED, SEED + PROGRAMS // 2):
            program = engines.load(fuzzer.Generator(Random(seed)).program())
            code = {s: i for s, i in enumerate(program.code.instructions) if i is not None}
            tokens: dict[int, Value] = {
                slot: Pointer(engines.vm.immediate(insn, slot))
                for slot, insn in code.items()
                if insn.is_load_imm64 and insn.src
            }
            flow = control_flow(encode(code.values()))
            watch = Watch(known_values(flow, tokens=tokens))
            program.run(bytes(64), executor="interpreter", strict=False, hook=watch)


# Hostile code.


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(min_size=8, max_size=8), max_size=12).map(b"".join), st.booleans())
def test_any_bytes_are_followed_or_refused(code: bytes, verified: bool) -> None:
    try:
        flow = control_flow(code)
    except ObjectFormatError:
        return
    found = known_values(flow, verified=verified)
    for block in flow.blocks:
        for _ in found.walk(block):
            pass


def test_every_spelled_instruction_is_followed(spelled_code: list[bytes]) -> None:
    for code in spelled_code:
        try:
            flow = control_flow(code + bytes.fromhex("9500000000000000"), subprograms=False)
        except ObjectFormatError:
            continue
        known_values(flow)


def _every_register(count: int) -> list[Instruction]:
    """Loops in loops, each of which counts a register and fills the stack."""
    back = op.Class.JMP | op.JmpOp.JSET
    add = op.Class.ALU64 | op.AluOp.ADD
    store = op.Class.STX | op.Mode.MEM | op.Size.B
    code = []
    for n in range(0, count, 3):
        code.append(Instruction(add, dst=n % 9, imm=1))
        code.append(Instruction(store, dst=10, src=n % 9, offset=-1 - n % 512))
        code.append(Instruction(back, dst=n % 9, imm=n, offset=-min(n + 3, 32_000)))
    return code


@pytest.mark.parametrize("count", [30_000])
def test_large_hostile_code_takes_time_as_it_is_long(count: int) -> None:
    code = encode([*_every_register(count), Instruction(op.EXIT)])
    flow = control_flow(code)
    started = time.process_time()
    known_values(flow)
    assert time.process_time() - started < 10


def test_a_long_function_keeps_few_stack_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(
        f"*(u8 *)(r10 -{1 + n % 512}) = {n % 3}\nif r1 == 5 goto pc+0\n" for n in range(2000)
    )
    monkeypatch.setattr("osmia.isa.constants.MOST_CELLS", 5000)
    found = known(f"{text}exit")
    assert sum(len(state.stack) for state in found.entering.values()) <= 5000 + 512
