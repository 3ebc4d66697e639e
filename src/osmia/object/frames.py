"""How deep each function reaches into its stack frame, in bytes.

An address in the frame comes from the frame pointer and a constant: the lowest such address
says how much of the frame is used. What is added to it later is taken for an index, not
negative; where that is not certain the whole frame counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.isa import opcodes as op
from osmia.isa.forms import LOADS, STORES, Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.lattice import FRAME, Pointer, Value, atoms, is_frame, is_word, moved
from osmia.isa.state import FRAME_SIZE, State
from osmia.object.known_code import KnownCode

_ADD = int(op.Class.ALU64 | op.AluOp.ADD)
_SUB = int(op.Class.ALU64 | op.AluOp.SUB)


def frame_sizes(code: KnownCode) -> dict[str, int]:
    """The bytes of its frame that each function uses, a multiple of 8; by its key."""
    lowest = dict.fromkeys(code.names, 0)
    for _, slot, insn, state in code.walk():
        function, _own = code.place(slot)
        for offset in _reached(insn, state):
            lowest[function] = min(lowest[function], offset)
    return {name: min(FRAME_SIZE, (7 - offset) // 8 * 8) for name, offset in lowest.items()}


def _reached(insn: Instruction, state: State) -> Iterator[int]:
    """The offsets in the frame that an instruction makes addresses of, or goes to."""
    form = form_of(insn)
    registers = state.registers
    if form in LOADS:
        yield from _offsets(moved(registers[insn.src], insn.offset))
    elif form in STORES:
        yield from _offsets(moved(registers[insn.dst], insn.offset))
    elif form is Form.ALU and insn.opcode & ~op.Source.X in (_ADD, _SUB):
        a = registers[insn.dst]
        b: Value = registers[insn.src] if insn.uses_source_register else insn.imm
        if is_frame(a) or is_frame(b):
            yield from _sum(a, b, subtracted=insn.opcode & ~op.Source.X == _SUB)


def _sum(a: Value, b: Value, *, subtracted: bool) -> Iterator[int]:
    if subtracted and is_frame(b):
        return  # the distance of two addresses: no address
    if not is_frame(a):
        a, b = b, a
    distances = atoms(b)
    if distances is None or not all(isinstance(each, int) for each in distances):
        # Some number: an index, if it can be told that it is not negative.
        if is_frame(b) or subtracted or not is_word(b):
            yield -FRAME_SIZE
        return
    for each in distances:
        assert isinstance(each, int)
        distance = -each if subtracted else each
        if distance >= 1 << 63:
            distance -= 1 << 64
        yield from _offsets(moved(a, distance), falling=distance < 0)


def _offsets(value: Value, *, falling: bool = False) -> Iterator[int]:
    """The known offsets of a value's pointers into the frame; one that is not known was made
    from a lower one, unless it is `falling`."""
    for atom in atoms(value) or ():
        if isinstance(atom, Pointer) and atom.token is FRAME.token:
            if atom.offset is not None:
                yield atom.offset
            elif falling:
                yield -FRAME_SIZE
