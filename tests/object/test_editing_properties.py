"""Random edits of random functions: nothing that was not edited changes, and all can be undone."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.isa import Instruction, encode, walk
from osmia.isa import opcodes as op
from osmia.isa.jumps import destinations, second_slots
from osmia.object import (
    CoreRelocation,
    Function,
    JumpTable,
    Object,
    Relocation,
    RelocationKind,
    Unresolved,
)
from osmia.object.editing import FunctionEditor, Label

pytestmark = pytest.mark.slow

ByteOrder = Literal["little", "big"]
ADD = op.Class.ALU64 | op.AluOp.ADD
CALL_KINDS = (RelocationKind.CALL, RelocationKind.EXTERN_CALL)
LOAD_KINDS = (RelocationKind.MAP, RelocationKind.DATA, RelocationKind.FUNCTION)

TABLES = ("relocations", "core_relocations", "unresolved")
#: What an instruction of a generated function is; weights by repetition.
WORDS = ("add", "add", "add", "load", "named load", "call", "if", "if", "may_goto", "goto", "gotol")


@dataclass
class Written:
    """A function while it is written down; places are indexes of instructions."""

    instructions: list[Instruction] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    relocations: list[tuple[int, RelocationKind]] = field(default_factory=list)
    core: list[int] = field(default_factory=list)


def write(words: Iterable[str]) -> Written:
    written = Written()
    for number, word in enumerate(words):
        at = len(written.instructions)
        match word:
            case "add":
                insn = Instruction(ADD, dst=1, imm=number)
                if number % 3 == 0:
                    written.core.append(at)
            case "load" | "named load":
                insn = Instruction(op.LD_IMM64, dst=2, imm=number, imm_high=-number)
                if word == "named load":
                    written.relocations.append((at, LOAD_KINDS[number % len(LOAD_KINDS)]))
            case "call":
                insn = Instruction(op.CALL, src=op.CallKind.SUBPROGRAM, imm=-1)
                written.relocations.append((at, CALL_KINDS[number % len(CALL_KINDS)]))
            case _:
                opcode = {"goto": op.JA, "gotol": op.JA32, "may_goto": op.MAY_GOTO}.get(word, 0x15)
                insn = Instruction(opcode)
                written.jumps.append(at)
        written.instructions.append(insn)
    return written


@st.composite
def functions(
    draw: st.DrawFn, byteorder: ByteOrder, most: int = 40
) -> tuple[Function, tuple[int, ...]]:
    """A function that ends in exit, and some of its instructions' slots for a jump table."""
    written = write(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=most)))
    written.instructions.append(Instruction(op.EXIT))
    slots, size = [], 0
    for insn in written.instructions:
        slots.append(size)
        size += insn.slots
    place = st.sampled_from(slots)
    for at in written.jumps:
        insn, distance = written.instructions[at], draw(place) - slots[at] - 1
        by_imm = insn.opcode == op.JA32
        written.instructions[at] = Instruction(
            insn.opcode, offset=0 if by_imm else distance, imm=distance if by_imm else 0
        )
    relocations = [
        Relocation(8 * slots[at], kind, f"n{at}", at) for at, kind in written.relocations
    ]
    core = [CoreRelocation(8 * slots[at], 0, at, "0:1", at) for at in written.core]
    function = Function(
        "f",
        ".text",
        encode(written.instructions, byteorder),
        relocations=tuple(relocations),
        core_relocations=tuple(core),
        unresolved=tuple(
            Unresolved(8 * slot, f"what {slot} asks") for slot in sorted(draw(st.sets(place)))
        ),
        line_info=packed_lines({0, *draw(st.sets(place))}, byteorder, 100),
    )
    return function, tuple(draw(st.lists(place, max_size=6)))


def packed_lines(slots: Iterable[int], byteorder: ByteOrder, first: int) -> bytes:
    """Records of lines that all differ."""
    order = "<" if byteorder == "little" else ">"
    numbered = enumerate(sorted(slots), first)
    return b"".join(struct.pack(f"{order}4I", slot, 1, 2, n << 10) for n, slot in numbered)


def line_of(function: Function, byteorder: ByteOrder) -> list[int]:
    """For each slot the line it has."""
    order = "<" if byteorder == "little" else ">"
    records = {s: w >> 10 for s, _, _, w in struct.iter_unpack(f"{order}4I", function.line_info)}
    found, line = [], 0
    for slot in range(function.instruction_count):
        line = records.pop(slot, line)
        found.append(line)
    assert not records
    return found


def starts(function: Function) -> list[int]:
    second = second_slots(function.code)
    return [slot for slot in range(len(second)) if not second[slot]]


def object_with(function: Function, targets: tuple[int, ...], byteorder: ByteOrder) -> Object:
    return Object(
        "o",
        byteorder=byteorder,
        functions={"f": function},
        jump_tables={"t": JumpTable("t", "f", targets)},
    )


def jumps_of(function: Function, byteorder: ByteOrder) -> dict[int, int]:
    named = {record.offset // 8 for record in function.relocations}
    found = destinations(function.code, byteorder)
    return {slot: target for slot, target in found.items() if slot not in named}


BYTEORDERS: st.SearchStrategy[ByteOrder] = st.sampled_from(("little", "big"))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data(), BYTEORDERS)
def test_what_is_put_in_and_taken_out_again_leaves_nothing(
    data: st.DataObject, byteorder: ByteOrder
) -> None:
    function, targets = data.draw(functions(byteorder))
    obj = object_with(function, targets, byteorder)
    edit = FunctionEditor(obj, "f")
    for slot in data.draw(st.lists(st.sampled_from(starts(function)), max_size=8)):
        new, _ = data.draw(functions(byteorder, most=5))
        if data.draw(st.booleans()):
            new = replace(new, line_info=b"")
        edit.insert_before(edit.label(slot), new, takes_jumps=data.draw(st.booleans()))
    longer, moved = edit.apply()
    kept = {at for at in moved if at is not None}
    undo = FunctionEditor(longer, "f")
    for first, last in runs(longer.functions["f"], kept):
        undo.delete(undo.label(first), undo.label(last), jumps_go_to=undo.label(last + 1))
    assert undo.apply()[0] == obj


def runs(function: Function, kept: set[int]) -> list[tuple[int, int]]:
    """First and last instruction of each run of slots that is not in `kept`."""
    found: list[tuple[int, int]] = []
    for slot in starts(function):
        if slot in kept:
            continue
        if found and not any(at in kept for at in range(found[-1][1], slot)):
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data(), BYTEORDERS)
def test_what_is_replaced_and_put_back_is_as_it_was(
    data: st.DataObject, byteorder: ByteOrder
) -> None:
    function, targets = data.draw(functions(byteorder))
    obj = object_with(function, targets, byteorder)
    places = starts(function)
    first = data.draw(st.sampled_from(places[:-1]))
    last = data.draw(st.sampled_from([slot for slot in places[:-1] if slot >= first]))
    end = places[places.index(last) + 1]
    edit = FunctionEditor(obj, "f")
    new, _ = data.draw(functions(byteorder, most=5))
    new = replace(new, line_info=b"")
    piece = edit.replace(edit.label(first), edit.label(last), new)
    inner = [slot for slot in places if first < slot <= last]
    for slot in inner:  # so that it can be told apart afterwards who went where
        edit.redirect(edit.label(slot), piece.label())
    changed, moved = edit.apply()
    undo = FunctionEditor(changed, "f")
    old = cut(function, first, end, byteorder)
    at, size = moved[first - 1] + 1 if first else 0, new.instruction_count  # type: ignore[operator]
    sites = {slot: to for slot, to in jumps_of(function, byteorder).items() if first <= slot < end}
    outside = {
        slot - first: undo.label(moved[to])  # type: ignore[arg-type]
        for slot, to in sites.items()
        if not first <= to <= end
    }
    back = undo.replace(undo.label(at), undo.label(at + size - 1), old, jumps=outside)
    again, _ = undo.apply()
    result = again.functions["f"]
    assert without_jumps(result, byteorder) == without_jumps(function, byteorder)
    for name in TABLES:
        assert getattr(result, name) == getattr(function, name)
    assert result.line_info == function.line_info
    assert back.slots == end - first
    if not any(slot in inner for slot in (*jumps_of(function, byteorder).values(), *targets)):
        assert again == obj


def cut(function: Function, first: int, end: int, byteorder: ByteOrder) -> Function:
    """The part of a function between two slots, as code to put in."""
    order = "<" if byteorder == "little" else ">"
    lines = [
        struct.pack(f"{order}4I", slot - first, *rest)
        for slot, *rest in struct.iter_unpack(f"{order}4I", function.line_info)
        if first <= slot < end
    ]

    def part(records: Iterable[Relocation | CoreRelocation | Unresolved]) -> tuple[object, ...]:
        return tuple(
            record._replace(offset=record.offset - 8 * first)
            for record in records
            if 8 * first <= record.offset < 8 * end
        )

    code = function.code[8 * first : 8 * end]
    tables = {name: part(getattr(function, name)) for name in TABLES}
    return Function("", "", code, line_info=b"".join(lines), **tables)  # type: ignore[arg-type]


def without_jumps(function: Function, byteorder: ByteOrder) -> list[Instruction]:
    sites = jumps_of(function, byteorder)
    return [
        Instruction(insn.opcode) if slot in sites else insn
        for slot, insn in walk(function.code, byteorder)
    ]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data(), BYTEORDERS)
def test_all_that_is_kept_does_what_it_did(data: st.DataObject, byteorder: ByteOrder) -> None:
    """Instructions, tables, lines and where jumps land, each against the plain rule for it."""
    function, targets = data.draw(functions(byteorder))
    obj = object_with(function, targets, byteorder)
    edit = FunctionEditor(obj, "f")
    places = starts(function)
    taking: dict[int, int] = dict.fromkeys(places, 0)
    gone: dict[int, Label] = {}
    for slot in places[:-1]:
        match data.draw(st.integers(0, 9)):
            case 0 | 1:
                size, takes = data.draw(st.integers(0, 3)), data.draw(st.booleans())
                new = [Instruction(ADD, dst=3, imm=slot)] * size
                edit.insert_before(edit.label(slot), new, takes_jumps=takes)
                taking[slot] += size if takes else 0
            case 2:
                edit.delete(edit.label(slot), jumps_go_to=edit.label(places[-1]))
                gone[slot] = edit.label(places[-1])
    after, moved = edit.apply()
    result = after.functions["f"]
    instructions = dict(walk(result.code, byteorder))
    jumps, now = jumps_of(function, byteorder), jumps_of(result, byteorder)

    def lands(slot: int) -> int:
        target = gone[slot].slot if slot in gone else slot
        at = moved[target]
        assert at is not None
        return at - taking[target]

    for slot, insn in walk(function.code, byteorder):
        at = moved[slot]
        assert (at is None) == (slot in gone)
        if at is not None:
            assert line_of(result, byteorder)[at] == line_of(function, byteorder)[slot]
            if slot in jumps:
                assert instructions[at].opcode == insn.opcode
                assert now[at] == lands(jumps[slot])
            else:
                assert instructions[at] == insn
    for name in TABLES:
        kept = [record for record in getattr(function, name) if record.offset // 8 not in gone]
        now_at = [record._replace(offset=8 * moved[record.offset // 8]) for record in kept]
        assert getattr(result, name) == tuple(now_at)
    assert after.jump_tables["t"].targets == tuple(lands(slot) for slot in targets)
    records = [slot for slot, *_ in struct.iter_unpack("4I", result.line_info)]
    if byteorder == "little":
        assert records == sorted(set(records))
        assert records[0] == 0
        assert not any(second_slots(result.code)[slot] for slot in records)
