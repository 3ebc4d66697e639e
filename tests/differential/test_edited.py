"""Objects with a no-op before every instruction: the kernel must make the same of them.

It takes `goto +0` out of what it loads (since 5.0), and with it nothing else must differ: code,
functions, source lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia.isa import Instruction, walk
from osmia.isa import opcodes as op
from osmia.kernel.programs import info as program_info
from osmia.object import Object
from osmia.object.editing import FunctionEditor, apply_edits

from .seen import SeenProgram, see_program
from .test_corpus import CASES, REFUSED_BY_THE_KERNEL

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

NO_OP = Instruction(op.JA)


def with_no_ops(obj: Object) -> Object:
    """Every other no-op takes the jumps to its instruction, and all that nothing falls through to:
    the kernel refuses code that cannot be reached."""
    editors = []
    for key, function in obj.functions.items():
        edit = FunctionEditor(obj, key)
        reached = False
        for slot, insn in walk(function.code):
            takes_jumps = bool(slot % 2) or not reached
            edit.insert_before(edit.label(slot), [NO_OP], takes_jumps=takes_jumps)
            reached = not insn.is_exit and (not insn.is_jump or insn.is_conditional)
        editors.append(edit)
    return apply_edits(obj, editors)[0]


#: What an ld_imm64 is when its number is a map's id, or how far away a function was at load.
NUMBERED = (op.LoadKind.MAP_FD, op.LoadKind.MAP_VALUE, op.LoadKind.FUNCTION)
KERNEL_ADDRESSES = 0xFFFF_8000_0000_0000


def comparable(insn: Instruction) -> Instruction:
    """Without numbers that every load has its own of."""
    if not insn.is_load_imm64:
        return insn
    if insn.imm64 > KERNEL_ADDRESSES:
        return replace(insn, imm=0, imm_high=0)
    return replace(insn, imm=0) if insn.src in NUMBERED else insn


def seen(obj: Object, pin_root: Path) -> dict[str, tuple[SeenProgram, list[Instruction]]]:
    """Each program as the kernel tells of it, and its instructions."""
    pin_root.mkdir()
    found: dict[str, tuple[SeenProgram, list[Instruction]]] = {}
    with obj.load(pin_root=pin_root) as bpf:
        for name, program in bpf.programs.items():
            code = program_info.translated_code(program.fileno())
            words = [comparable(insn) for _, insn in walk(code)]
            found[name] = replace(see_program(program.fileno()), tag=""), words
    return found


@pytest.mark.parametrize("case", [case for case in CASES if case not in REFUSED_BY_THE_KERNEL])
def test_no_ops_everywhere_make_no_difference(
    case: str, corpus_object: Callable[[str], Path], bpffs: Path
) -> None:
    obj = osmia.open(corpus_object(case))
    assert seen(with_no_ops(obj), bpffs / "edited") == seen(obj, bpffs / "as_it_was")
