"""A function's code as it stands in a caller: its frame below the caller's, no exits.

The frame pointer is the caller's there, so that each use of it is moved down; what ends the
function goes on behind its code.
"""

from __future__ import annotations

import struct
from typing import Final, cast

from osmia.errors import RewriteError
from osmia.isa import opcodes as op
from osmia.isa.cfg import control_flow
from osmia.isa.forms import LOADS, STORES, Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.liveness import Liveness, live_registers, registers_read, registers_written
from osmia.isa.packing import ByteOrder
from osmia.object.editing import FunctionEditor, Label
from osmia.object.editing.line_records import LineRecords
from osmia.object.jump_targets import jump_targets
from osmia.object.model import Function, Object
from osmia.records import replace

_FRAME = op.FRAME_POINTER
_MOV64_X: Final = int(op.Class.ALU64 | op.AluOp.MOV | op.Source.X)
_ADD64_K: Final = int(op.Class.ALU64 | op.AluOp.ADD)
_ADDS = {
    int(op.Class.ALU64 | op.AluOp.ADD | op.Source.X): -1,
    int(op.Class.ALU64 | op.AluOp.SUB | op.Source.X): 1,
}


def written_registers(obj: Object, function: str) -> int:
    """The registers that a function's own code writes, as a mask."""
    flow = control_flow(
        obj.functions[function].code,
        cast("ByteOrder", obj.byteorder),
        subprograms=False,
        jump_tables={},
    )
    mask = 0
    for insn in flow.instructions.values():
        mask |= registers_written(insn)
    return mask


def inlined_body(obj: Object, key: str, distance: int) -> Object:
    """`obj` with `functions[key]` as code for a caller whose frame it begins `distance` bytes
    into: the last instruction falls through to the caller's, exits go there.

    The result is no function any more: it is for `FunctionEditor.replace`. RewriteError for a
    use of the frame pointer that cannot be moved.
    """
    editor = FunctionEditor(obj, key)
    function = obj.functions[key]
    flow = control_flow(
        function.code,
        cast("ByteOrder", obj.byteorder),
        subprograms=False,
        jump_tables=jump_targets(obj, function),
    )
    if distance:
        live: Liveness | None = None
        for slot, insn in flow.instructions.items():
            if not _uses_frame(insn):
                continue
            if live is None:
                live = live_registers(flow)
            _move_down(editor, slot, insn, distance, live)
    moved, _ = editor.apply()
    body = _without_exits(moved, moved.functions[key])
    return moved.copy(functions=moved.functions | {key: body})


def _uses_frame(insn: Instruction) -> bool:
    return bool((registers_read(insn) | registers_written(insn)) >> _FRAME & 1)


def _move_down(
    editor: FunctionEditor, slot: int, insn: Instruction, distance: int, live: Liveness
) -> None:
    """Replace one use of the frame pointer by one of a place `distance` below it."""
    form = form_of(insn)
    at = editor.label(slot)
    if (form in LOADS and insn.src == _FRAME) or (
        form in STORES and insn.dst == _FRAME and insn.src != _FRAME
    ):
        _put(editor, at, [_shifted(insn, distance)])
    elif form is Form.MOVE and insn.opcode == _MOV64_X:
        _put(editor, at, [insn, _add(insn.dst, -distance)])
    elif insn.opcode in _ADDS and insn.src == _FRAME and insn.dst != _FRAME:
        _put(editor, at, [insn, _add(insn.dst, distance * _ADDS[insn.opcode])])
    else:
        _through_register(editor, slot, insn, distance, live)


def _through_register(
    editor: FunctionEditor, slot: int, insn: Instruction, distance: int, live: Liveness
) -> None:
    """Any other use: a register that nobody needs there holds the moved frame pointer."""
    busy = live.before[slot] | live.after[slot] | registers_read(insn) | registers_written(insn)
    free = next((n for n in range(_FRAME) if not busy >> n & 1), None)
    if free is None or registers_written(insn) >> _FRAME & 1:
        raise RewriteError(
            f"function {editor.key!r} uses the frame pointer at slot {slot} as no place below it"
            " can be used"
        )
    store = form_of(insn) in STORES and insn.dst == _FRAME
    changed = Instruction(
        insn.opcode,
        free if insn.dst == _FRAME and not store else insn.dst,
        free if insn.src == _FRAME else insn.src,
        insn.offset,
        insn.imm,
    )
    if store:
        changed = _shifted(changed, distance)
    first = [Instruction(_MOV64_X, free, _FRAME), _add(free, -distance)]
    if insn.is_jump:
        # A jump keeps its place, and so its target.
        editor.insert_before(editor.label(slot), first)
        _put_jump(editor, slot, changed)
    else:
        _put(editor, editor.label(slot), [*first, changed])


def _put(editor: FunctionEditor, at: Label, code: list[Instruction]) -> None:
    editor.replace(at, at, code)


def _put_jump(editor: FunctionEditor, slot: int, insn: Instruction) -> None:
    target = editor.label(slot + 1 + insn.offset)
    at = editor.label(slot)
    editor.replace(at, at, [replace_offset(insn, 0)], jumps={0: target})


def replace_offset(insn: Instruction, offset: int) -> Instruction:
    """The same with another offset."""
    return Instruction(insn.opcode, insn.dst, insn.src, offset, insn.imm, insn.imm_high)


def _shifted(insn: Instruction, distance: int) -> Instruction:
    return replace_offset(insn, insn.offset - distance)


def _add(register: int, number: int) -> Instruction:
    return Instruction(_ADD64_K, register, 0, 0, number)


def _without_exits(obj: Object, function: Function) -> Function:
    """Exits as jumps to the code's end; one at the end falls through."""
    code = bytearray(function.code)
    last = len(code) - op.SLOT_SIZE
    if code[last] == op.EXIT:
        del code[last:]
        function = replace(function, line_info=_lines_before(function, last, obj.byteorder))
    slots = len(code) // op.SLOT_SIZE
    word = "<" if obj.byteorder == "little" else ">"
    second = False
    for slot in range(slots):
        opcode = code[slot * op.SLOT_SIZE]
        if second:
            second = False
        elif opcode == op.LD_IMM64:
            second = True
        elif opcode == op.EXIT:
            distance = slots - slot - 1
            if distance <= 0x7FFF:
                packed = struct.pack(f"{word}BBhi", op.JA, 0, distance, 0)
            else:
                packed = struct.pack(f"{word}BBhi", op.JA32, 0, 0, distance)
            code[slot * op.SLOT_SIZE : (slot + 1) * op.SLOT_SIZE] = packed
    return replace(function, code=bytes(code))


def _lines_before(function: Function, end: int, byteorder: str) -> bytes:
    records = LineRecords(function.line_info, byteorder)
    if not records or records.slots[-1] < end // op.SLOT_SIZE:
        return function.line_info
    records.slots.pop()
    records.lines.pop()
    return records.pack(byteorder)
