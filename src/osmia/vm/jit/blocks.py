"""A function's basic blocks, and which registers hold known numbers where.

Map pointers, tail call keys and callbacks are mostly loaded into a register just before
the call; knowing them there is what makes a helper call a direct, specialised one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from osmia.isa.alu import M64, arithmetic
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.isa.opcodes import FRAME_POINTER, JA_X
from osmia.vm.code import Code, CodeFunction
from osmia.vm.layout import FRAME_SIZE

Constants = dict[int, int]

_ENDS = frozenset({Form.EXIT, Form.GOTO, Form.GOTO_LONG, Form.GOTO_REGISTER})
_JUMPS = frozenset({Form.BRANCH, Form.MAY_GOTO, Form.GOTO, Form.GOTO_LONG, Form.GOTO_REGISTER})
_KEPT = frozenset(
    {
        Form.STORE,
        Form.STORE_IMMEDIATE,
        Form.STORE_RELEASE,
        Form.ATOMIC,
        Form.NOSPEC,
        Form.EXIT,
        *_JUMPS,
    }
)


@dataclass(slots=True)
class Block:
    """Slots `start` to `end` (exclusive); `constants` are known when it begins."""

    start: int
    end: int
    successors: tuple[int, ...] = ()
    constants: Constants | None = None
    predecessors: list[int] = field(default_factory=list)


def target(instruction: Instruction, slot: int) -> int:
    """Where a jump goes."""
    offset = instruction.jump_offset
    assert offset is not None
    return slot + 1 + offset


def targets(code: Code, instruction: Instruction, slot: int) -> Sequence[int]:
    """Where a jump may go, falling through not counted."""
    if instruction.opcode == JA_X:
        return code.jumps[slot]
    return (target(instruction, slot),)


def instructions(code: Code, start: int, end: int) -> Iterator[tuple[int, Instruction, Form]]:
    """The instructions between two slots."""
    for slot in range(start, end):
        instruction, form = code.instructions[slot], code.forms[slot]
        if instruction is not None and form is not None:
            yield slot, instruction, form


def blocks(code: Code, function: CodeFunction) -> dict[int, Block]:
    """The reachable blocks of a function by first slot, in the order of the code."""
    leaders = {function.start}
    for slot, instruction, form in instructions(code, function.start, function.end):
        if form in _JUMPS:
            leaders.update(targets(code, instruction, slot))
        if form in _JUMPS or form is Form.EXIT:
            leaders.add(slot + 1)
    leaders.discard(function.end)
    starts = sorted(leaders)
    found = {}
    for start, end in zip(starts, [*starts[1:], function.end], strict=True):
        found[start] = Block(start, end, tuple(_successors(code, start, end)))
    return _reachable(found, function.start)


def _successors(code: Code, start: int, end: int) -> Iterator[int]:
    *_, (slot, instruction, form) = instructions(code, start, end)
    if form in _JUMPS:
        yield from targets(code, instruction, slot)
    if form not in _ENDS:
        yield end


def _reachable(found: dict[int, Block], entry: int) -> dict[int, Block]:
    seen = {entry}
    pending = [entry]
    while pending:
        start = pending.pop()
        for successor in found[start].successors:
            found[successor].predecessors.append(start)
            if successor not in seen:
                seen.add(successor)
                pending.append(successor)
    return {start: block for start, block in found.items() if start in seen}


_ACCESSES = frozenset(
    {
        Form.LOAD,
        Form.LOAD_SIGN_EXTENDED,
        Form.STORE,
        Form.STORE_IMMEDIATE,
    }
)


def frame_is_private(code: Code, function: CodeFunction) -> bool:
    """Whether the frame is only ever named by plain accesses inside of it: then no pointer
    to it exists, and it can live in registers."""
    for _, i, form in instructions(code, function.start, function.end):
        base = i.src if form in (Form.LOAD, Form.LOAD_SIGN_EXTENDED) else i.dst
        other = i.dst if base == i.src else i.src
        if form in _ACCESSES:
            if base == FRAME_POINTER:
                inside = -FRAME_SIZE <= i.offset <= -i.size.bytes
                if not inside or (form is Form.STORE and i.src == FRAME_POINTER):
                    return False
            elif form is Form.STORE and other == FRAME_POINTER:
                return False
        elif FRAME_POINTER in (i.dst, i.src) and form is not Form.LOAD_IMM64:
            return False
    return True


Immediate = Callable[[Instruction, int], int]


def find_constants(code: Code, found: dict[int, Block], immediate: Immediate) -> None:
    """Fill in `Block.constants`: forward, a block behind a loop's head knows nothing that
    the loop might change."""
    for start, block in found.items():
        if any(p >= start for p in block.predecessors) or not block.predecessors:
            block.constants = {}
            continue
        states = []
        for predecessor in block.predecessors:
            before = found[predecessor]
            known = dict(before.constants or {})
            for slot, instruction, form in instructions(code, before.start, before.end):
                follow(known, instruction, form, slot, immediate)
            states.append(known)
        block.constants = {
            register: value
            for register, value in states[0].items()
            if all(state.get(register) == value for state in states)
        }


def follow(known: Constants, i: Instruction, form: Form, slot: int, immediate: Immediate) -> None:
    """What is known after an instruction, given what is known before it."""
    match form:
        case Form.LOAD_IMM64:
            known[i.dst] = immediate(i, slot)
        case Form.MOVE:
            value = known.get(i.src) if i.uses_source_register else i.imm & M64
            _set(known, i.dst, None if value is None else arithmetic(i.opcode, 0, 0, value))
        case Form.ALU if i.dst in known and not i.uses_source_register:
            known[i.dst] = arithmetic(i.opcode, 0, known[i.dst], i.imm & M64)
        case Form.CALL | Form.LOAD_ABSOLUTE | Form.LOAD_INDIRECT:
            known.pop(0, None)
        case Form.ATOMIC_FETCH | Form.EXCHANGE:
            known.pop(i.src, None)
        case Form.COMPARE_EXCHANGE:
            known.pop(0, None)
        case _ if form not in _KEPT:
            known.pop(i.dst, None)


def _set(known: Constants, register: int, value: int | None) -> None:
    if value is None:
        known.pop(register, None)
    else:
        known[register] = value
