"""Counts of a function as records that are the same whichever engine it ran in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from osmia.coverage.model import FunctionCounts, Way
from osmia.isa.disassembler import format_instruction
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.object.model import SourceLine


def function_counts(
    name: str,
    instructions: Iterable[tuple[int, Instruction]],
    lines: Mapping[int, SourceLine],
    slots: Mapping[int, int],
    ways: Mapping[Way, int],
) -> FunctionCounts:
    """The record of a function. Slots count from its first; `lines` has those that begin one."""
    own = list(instructions)
    line_of = _spread(own, lines)
    digest = hashlib.sha256()
    for slot, i in own:
        # Addresses, handles and distances to other functions are a load's own, and an engine's.
        fixed = form_of(i) not in (Form.LOAD_IMM64, Form.CALL)
        digest.update(f"{slot} {i.opcode} {i.dst} {i.offset if fixed else ''}".encode())
        digest.update(f" {(i.src, i.imm) if fixed else ''}".encode())
        digest.update(f" {line_of[slot][1:3] if slot in line_of else ''};".encode())
    jumps = {slot for slot, _ in ways}
    return FunctionCounts(
        name,
        digest.hexdigest()[:16],
        {slot: max(slots.get(slot, 0), 0) for slot, _ in own},
        dict(ways),
        line_of,
        {slot: format_instruction(i) for slot, i in own if slot in jumps},
    )


def _spread(
    instructions: Iterable[tuple[int, Instruction]], lines: Mapping[int, SourceLine]
) -> dict[int, SourceLine]:
    """The line of each instruction: one goes on until the next begins."""
    found: dict[int, SourceLine] = {}
    line: SourceLine | None = None
    for slot, _ in instructions:
        line = lines.get(slot, line)
        if line is not None:
            found[slot] = line
    return found
