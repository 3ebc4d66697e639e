"""Arguments beyond the fifth, for kernels that have no stack of arguments.

LLVM (since 23, `__BPF_FEATURE_STACK_ARGUMENT`) passes them through r11: the caller stores the
sixth at [r11 - 8], the seventh at [r11 - 16] and so on, and the callee loads them from
[r11 + 8], [r11 + 16] (llvm/lib/Target/BPF: "[BPF] Support Stack Arguments", pull request
189060). Here they lie in the caller's own frame, behind the fifth, and r5 points there: what
every kernel with BPF-to-BPF calls takes (since 4.16).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from osmia.errors import NotSupportedError, RewriteError
from osmia.isa import Instruction, walk
from osmia.isa import opcodes as op
from osmia.isa.packing import ByteOrder
from osmia.isa.state import FRAME_SIZE
from osmia.object.editing import FunctionEditor, apply_edits
from osmia.object.frames import frame_sizes
from osmia.object.known_code import known_code
from osmia.object.model import Function, Object, RelocationKind

_BASE: Final = op.AUXILIARY_REGISTER
_FRAME, _FIFTH = op.FRAME_POINTER, 5
_LOAD = int(op.Class.LDX | op.Size.DW | op.Mode.MEM)
_STORE = int(op.Class.STX | op.Size.DW | op.Mode.MEM)
_STORE_NUMBER = int(op.Class.ST | op.Size.DW | op.Mode.MEM)
_MOVE = int(op.Class.ALU64 | op.AluOp.MOV | op.Source.X)
_ADD = int(op.Class.ALU64 | op.AluOp.ADD)


def pass_on_stack(obj: Object) -> Object:
    """`obj` with arguments beyond the fifth in its callers' frames.

    RewriteError where a frame would be more than 512 bytes, and for other uses of r11;
    NotSupportedError for callbacks.
    """
    uses = {key: _Uses(function, obj) for key, function in obj.functions.items()}
    frames = frame_sizes(known_code(obj, roots=obj.functions.keys()))
    readers = {key for key, each in uses.items() if each.loads}
    editors = []
    for key, each in uses.items():
        calls = _calls(obj, key, readers)
        if each.loads or each.stores or calls:
            editor = FunctionEditor(obj, key)
            _rewrite(editor, each, calls, frames[key])
            editors.append(editor)
    return apply_edits(obj, editors)[0]


class _Uses:
    """The loads and stores of stack arguments in one function, by slot."""

    def __init__(self, function: Function, obj: Object) -> None:
        self.loads: dict[int, Instruction] = {}
        self.stores: dict[int, Instruction] = {}
        for slot, insn in walk(function.code, cast("ByteOrder", obj.byteorder)):
            if insn.opcode == _LOAD and insn.src == _BASE and _is_place(insn.offset):
                self.loads[slot] = insn
            elif insn.opcode in (_STORE, _STORE_NUMBER) and insn.dst == _BASE:
                if insn.src == _BASE or not _is_place(-insn.offset):
                    raise _strange(function, slot)
                self.stores[slot] = insn
            elif _BASE in (insn.dst, insn.src):
                raise _strange(function, slot)

    @property
    def stored(self) -> int:
        """How many arguments the function's calls have there, at most."""
        return max((-insn.offset // 8 for insn in self.stores.values()), default=0)


def _is_place(offset: int) -> bool:
    return offset > 0 and offset % 8 == 0


def _strange(function: Function, slot: int) -> RewriteError:
    return RewriteError(
        f"function {function.name!r} uses r11 at slot {slot}, and not for an argument"
    )


def _calls(obj: Object, key: str, readers: set[str]) -> list[int]:
    """The slots at which a function calls one that takes arguments there."""
    found = []
    for record in obj.functions[key].relocations:
        if record.target in readers and record.kind is RelocationKind.CALL:
            found.append(record.offset // op.SLOT_SIZE)
        elif record.target in readers and record.kind is RelocationKind.FUNCTION:
            raise NotSupportedError(
                f"function {record.target!r} takes more than five arguments: no callback can"
            )
    return found


def _rewrite(editor: FunctionEditor, uses: _Uses, calls: list[int], frame: int) -> None:
    """One function: `frame` bytes of its frame are used, what comes here lies below."""
    pointer = frame + 8 if uses.loads else frame
    base = pointer + 8 * (uses.stored + 1) if calls or uses.stores else pointer
    if base > FRAME_SIZE:
        raise RewriteError(
            f"function {editor.key!r} takes {base} bytes of stack with the arguments beyond the"
            f" fifth; there are {FRAME_SIZE}"
        )
    if uses.loads:
        entry = [
            Instruction(_STORE, _FRAME, _FIFTH, -pointer),
            Instruction(_LOAD, _FIFTH, _FIFTH, 0),
        ]
        editor.insert_before(editor.label(0), entry, takes_jumps=False)
    _replace(
        editor,
        {
            slot: [
                Instruction(_LOAD, insn.dst, _FRAME, -pointer),
                Instruction(_LOAD, insn.dst, insn.dst, insn.offset),
            ]
            for slot, insn in uses.loads.items()
        }
        | {
            slot: [Instruction(insn.opcode, _FRAME, insn.src, -insn.offset - base, insn.imm)]
            for slot, insn in uses.stores.items()
        },
    )
    for slot in calls:
        passing = [
            Instruction(_STORE, _FRAME, _FIFTH, -base),
            Instruction(_MOVE, _FIFTH, _FRAME),
            Instruction(_ADD, _FIFTH, 0, 0, -base),
        ]
        editor.insert_before(editor.label(slot), passing)


def _replace(editor: FunctionEditor, code: Mapping[int, list[Instruction]]) -> None:
    for slot, instructions in code.items():
        at = editor.label(slot)
        editor.replace(at, at, instructions)
