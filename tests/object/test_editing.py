"""Editing a function: where jumps land, what moves along, what is refused."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest

from osmia.errors import AssemblerError, EditError, NotSupportedError, OsmiaError
from osmia.isa import Instruction, assemble, encode, format_instruction, walk
from osmia.isa import opcodes as op
from osmia.object import CoreRelocation, Function, JumpTable, Object, Relocation, RelocationKind
from osmia.object.editing import FunctionEditor, apply_edits

MAP, CALL = RelocationKind.MAP, RelocationKind.CALL

LOOP = """
    r0 = 0
again:
    r0 += 1
    if r0 != 5 goto again
    r6 = 7 ll
    if r1 == 0 goto out
    r0 = r6
out:
    exit
"""
# Slots: 0 r0 = 0, 1 again, 2 if, 3 and 4 ld_imm64, 5 if, 6 r0 = r6, 7 exit


def object_of(text: str, **changes: object) -> Object:
    function = replace(Function("f", ".text", assemble(text)), **changes)  # type: ignore[arg-type]
    return Object("o", functions={"f": function})


def text_of(obj: Object) -> list[str]:
    """The instructions as text, jumps with the slot they go to."""
    lines = []
    for slot, insn in walk(obj.functions["f"].code):
        words = format_instruction(insn)
        if insn.jump_offset is not None:
            words = f"{words.rsplit(' ', 1)[0]} {slot + 1 + insn.jump_offset}"
        lines.append(words)
    return lines


def edited(text: str) -> FunctionEditor:
    return FunctionEditor(object_of(text), "f")


def code_after(edit: FunctionEditor) -> bytes:
    return edit.apply()[0].functions["f"].code


def test_code_before_an_instruction_is_run_by_all_who_come_to_it() -> None:
    edit = edited(LOOP)
    edit.insert_before(edit.label(1), "r7 = 1")
    expected = LOOP.replace("again:", "again: r7 = 1")
    assert code_after(edit) == assemble(expected)


def test_code_that_takes_no_jumps_is_run_by_those_alone_who_fall_through() -> None:
    edit = edited(LOOP)
    edit.insert_before(edit.label(1), "r7 = 1", takes_jumps=False)
    assert code_after(edit) == assemble(LOOP.replace("again:", "r7 = 1\nagain:"))


def test_pieces_at_one_place_keep_the_order_in_which_they_were_put_there() -> None:
    edit = edited(LOOP)
    edit.insert_before(edit.label(1), "r7 = 1")
    edit.insert_before(edit.label(1), "r7 = 2", takes_jumps=False)
    edit.insert_before(edit.label(1), "r7 = 3")
    edit.insert_before(edit.label(1), "r7 = 4", takes_jumps=False)
    put = "r7 = 2\nr7 = 4\nagain: r7 = 1\nr7 = 3"
    assert code_after(edit) == assemble(LOOP.replace("again:", put))


def test_new_code_jumps_within_itself_to_its_end_and_to_labels_outside() -> None:
    edit = edited(LOOP)
    edit.insert_before(
        edit.label(6),
        "if r1 == 1 goto done\nif r1 == 2 goto leave\nback: r7 += 1\nif r7 < 9 goto back\ndone:",
        labels={"leave": edit.label(7), "unused": edit.label(0)},
    )
    put = """
    if r1 == 1 goto done
    if r1 == 2 goto out
back: r7 += 1
    if r7 < 9 goto back
done:
    r0 = r6"""
    assert code_after(edit) == assemble(LOOP.replace("    r0 = r6", put))


def test_instructions_and_packed_code_name_their_jumps_by_slot() -> None:
    jump = Instruction(op.Class.JMP | op.JmpOp.JEQ, dst=1, imm=3)
    for code in ([jump], assemble("if r1 == 3 goto pc+0")):
        edit = edited(LOOP)
        edit.insert_before(edit.label(0), code, jumps={0: edit.label(7)})
        assert code_after(edit) == assemble(f"if r1 == 3 goto out\n{LOOP}")


def test_a_replaced_run_hands_its_jumps_over() -> None:
    edit = edited(LOOP)
    edit.replace(edit.label(1), edit.label(1), "r0 += 2\nr0 += -1")
    assert code_after(edit) == assemble(LOOP.replace("r0 += 1", "r0 += 2\nr0 += -1"))


def test_an_imm64_is_replaced_whole_and_counts_as_one() -> None:
    edit = edited(LOOP)
    edit.replace(edit.label(3), edit.label(3), "r6 = 7")
    obj, moved = edit.apply()
    assert obj.functions["f"].code == assemble(LOOP.replace("7 ll", "7"))
    assert moved == (0, 1, 2, None, None, 4, 5, 6)


def test_a_deleted_run_sends_its_jumps_where_it_is_told_to() -> None:
    edit = edited(LOOP)
    edit.delete(edit.label(1), edit.label(1), jumps_go_to=edit.label(0))
    expected = LOOP.replace("    r0 = 0\nagain:\n    r0 += 1", "again: r0 = 0")
    assert code_after(edit) == assemble(expected)


def test_a_deleted_jump_needs_no_target() -> None:
    edit = edited(LOOP)
    edit.delete(edit.label(2))
    edit.delete(edit.label(1))  # whom only the deleted one jumped to
    obj, moved = edit.apply()
    assert obj.functions["f"].instruction_count == 6
    assert moved == (0, None, None, 1, 2, 3, 4, 5)


def test_code_is_appended_and_jumped_to_and_jumps_back() -> None:
    edit = edited(LOOP)
    later = edit.new_label()
    here = edit.insert_before(edit.label(6), "goto there", labels={"there": later})
    cold = edit.insert_before(edit.end, "r6 = 1\ngoto back", labels={"back": here.end})
    edit.redirect(later, cold.label())
    put = "    goto there\nback:\n    r0 = r6"
    expected = LOOP.replace("    r0 = r6", put) + "there: r6 = 1\ngoto back"
    assert code_after(edit) == assemble(expected)


def test_jumps_are_redirected_one_after_the_other() -> None:
    edit = edited(LOOP)
    piece = edit.replace(edit.label(6), edit.label(7), "r0 = 1\ninner: exit")
    edit.redirect(edit.label(7), edit.label(6))
    edit.redirect(edit.label(6), piece.label("inner"))
    expected = LOOP.replace("    r0 = r6\nout:\n    exit", "r0 = 1\nout: exit")
    assert code_after(edit) == assemble(expected)


def test_the_object_that_is_edited_stays_as_it_is() -> None:
    obj = object_of(LOOP)
    before = pickle.dumps(obj)
    edit = FunctionEditor(obj, "f")
    edit.insert_before(edit.label(3), "r7 = 1")
    assert edit.apply() == edit.apply()
    assert pickle.dumps(obj) == before


def test_no_edit_at_all_gives_the_same() -> None:
    obj = object_of(LOOP)
    assert FunctionEditor(obj, "f").apply() == (obj, tuple(range(8)))


def test_calls_and_addresses_within_the_function_are_retargeted() -> None:
    text = "call sub\nr2 = subprog[sub]\nexit\nsub: r0 = 1\nexit"
    edit = edited(text)
    edit.insert_before(edit.label(3), "r0 = r0\nr0 = r0")
    edit.insert_before(edit.label(4), "r9 = 1")
    expected = "call sub\nr2 = subprog[sub]\nr0 = r0\nr0 = r0\nexit\nsub: r9 = 1\nr0 = 1\nexit"
    assert code_after(edit) == assemble(expected)


def test_what_relocations_name_is_no_distance() -> None:
    call = Instruction(op.CALL, src=op.CallKind.SUBPROGRAM, imm=-1)
    load = Instruction(op.LD_IMM64, dst=1, src=op.LoadKind.FUNCTION, imm=900)
    code = encode([load, call]) + assemble("exit")
    relocations = (Relocation(0, RelocationKind.FUNCTION, "g"), Relocation(16, CALL, "h"))
    obj = Object("o", functions={"f": Function("f", ".text", code, relocations)})
    edit = FunctionEditor(obj, "f")
    edit.insert_before(edit.label(2), "r0 = 0")
    after = edit.apply()[0].functions["f"]
    assert after.code == encode([load]) + assemble("r0 = 0") + encode([call]) + assemble("exit")
    assert after.relocations == (relocations[0], Relocation(24, CALL, "h"))


def test_records_stay_with_their_instructions_and_new_code_brings_its_own() -> None:
    text = "r1 = 0 ll\nr2 = *(u32 *)(r3 +4)\nr4 = 0 ll\ncall 1\nexit"
    field = CoreRelocation(16, 0, 7, "0:1")
    relocations = (Relocation(0, MAP, "a"), Relocation(24, MAP, "b"))
    obj = object_of(text, relocations=relocations, core_relocations=(field,))
    edit = FunctionEditor(obj, "f")
    new = Relocation(8, MAP, "c")
    edit.insert_before(edit.label(2), "r5 = 1\nr5 = 0 ll", relocations=(new,))
    edit.delete(edit.label(3))
    after = edit.apply()[0].functions["f"]
    assert after.relocations == (relocations[0], Relocation(24, MAP, "c"))
    assert after.core_relocations == (field._replace(offset=40),)


def test_a_function_can_be_put_in_with_all_its_tables() -> None:
    inner = Function(
        "inner",
        ".text",
        assemble("r1 = 0 ll\nr2 = 4\ngoto pc+0"),
        relocations=(Relocation(0, MAP, "m"),),
        core_relocations=(CoreRelocation(16, 1, 9, "0"),),
        line_info=struct.pack("<8I", 0, 1, 2, 77 << 10, 2, 1, 2, 78 << 10),
    )
    edit = FunctionEditor(object_of(LOOP, line_info=struct.pack("<4I", 0, 1, 2, 5 << 10)), "f")
    edit.insert_before(edit.label(6), inner)
    after = edit.apply()[0].functions["f"]
    assert after.relocations == (Relocation(48, MAP, "m"),)
    assert after.core_relocations == (CoreRelocation(64, 1, 9, "0"),)
    assert lines(after) == {0: 5, 6: 77, 8: 78, 10: 5}


class Mark(NamedTuple):
    offset: int
    words: str


@dataclass(frozen=True)
class Remark:
    offset: int
    words: str


@dataclass(frozen=True)
class Marked(Function):
    marks: tuple[Mark, ...] = ()
    remarks: tuple[Remark, ...] = ()


def test_any_other_table_of_a_function_moves_alike() -> None:
    function = Marked(
        "f", ".text", assemble(LOOP), marks=(Mark(48, "x"),), remarks=(Remark(8, "y"),)
    )
    edit = FunctionEditor(Object("o", functions={"f": function}), "f")
    edit.insert_before(edit.label(0), "r7 = 1")
    edit.insert_before(edit.label(3), "r7 = 1")
    after = edit.apply()[0].functions["f"]
    assert isinstance(after, Marked)
    assert after.marks == (Mark(64, "x"),)
    assert after.remarks == (Remark(16, "y"),)


SWITCH = """
    r2 = 0 ll
    r2 += r1
    r3 = *(u64 *)(r2 +0)
    gotox r3
    r0 = 1
    exit
    r0 = 2
    exit
"""


def switch() -> Object:
    function = Function(
        "f", ".text", assemble(SWITCH), (Relocation(0, RelocationKind.JUMP_TABLE, "t"),)
    )
    tables = {"t": JumpTable("t", "f", (5, 7, 5)), "of_g": JumpTable("of_g", "g", (5, 7))}
    return Object("o", functions={"f": function}, jump_tables=tables)


def test_jump_tables_follow_as_jumps_do() -> None:
    edit = FunctionEditor(switch(), "f")
    edit.insert_before(edit.label(5), "r9 = 1")
    edit.insert_before(edit.label(7), "r9 = 1", takes_jumps=False)
    obj, _ = edit.apply()
    assert obj.jump_tables["t"].targets == (5, 9, 5)
    assert obj.jump_tables["of_g"] == JumpTable("of_g", "g", (5, 7))


def test_a_jump_table_is_given_other_targets_or_made() -> None:
    edit = FunctionEditor(switch(), "f")
    new = edit.replace(edit.label(5), edit.label(6), "r0 = 3\nother: exit")
    edit.jump_table("t", [new.label("other"), edit.label(7)])
    edit.jump_table("more", [edit.label(7), new.label()])
    obj, _ = edit.apply()
    assert obj.jump_tables["t"] == JumpTable("t", "f", (6, 7))
    assert obj.jump_tables["more"] == JumpTable("more", "f", (7, 5))


def lines(function: Function, order: str = "<") -> dict[int, int]:
    records = struct.iter_unpack(f"{order}4I", function.line_info)
    return {slot: place >> 10 for slot, _, _, place in records}


def with_lines(records: dict[int, int], text: str = LOOP) -> FunctionEditor:
    packed = b"".join(struct.pack("<4I", slot, 1, 2, line << 10) for slot, line in records.items())
    return FunctionEditor(object_of(text, line_info=packed), "f")


def test_new_code_has_the_line_of_the_instruction_it_is_put_before() -> None:
    edit = with_lines({0: 10, 3: 11, 6: 12})
    edit.insert_before(edit.label(0), "r7 = 1")
    edit.insert_before(edit.label(2), "r7 = 1")
    edit.insert_before(edit.label(3), "r7 = 1", takes_jumps=False)
    edit.insert_before(edit.label(3), "r7 = 1")
    edit.insert_before(edit.end, "exit")
    assert lines(edit.apply()[0].functions["f"]) == {0: 10, 5: 11, 10: 12}


def test_what_follows_deleted_code_keeps_its_line() -> None:
    edit = with_lines({0: 10, 2: 11, 3: 12, 5: 13, 7: 14})
    edit.delete(edit.label(0), edit.label(0))
    edit.delete(edit.label(3), edit.label(5))
    edit.delete(edit.label(2), edit.label(2))
    assert lines(edit.apply()[0].functions["f"]) == {0: 10, 1: 13, 2: 14}


def test_replaced_code_has_the_line_of_its_first_instruction() -> None:
    edit = with_lines({0: 10, 2: 11, 3: 12})
    edit.replace(edit.label(2), edit.label(3), "r7 = 1\nr7 = 2")
    assert lines(edit.apply()[0].functions["f"]) == {0: 10, 2: 11, 4: 12}


def test_lines_that_new_code_brings_may_begin_late() -> None:
    edit = with_lines({0: 10, 3: 11})
    brought = struct.pack("<4I", 1, 1, 2, 77 << 10)
    edit.insert_before(edit.label(3), Function("", "", assemble("exit\nexit"), line_info=brought))
    assert lines(edit.apply()[0].functions["f"]) == {0: 10, 3: 11, 4: 77, 5: 11}


def test_a_function_without_lines_gets_none() -> None:
    """The kernel wants one at the first instruction of each function, or none at all."""
    edit = edited(LOOP)
    record = struct.pack("<4I", 0, 1, 2, 3)
    edit.insert_before(edit.label(2), Function("", "", assemble("r7 = 1"), line_info=record))
    assert edit.apply()[0].functions["f"].line_info == b""


def test_big_endian_code_is_edited_alike() -> None:
    records = struct.pack(">8I", 0, 1, 2, 10 << 10, 3, 1, 2, 11 << 10)
    function = Function("f", ".text", assemble(LOOP, "big"), line_info=records)
    edit = FunctionEditor(Object("o", byteorder="big", functions={"f": function}), "f")
    put = "if r1 == 9 goto out\ncall past\npast:"
    edit.insert_before(edit.label(3), put, labels={"out": edit.label(7)})
    after = edit.apply()[0].functions["f"]
    expected = LOOP.replace("    r6 = 7 ll", f"{put}\n    r6 = 7 ll")
    assert after.code == assemble(expected, "big")
    assert lines(after, ">") == {0: 10, 3: 11}


def test_several_functions_are_edited_at_once() -> None:
    obj = object_of(LOOP)
    obj.functions["g"] = Function("g", ".text", assemble("r0 = 1\nexit"))
    editors = [FunctionEditor(obj, name) for name in "fg"]
    for edit in editors:
        edit.insert_before(edit.label(0), "r0 = 0")
    after, moved = apply_edits(obj, editors)
    assert [after.functions[name].instruction_count for name in "fg"] == [9, 3]
    assert moved == {"f": tuple(range(1, 9)), "g": (1, 2)}
    with pytest.raises(EditError, match="'f' is not the one that was edited"):
        apply_edits(after, editors)


def refused(words: str, kind: type[OsmiaError] = EditError) -> pytest.RaisesExc[OsmiaError]:
    return pytest.raises(kind, match=words)


def test_places_that_are_no_instruction_are_refused() -> None:
    edit = edited(LOOP)
    with refused("function 'f': slot 8 is outside its 8 slots"):
        edit.label(8)
    with refused("slot -1 is outside"):
        edit.label(-1)
    with refused("slot 4 is the second half of an ld_imm64"):
        edit.label(4)
    with refused("no instructions from slot 3 to 2"):
        edit.delete(edit.label(3), edit.label(2))
    with refused("no instructions from slot 7 to 8"):
        edit.delete(edit.label(7), edit.end)
    with refused("of another function's edits"):
        edit.delete(edit.label(3), jumps_go_to=edited(LOOP).label(1))
    with refused("labels of the function's own code"):
        edit.delete(edited(LOOP).label(3))
    new = edit.insert_before(edit.label(0), "r1 = 5 ll")
    with refused("no instruction of the new code is at 1"):
        new.label(1)
    with refused("no instruction of the new code is at 'x'"):
        new.label("x")
    with pytest.raises(KeyError):
        FunctionEditor(object_of(LOOP), "g")


def test_a_jump_to_what_is_taken_out_is_refused_unless_it_is_told_where_to_go() -> None:
    edit = edited(LOOP)
    edit.delete(edit.label(1))
    with refused("function 'f': slot 2 goes to slot 1, which is taken out: say where"):
        edit.apply()
    edit = edited(LOOP)
    edit.replace(edit.label(6), edit.label(7), "r0 = 1\nexit")
    with refused("slot 5 goes to slot 7, which is taken out"):
        edit.apply()
    edit = edited(LOOP)
    edit.delete(edit.label(0))
    edit.insert_before(edit.label(7), "goto there", labels={"there": edit.label(0)})
    with refused("new code goes to slot 0, which is taken out"):
        edit.apply()
    edit = FunctionEditor(switch(), "f")
    edit.delete(edit.label(7), edit.label(8))
    with refused("jump table 't' goes to slot 7, which is taken out"):
        edit.apply()


def test_jumps_that_never_arrive_are_refused() -> None:
    edit = edited(LOOP)
    edit.delete(edit.label(1), jumps_go_to=edit.label(1))
    with refused("jumps to slot 1 are redirected in a circle"):
        edit.apply()
    edit = edited(LOOP)
    edit.insert_before(edit.label(0), "goto there", labels={"there": edit.new_label()})
    with refused("new code goes to a new label that no redirect has placed"):
        edit.apply()
    edit = edited(LOOP)
    edit.insert_before(edit.label(0), "goto there", labels={"there": edit.end})
    with refused("new code goes behind the last instruction"):
        edit.apply()


def test_two_edits_of_one_instruction_are_refused() -> None:
    edit = edited(LOOP)
    edit.replace(edit.label(2), edit.label(3), "r7 = 1")
    with refused("some of the slots 3 to 5 are taken out already"):
        edit.delete(edit.label(3), edit.label(5))
    with refused("slot 3 is taken out: no code can go before it"):
        edit.insert_before(edit.label(3), "r7 = 1")
    edit.insert_before(edit.label(2), "r7 = 2")
    edit.insert_before(edit.label(6), "r7 = 3")
    with refused("slot 6 has new code before it"):
        edit.delete(edit.label(6))
    with refused("slot 6 has new code before it"):
        edit.delete(edit.label(5), edit.label(6))
    edit.delete(edit.label(0))
    with refused("slot 0 is taken out"):
        edit.insert_before(edit.label(0), "r7 = 3")


def test_code_that_runs_off_its_end_is_refused() -> None:
    edit = edited(LOOP)
    edit.delete(edit.label(7), jumps_go_to=edit.label(0))
    with refused("function 'f': the code runs off its end"):
        edit.apply()
    edit.insert_before(edit.end, "goto back", labels={"back": edit.label(0)})
    edit.apply()
    for text in ("r0 = 1", "r0 = 1 ll", "if r0 == 1 goto pc-1", "call 5"):
        edit = edited(LOOP)
        edit.insert_before(edit.end, text)
        with refused("runs off its end"):
            edit.apply()
    edit = edited(LOOP)
    throw = Relocation(0, RelocationKind.EXTERN_CALL, "bpf_throw")
    edit.insert_before(edit.end, "call 0", relocations=(throw,))
    edit.apply()
    edit = edited("exit")
    edit.delete(edit.label(0))
    with refused("nothing is left"):
        edit.apply()


@pytest.mark.parametrize(
    ("code", "relocation", "words"),
    [
        ("r1 = 0 ll", Relocation(0, CALL, "g"), r"'g' \(call\) is for a call, and slot 0"),
        ("call 5", Relocation(0, MAP, "m"), r"'m' \(map\) is for an ld_imm64, and slot 0"),
        ("r1 = 0 ll", Relocation(8, MAP, "m"), "no instruction is at byte 8"),
        ("r1 = 0", Relocation(4, MAP, "m"), "no instruction is at byte 4"),
        ("r1 = 0", Relocation(8, MAP, "m"), "no instruction is at byte 8"),
        ("r1 = 0", Relocation(-8, MAP, "m"), "no instruction is at byte -8"),
    ],
)
def test_relocations_that_new_code_cannot_carry_are_refused(
    code: str, relocation: Relocation, words: str
) -> None:
    edit = edited(LOOP)
    with refused(f"function 'f': .*{words}"):
        edit.insert_before(edit.label(0), code, relocations=(relocation,))


@pytest.mark.parametrize("text", ["r1 = r2", "exit", "goto pc+0", "call 5"])
def test_core_records_that_new_code_cannot_carry_are_refused(text: str) -> None:
    edit = edited(LOOP)
    record = CoreRelocation(0, 0, 1, "0")
    with refused("no CO-RE record can change"):
        edit.insert_before(
            edit.label(0), Function("", "", assemble(text), core_relocations=(record,))
        )


def test_new_code_that_is_wrong_in_itself_is_refused() -> None:
    edit = edited(LOOP)
    at = edit.label(0)
    with refused("function 'f': slot 0 of the new code goes to slot 6 of it"):
        edit.insert_before(at, assemble("goto pc+5"))
    with refused("slot 0 of the new code goes to slot 2 of it"):
        edit.insert_before(at, assemble("goto pc+1\nr1 = 5 ll"))
    with refused("slot 1 of the new code is no jump"):
        edit.insert_before(at, assemble("goto pc+0\nr1 = 1"), jumps={1: at})
    with refused("names of labels are for assembly text"):
        edit.insert_before(at, assemble("goto pc+0"), labels={"there": at})
    with refused("12 bytes is no whole number of slots"):
        edit.insert_before(at, bytes(12))
    with refused("line records of the new code: no instruction is at slot 1"):
        record = struct.pack("<4I", 1, 1, 2, 3)
        edit.insert_before(at, Function("", "", assemble("r1 = 5 ll"), line_info=record))
    with refused("line 2: label 'nowhere' is not defined", AssemblerError):
        edit.insert_before(at, "r1 = 1\ngoto nowhere")
    with refused("label 'there' is defined twice", AssemblerError):
        edit.insert_before(at, "there: r1 = 1", labels={"there": at})
    assert code_after(edit) == assemble(LOOP)


def test_code_that_was_wrong_before_is_refused() -> None:
    for text, words in (
        ("goto pc+7\nexit", "slot 0 goes to slot 8, outside of the code"),
        ("goto pc-7\nexit", "slot 0 goes to slot -6, outside"),
        ("goto pc+1\nr1 = 1 ll\nexit", "slot 0 goes to slot 2, where no instruction starts"),
    ):
        with refused(words):
            edited(text).apply()
    edit = FunctionEditor(object_of("exit", relocations=(Relocation(800, MAP, "m"),)), "f")
    with refused("a record is for byte 800, outside"):
        edit.apply()


def test_another_functions_jump_table_is_left_alone() -> None:
    edit = FunctionEditor(switch(), "f")
    with refused("'of_g' is that of function 'g'"):
        edit.jump_table("of_g", [edit.label(0)])


def test_too_long_code_is_refused() -> None:
    edit = edited(LOOP)
    edit.insert_before(edit.label(0), assemble("r7 = 1") * 1_000_000)
    with refused("1000008 instructions are more than the 1000000"):
        edit.apply()


FAR = 40_000


def test_jumps_grow_long_where_16_bits_do_not_reach() -> None:
    edit = edited("if r1 == 0 goto out\nif r1 & 4 goto out\ngoto out\nr0 = 1\nout: exit")
    edit.insert_before(edit.label(4), assemble("r7 = 1") * FAR, takes_jumps=False)
    obj, moved = edit.apply()
    assert text_of(obj)[:7] == [
        "if r1 != 0x0 goto 2",
        f"gotol {FAR + 7}",
        "if r1 & 0x4 goto 4",
        "goto 5",
        f"gotol {FAR + 7}",
        f"gotol {FAR + 7}",
        "r0 = 1",
    ]
    assert moved == (0, 2, 5, 6, FAR + 7)


def test_without_long_jumps_too_far_a_jump_is_refused() -> None:
    for text in ("if r1 == 0 goto out\nr0 = 1\nout: exit", "goto out\nr0 = 1\nout: exit"):
        edit = FunctionEditor(object_of(text), "f", long_jumps=False)
        edit.insert_before(edit.label(1), assemble("r7 = 1") * FAR)
        with refused(r"function 'f': .* goes 4000\d slots.*needs Linux 6\.6", NotSupportedError):
            edit.apply()
