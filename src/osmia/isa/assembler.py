"""Assembly text to code: the disassembler's syntax with labels and comments.

One statement a line. `name:` in front of a statement, or alone, is a label; `goto`,
`gotol`, `may_goto`, `if … goto`, `call` and `subprog[…]` take one. A comment starts with
`;`, with `//`, or with `#` at the start of a line or behind a blank. The slot numbers
and opcodes in front of a statement in verifier logs and dumps ("12: (b7) r0 = 0") are
allowed, so that such text assembles as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from osmia.arguments import names_wrong_arguments
from osmia.errors import AssemblerError
from osmia.isa import opcodes as op
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.operands import S16, S32
from osmia.isa.packing import ByteOrder, encode
from osmia.isa.statements import Statement, helper_number, parse_statement
from osmia.records import dataclass, replace

_COMMENT = re.compile(r"(?:;|//|(?:^|(?<=\s))#).*")
_LABEL = re.compile(r"\s*([A-Za-z_.$][\w.$]*)\s*:")
_LOG_PREFIX = re.compile(r"\s*(?:\d+:\s*)?(?:\(([0-9a-f]{2})\)\s*)?")
_LOG_IMM64 = re.compile(r"r\d+ = 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a text says.

    `labels` gives each label's slot (8 bytes each, from 0), `lines` each instruction's
    line in the text, from 1.
    """

    instructions: tuple[Instruction, ...]
    labels: Mapping[str, int]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    statement: Statement
    slot: int
    line: int


@names_wrong_arguments
def assemble(text: str, byteorder: ByteOrder = "little") -> bytes:
    """The code of assembly `text`, 8 bytes a slot.

    Raises AssemblerError with the line of the first statement that is wrong.

    >>> assemble("r0 = 2; the result\\nexit").hex()
    'b7000000020000009500000000000000'
    """
    return encode(parse_assembly(text).instructions, byteorder)


@names_wrong_arguments
def parse_assembly(text: str) -> Assembly:
    """The instructions of assembly `text` with its labels and line numbers.

    Raises AssemblerError with the line of the first statement that is wrong.
    """
    placed: list[_Placed] = []
    labels: dict[str, int] = {}
    slot = 0
    for line, source in enumerate(text.split("\n"), 1):
        try:
            rest = _take_labels(_COMMENT.sub("", source), slot, labels)
            statement = _parse_line(rest)
        except AssemblerError as error:
            raise AssemblerError(str(error), line=line) from None
        if statement is not None:
            placed.append(_Placed(statement, slot, line))
            slot += statement.instruction.slots
    return Assembly(
        tuple(_resolve(one, labels) for one in placed), labels, tuple(one.line for one in placed)
    )


def _take_labels(source: str, slot: int, labels: dict[str, int]) -> str:
    """Note the labels in front of a statement; gives the statement."""
    while match := _LABEL.match(source):
        name = match[1]
        if name in labels:
            raise AssemblerError(f"label {name!r} is defined twice")
        labels[name] = slot
        source = source[match.end() :]
    return source


def _parse_line(source: str) -> Statement | None:
    prefix = _LOG_PREFIX.match(source)
    opcode = None
    if prefix:
        opcode = prefix[1]
        source = source[prefix.end() :]
    source = source.strip()
    if not source:
        return None
    if opcode == f"{op.LD_IMM64:02x}" and _LOG_IMM64.fullmatch(source):
        # The kernel prints no "ll": the opcode in front is what tells it from a move.
        source += " ll"
    statement = parse_statement(source)
    if opcode is not None and statement.instruction.opcode != int(opcode, 16):
        raise AssemblerError(
            f"{source!r} has opcode {statement.instruction.opcode:02x}, not ({opcode})"
        )
    return statement


def _resolve(placed: _Placed, labels: Mapping[str, int]) -> Instruction:
    """The instruction with the distance to its label, or the number of its helper, filled in."""
    insn, name = placed.statement.instruction, placed.statement.name
    if not name:
        return insn
    if name not in labels:
        return _resolve_helper(insn, name, placed.line)
    # A distance counts from the next slot, in ld_imm64 too: from its own second slot.
    distance = labels[name] - placed.slot - 1
    by_imm = form_of(insn) in (Form.CALL, Form.GOTO_LONG, Form.LOAD_IMM64)
    lowest, highest = S32 if by_imm else S16
    if not lowest <= distance <= highest:
        raise AssemblerError(
            f"label {name!r} is {distance} slots away, outside {lowest} to {highest}: use gotol",
            line=placed.line,
        )
    return replace(insn, imm=distance) if by_imm else replace(insn, offset=distance)


def _resolve_helper(insn: Instruction, name: str, line: int) -> Instruction:
    if form_of(insn) is not Form.CALL:
        raise AssemblerError(f"label {name!r} is not defined", line=line)
    number = helper_number(name)
    if number is None:
        raise AssemblerError(f"there is no label and no helper {name!r} to call", line=line)
    return Instruction(op.CALL, imm=number)
