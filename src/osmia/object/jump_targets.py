"""Where `gotox` instructions may go: by the jump tables that the code around them reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast

from osmia.isa import Instruction, registers_written, walk
from osmia.isa import opcodes as op
from osmia.object.jump_tables import JumpTable
from osmia.object.model import Function, Object, RelocationKind

_LOAD = op.Class.LDX | op.Size.DW | op.Mode.MEM
_MOVE = op.Class.ALU64 | op.AluOp.MOV | op.Source.X
_ADD = op.Class.ALU64 | op.AluOp.ADD


def jump_targets(obj: Object, function: Function) -> dict[int, tuple[int, ...]]:
    """For the slot of each `gotox` of a function the slots it may go to, ascending.

    They are those of the table that the code in front of the jump reads; where that cannot
    be seen (an entry went through the stack, or comes from before a branch), those of all
    tables that the function names. A jump in a function that names none is left out.
    """
    if op.JA_X not in function.code[0::8]:
        return {}
    named = {
        relocation.offset // op.SLOT_SIZE: obj.jump_tables[relocation.target]
        for relocation in function.relocations
        if relocation.kind is RelocationKind.JUMP_TABLE and relocation.target in obj.jump_tables
    }
    targets_of = {table.name: _targets([table]) for table in named.values()}
    everything = _targets(named.values())
    if not everything:
        return {}
    instructions = dict(walk(function.code, cast("Literal['little', 'big']", obj.byteorder)))
    leaders = {*everything, *_branch_targets(instructions)}
    found = {}
    holds: dict[int, JumpTable] = {}  # by register: the table whose address or entry it has
    for slot, insn in instructions.items():
        if slot in leaders:
            holds.clear()
        if insn.opcode == op.JA_X:
            table = holds.get(insn.dst)
            found[slot] = everything if table is None else targets_of[table.name]
        _follow(holds, insn, named.get(slot))
    return found


def placed_targets(obj: Object, functions: Iterable[tuple[int, str]]) -> dict[int, tuple[int, ...]]:
    """The `jump_targets` of functions in one piece of code, given where each begins (slots)."""
    placed: dict[int, tuple[int, ...]] = {}
    for start, name in functions:
        found = jump_targets(obj, obj.functions[name])
        # Jumps share their targets: each tuple is moved once.
        shared = {id(targets): targets for targets in found.values()}
        moved = {key: tuple(start + target for target in shared[key]) for key in shared}
        for slot, targets in found.items():
            placed[start + slot] = moved[id(targets)]
    return placed


def _targets(tables: Iterable[JumpTable]) -> tuple[int, ...]:
    return tuple(sorted({target for table in tables for target in table.targets}))


def _branch_targets(instructions: Mapping[int, Instruction]) -> Iterator[int]:
    for slot, insn in instructions.items():
        distance = insn.jump_offset
        if distance is not None:
            yield slot + 1 + distance


def _follow(holds: dict[int, JumpTable], insn: Instruction, named: JumpTable | None) -> None:
    """What the registers hold behind an instruction."""
    table = named
    if insn.opcode == _LOAD or (insn.opcode == _MOVE and not insn.offset):
        table = holds.get(insn.src)
    elif insn.opcode & ~op.Source.X == _ADD:
        table = holds.get(insn.dst)
        if table is None and insn.uses_source_register:
            table = holds.get(insn.src)
    written = registers_written(insn)
    for register in [each for each in holds if written >> each & 1]:
        del holds[register]
    if table is not None:
        holds[insn.dst] = table
