"""Register liveness: which registers hold a value that is still needed, at each instruction.

Register sets are bit masks: bit n is register n. The rules are those of the verifier's
"Live regs before insn" (since Linux 6.15), with two differences: the frame pointer is a
register like others, and a call of a subprogram or kfunc is taken to read all of r1 to r5.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from osmia.arguments import names_wrong_arguments
from osmia.isa import opcodes as op
from osmia.isa.cfg import BasicBlock, ControlFlow
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.records import dataclass

ARGUMENTS = 0b111110
"""r1 to r5: what a call may read."""
CLOBBERED = 0b111111
"""r0 to r5: what a call leaves undefined, but for the result in r0."""
ALL_REGISTERS = (1 << op.AUXILIARY_REGISTER + 1) - 1

_R0 = 1
_R6 = 1 << 6

_READ_DST = frozenset(
    {
        Form.ALU,
        Form.SIGNED_DIVISION,
        Form.NEGATE,
        Form.TO_ENDIAN,
        Form.BYTE_SWAP,
        Form.STORE_IMMEDIATE,
        Form.STORE,
        Form.ATOMIC,
        Form.ATOMIC_FETCH,
        Form.EXCHANGE,
        Form.COMPARE_EXCHANGE,
        Form.STORE_RELEASE,
        Form.BRANCH,
        Form.GOTO_REGISTER,
        Form.CALL_REGISTER,
    }
)
_READ_SRC = frozenset(
    {
        Form.MOVE_SIGN_EXTENDED,
        Form.ADDR_SPACE_CAST,
        Form.PERCPU_ADDRESS,
        Form.LOAD_INDIRECT,
        Form.LOAD,
        Form.LOAD_SIGN_EXTENDED,
        Form.STORE,
        Form.ATOMIC,
        Form.ATOMIC_FETCH,
        Form.EXCHANGE,
        Form.COMPARE_EXCHANGE,
        Form.LOAD_ACQUIRE,
        Form.STORE_RELEASE,
    }
)
_READ_SRC_OR_IMM = frozenset({Form.ALU, Form.SIGNED_DIVISION, Form.MOVE, Form.BRANCH})
_READ_IMPLICITLY = {
    Form.LOAD_ABSOLUTE: _R6,
    Form.LOAD_INDIRECT: _R6,
    Form.COMPARE_EXCHANGE: _R0,
    Form.CALL_REGISTER: ARGUMENTS,
    Form.EXIT: _R0,
}
_WRITE_DST = frozenset(
    {
        Form.ALU,
        Form.SIGNED_DIVISION,
        Form.MOVE,
        Form.MOVE_SIGN_EXTENDED,
        Form.NEGATE,
        Form.TO_ENDIAN,
        Form.BYTE_SWAP,
        Form.ADDR_SPACE_CAST,
        Form.PERCPU_ADDRESS,
        Form.LOAD_IMM64,
        Form.LOAD,
        Form.LOAD_SIGN_EXTENDED,
        Form.LOAD_ACQUIRE,
    }
)
_WRITE_SRC = frozenset({Form.ATOMIC_FETCH, Form.EXCHANGE})
_WRITE_IMPLICITLY = {
    Form.LOAD_ABSOLUTE: CLOBBERED,
    Form.LOAD_INDIRECT: CLOBBERED,
    Form.COMPARE_EXCHANGE: _R0,
    Form.CALL: CLOBBERED,
    Form.CALL_REGISTER: CLOBBERED,
}


def registers(mask: int) -> tuple[int, ...]:
    """The register numbers in a mask, ascending."""
    return tuple(number for number in range(mask.bit_length()) if mask >> number & 1)


def registers_read(insn: Instruction) -> int:
    """The registers whose values `insn` uses; all of them when the ISA does not know it."""
    form = form_of(insn)
    if form is None:
        return ALL_REGISTERS
    if form is Form.CALL:
        return _arguments_read(insn)
    mask = _READ_IMPLICITLY.get(form, 0)
    if form in _READ_DST:
        mask |= 1 << insn.dst
    if form in _READ_SRC or (form in _READ_SRC_OR_IMM and insn.uses_source_register):
        mask |= 1 << insn.src
    return mask


def registers_written(insn: Instruction) -> int:
    """The registers that do not keep their values; none when the ISA does not know `insn`."""
    form = form_of(insn)
    if form is None:
        return 0
    mask = _WRITE_IMPLICITLY.get(form, 0)
    if form in _WRITE_DST:
        mask |= 1 << insn.dst
    if form in _WRITE_SRC:
        mask |= 1 << insn.src
    return mask


@dataclass(frozen=True, slots=True)
class Liveness:
    """The live registers around each instruction, as masks by its slot."""

    before: Mapping[int, int]
    after: Mapping[int, int]


@names_wrong_arguments
def live_registers(flow: ControlFlow, reads: Mapping[int, int] | None = None) -> Liveness:
    """Which registers are live before and after each instruction of `flow`.

    A register is live where some path reads it before writing it. What a subprogram's
    caller still needs (r6 to r9) is not live in the subprogram. All are live behind a `gotox`
    that may go anywhere. `reads` says, by slot, what calls read of which more is known.
    """
    known = reads or {}
    effects = {
        slot: (
            known[slot] if slot in known else registers_read(insn),
            registers_written(insn),
        )
        for slot, insn in flow.instructions.items()
    }
    out = _live_out_of_blocks(flow, effects)
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for block in flow.blocks:
        live = out[block.start]
        for slot in _slots_backwards(flow, block):
            after[slot] = live
            read, written = effects[slot]
            live = live & ~written | read
            before[slot] = live
    return Liveness(before, after)


def _live_out_of_blocks(
    flow: ControlFlow, effects: Mapping[int, tuple[int, int]]
) -> Mapping[int, int]:
    """The registers live at the end of each block, as the smallest fixed point."""
    summaries = {block.start: _summary(flow, block, effects) for block in flow.blocks}
    out = {b.start: ALL_REGISTERS if b.goes_anywhere else 0 for b in flow.blocks}
    # From the last block up, most successors are done before who needs them. A set only
    # grows, 12 times at most, and each growth visits the block's predecessors once.
    pending = dict.fromkeys(summaries)
    while pending:
        start, _ = pending.popitem()
        read_first, written = summaries[start]
        live = out[start] & ~written | read_first
        for predecessor in flow.predecessors[start]:
            if live & ~out[predecessor]:
                out[predecessor] |= live
                pending[predecessor] = None
    return out


def _summary(
    flow: ControlFlow, block: BasicBlock, effects: Mapping[int, tuple[int, int]]
) -> tuple[int, int]:
    """What a whole block reads before it writes it, and what it writes."""
    read_first = all_written = 0
    for slot in _slots_backwards(flow, block):
        read, written = effects[slot]
        read_first = read_first & ~written | read
        all_written |= written
    return read_first, all_written


def _slots_backwards(flow: ControlFlow, block: BasicBlock) -> list[int]:
    return [slot for slot, _ in flow.block_instructions(block)][::-1]


def _arguments_read(insn: Instruction) -> int:
    if not insn.is_helper_call:
        return ARGUMENTS
    count = _helper_arguments(insn.imm)
    return ARGUMENTS if count is None else (1 << count + 1) - 2


@cache
def _helper_arguments(number: int) -> int | None:
    """How many arguments a helper takes, None when it is unknown or takes any number."""
    from osmia.isa.helper_functions import HELPERS  # a long table: only for who meets calls

    helper = HELPERS.get(number)
    if helper is None or ("...", "") in helper.arguments:
        return None
    return len(helper.arguments)
