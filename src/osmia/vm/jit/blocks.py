"""A function of a program by itself: its control flow, and the numbers known in it.

Map pointers, tail call keys and callbacks are mostly loaded into a register some way before
the call; knowing them there is what makes a helper call a direct, specialised one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from osmia.isa.cfg import ControlFlow, flow_of
from osmia.isa.constants import KnownValues, known_values
from osmia.isa.forms import Form
from osmia.isa.instruction import Instruction
from osmia.isa.opcodes import FRAME_POINTER, LD_IMM64
from osmia.vm.code import Code, CodeFunction
from osmia.vm.layout import FRAME_SIZE

Immediate = Callable[[Instruction, int], int]
"""The number that an ld_imm64 at a slot leaves: in the vm every address and handle is one."""


def instructions(code: Code, start: int, end: int) -> Iterator[tuple[int, Instruction, Form]]:
    """The instructions between two slots."""
    for slot in range(start, end):
        instruction, form = code.instructions[slot], code.forms[slot]
        if instruction is not None and form is not None:
            yield slot, instruction, form


def function_flow(code: Code, function: CodeFunction) -> ControlFlow:
    """The blocks of one function; a call of another one is an instruction like others."""
    own = code.instructions[function.start : function.end]
    found = {slot: each for slot, each in enumerate(own, function.start) if each is not None}
    roots = (function.start,)
    return flow_of(found, roots=roots, subprograms=False, jump_tables=code.jumps)


def known_numbers(flow: ControlFlow, immediate: Immediate, *, private: bool) -> KnownValues:
    """What is known in a function. Nobody verified it: unless its frame is private, any store
    and any call may change the stack."""
    tokens = {
        slot: immediate(each, slot)
        for slot, each in flow.instructions.items()
        if each.opcode == LD_IMM64
    }
    return known_values(flow, tokens=tokens, verified=private)


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
