"""What can be known of a register's value, and what operations leave of that knowledge.

From much to little: one number, one pointer; a set of at most `MOST` of them; a number that
fits into 32 bits (`WORD`); nothing (`ANY`). What follows from two values is always at least
as little as what follows from one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Final, TypeAlias

from osmia.isa import opcodes as op
from osmia.isa.alu import M32, M64, arithmetic, compare, signed
from osmia.named_tuples import NamedTuple

MOST: Final = 16
"""Members of the largest set."""

_ALU64 = int(op.Class.ALU64)
_JEQ, _JNE = int(op.JmpOp.JEQ), int(op.JmpOp.JNE)
_SUMS = frozenset((int(op.AluOp.ADD), int(op.AluOp.SUB)))
_SUBMASK_BITS = 4  # of as many bits every combination is listed: MOST are


class Unknown(Enum):
    """No particular values."""

    ANY = "anything"
    WORD = "a number below 2**32"


_NO_POINTERS = frozenset((int, Unknown))


class _Token(Enum):
    FRAME = "frame"


class Pointer(NamedTuple):
    """What an opaque `token` stands for, and `offset` bytes (signed); None: somewhere in it."""

    token: Hashable
    offset: int | None = 0


Atom: TypeAlias = int | Pointer
Value: TypeAlias = int | Pointer | frozenset[Atom] | Unknown
"""What is known of a value. Numbers are 0 to 2**64 - 1."""

ANY: Final = Unknown.ANY
WORD: Final = Unknown.WORD
FRAME: Final = Pointer(_Token.FRAME)
"""The frame pointer of the function that the value is seen in."""


def is_frame(value: Value) -> bool:
    """Whether a value may be known to point into the function's own frame."""
    kind = type(value)
    if kind is Pointer:
        return value[0] is _Token.FRAME  # type: ignore[index]
    if kind is frozenset:
        return any(type(atom) is Pointer and atom[0] is _Token.FRAME for atom in value)  # type: ignore[union-attr]
    return False


def atoms(value: Value) -> frozenset[Atom] | None:
    """The numbers and pointers that a value is one of; None when there may be too many."""
    if isinstance(value, frozenset):
        return value
    return None if isinstance(value, Unknown) else frozenset((value,))


def numbers(value: Value) -> frozenset[int] | None:
    """The numbers that a value is one of; None when it may be something else."""
    found = frozenset(atom for atom in atoms(value) or () if isinstance(atom, int))
    return found if found and found == atoms(value) else None


def one_of(choices: Iterable[Atom]) -> Value:
    """The value that is one of some, at least one: as a set where they are few enough."""
    found = frozenset(choices)
    if len(found) == 1:
        (only,) = found
        return only
    vague = {atom.token for atom in found if isinstance(atom, Pointer) and atom.offset is None}
    if vague:
        found = frozenset(
            Pointer(atom.token, None) if isinstance(atom, Pointer) and atom.token in vague else atom
            for atom in found
        )
    if len(found) <= MOST:
        return next(iter(found)) if len(found) == 1 else found
    if all(isinstance(atom, int) for atom in found):
        return WORD if max(found) <= M32 else ANY  # type: ignore[operator]
    token = _only_token(found)
    return ANY if token is None else Pointer(token.token, None)


def join(a: Value, b: Value) -> Value:
    """What is known of a value that is one of two."""
    if a is b or a == b:
        return a
    xs, ys = atoms(a), atoms(b)
    if xs is not None and ys is not None:
        return one_of(xs | ys)
    return WORD if is_word(a) and is_word(b) else ANY


def is_word(value: Value) -> bool:
    """Whether a value is a number that fits into 32 bits."""
    if type(value) is int:
        return value <= M32
    if isinstance(value, frozenset):
        return all(isinstance(atom, int) and atom <= M32 for atom in value)
    return value is WORD


def each(change: Callable[[int], int], value: Value, bits: int = 64) -> Value:
    """A function of each number; of what is unknown or a pointer a result of `bits`."""
    if type(value) is int:
        return change(value)
    found = None if type(value) is Unknown else numbers(value)
    if found is None:
        return WORD if bits <= 32 else ANY
    return one_of(change(number) for number in found)


def cut(value: Value, bits: int) -> Value:
    """The low bits of a value."""
    if bits == 64 or (bits == 32 and is_word(value)):
        return value
    mask = (1 << bits) - 1
    return each(lambda number: number & mask, value, bits)


def moved(value: Value, distance: int) -> Value:
    """A value plus a number."""
    if type(value) is Pointer:
        return _add(value, distance)
    if not distance or type(value) is Unknown:
        return ANY if distance else value
    return one_of(_add(atom, distance) for atom in atoms(value) or ())


def operate(opcode: int, offset: int, a: Value, b: Value) -> Value:
    """What an ALU or ALU64 instruction of two operands leaves in its register."""
    if type(a) is int and type(b) is int:
        return arithmetic(opcode, offset, a, b)
    if type(a) is Unknown or type(b) is Unknown:
        return _vague(opcode, offset, a, b)
    xs, ys = atoms(a), atoms(b)
    assert xs is not None and ys is not None
    found = {_operate(opcode, offset, x, y) for x in xs for y in ys}
    known = [atom for atom in found if atom is not None]
    if len(known) == len(found):
        return one_of(known)
    return ANY if opcode & op.CLASS_MASK == _ALU64 else WORD


def _vague(opcode: int, offset: int, a: Value, b: Value) -> Value:
    """The same where one operand is not known."""
    wide = opcode & op.CLASS_MASK == _ALU64
    operation = opcode & op.OPERATION_MASK
    if wide and operation in _SUMS:
        if type(a) in _NO_POINTERS and type(b) in _NO_POINTERS:
            return ANY
        return _somewhere(operation, atoms(a), atoms(b))
    return _bounded(operation, wide, bool(offset), a, b)


def _add(atom: Atom, distance: int) -> Atom:
    if isinstance(atom, int):
        return atom + distance & M64
    if atom.offset is None:
        return atom
    return Pointer(atom.token, signed(atom.offset + distance, 64))


def _operate(opcode: int, offset: int, x: Atom, y: Atom) -> Atom | None:
    """The same of single operands; None for what is not known."""
    if isinstance(x, int) and isinstance(y, int):
        return arithmetic(opcode, offset, x, y)
    match opcode & ~op.Source.X:
        case op.Class.ALU64 | op.AluOp.ADD:
            if isinstance(y, int):
                return _add(x, y)
            return _add(y, x) if isinstance(x, int) else None
        case 0x17:  # ALU64 SUB
            if isinstance(y, int):
                return _add(x, -y)
            if isinstance(x, int) or x.token != y.token or x.offset is None or y.offset is None:
                return None
            return x.offset - y.offset & M64
    return None


def _only_token(found: frozenset[Atom] | None) -> Pointer | None:
    """One of some pointers, when all have one token."""
    pointers = [atom for atom in found or () if isinstance(atom, Pointer)]
    if not pointers or len(pointers) < len(found or ()):
        return None
    return pointers[0] if all(p.token == pointers[0].token for p in pointers) else None


def _somewhere(operation: int, xs: frozenset[Atom] | None, ys: frozenset[Atom] | None) -> Value:
    """A pointer plus or minus what is not known: no valid program leaves what it points into."""
    pointer = _only_token(xs)
    if pointer is None and operation == op.AluOp.ADD:
        pointer = _only_token(ys)
    return ANY if pointer is None else Pointer(pointer.token, None)


def _bounded(operation: int, wide: bool, is_signed: bool, a: Value, b: Value) -> Value:
    """What an operation leaves where one operand is not known."""
    bits = 64 if wide else 32
    if type(a) is int and operation == op.AluOp.AND:
        a, b = b, a
    number = b & (1 << bits) - 1 if type(b) is int else None
    if number is not None:
        match operation:
            case op.AluOp.AND if number.bit_count() <= _SUBMASK_BITS:
                return one_of(_submasks(number))
            case op.AluOp.MOD if not is_signed and 0 < number <= MOST:
                return one_of(range(number))
            case op.AluOp.RSH if bits - (number & bits - 1) <= _SUBMASK_BITS:
                return one_of(range(1 << bits - (number & bits - 1)))
            case op.AluOp.RSH if number & bits - 1 >= 32:
                return WORD
    return WORD if not wide or _stays_word(operation, is_signed, a, b) else ANY


def _stays_word(operation: int, is_signed: bool, a: Value, b: Value) -> bool:
    """Whether 64-bit arithmetic leaves a number that fits into 32 bits."""
    match operation:
        case op.AluOp.AND:
            return is_word(a) or is_word(b)
        case op.AluOp.OR | op.AluOp.XOR:
            return is_word(a) and is_word(b)
        case op.AluOp.RSH:
            return is_word(a)
        case op.AluOp.DIV | op.AluOp.MOD if not is_signed:
            return is_word(a)
    return False


def _submasks(mask: int) -> Iterable[int]:
    part = mask
    while True:
        yield part
        if not part:
            return
        part = part - 1 & mask


def refine(opcode: int, a: Value, b: Value, taken: bool) -> tuple[Value, Value] | None:
    """What is known of a conditional jump's operands when it is taken, or is not; None when
    that cannot be."""
    if type(a) is int and type(b) is int:
        return (a, b) if compare(opcode, a, b) is taken else None
    if _means_equal(opcode, taken):
        a, b = _equal(opcode, a, b), _equal(opcode, b, a)
    below = _below(opcode, a, b, taken)
    if below is not None:
        if below == 0:
            return None
        a = one_of(range(below)) if below <= MOST else WORD
    if type(a) is Unknown or type(b) is Unknown:
        return a, b
    xs, ys = atoms(a), atoms(b)
    if xs is None or ys is None or (len(xs) > 1 and len(ys) > 1):
        return a, b
    xs = frozenset(x for x in xs if any(_may(opcode, x, y, taken) for y in ys))
    ys = frozenset(y for y in ys if any(_may(opcode, x, y, taken) for x in xs))
    return (one_of(xs), one_of(ys)) if xs and ys else None


def _may(opcode: int, x: Atom, y: Atom, taken: bool) -> bool:
    """Whether a comparison may come out so."""
    if isinstance(x, int) and isinstance(y, int):
        return compare(opcode, x, y) is taken
    if isinstance(x, Pointer) and isinstance(y, Pointer) and x.token == y.token:
        if x.offset is None or y.offset is None or opcode & op.CLASS_MASK != op.Class.JMP:
            return True
        operation = opcode & op.OPERATION_MASK
        if operation in (op.JmpOp.JEQ, op.JmpOp.JNE):
            return (x.offset == y.offset) is (taken is (operation == op.JmpOp.JEQ))
    return True


def _means_equal(opcode: int, taken: bool) -> bool:
    return opcode & op.OPERATION_MASK == (_JEQ if taken else _JNE)


def _equal(opcode: int, value: Value, other: Value) -> Value:
    """A value that compared equal with another one."""
    if not isinstance(value, Unknown) or isinstance(other, Unknown):
        return value
    if opcode & op.CLASS_MASK == op.Class.JMP:
        return value if value is WORD and is_frame(other) else other
    found = numbers(other)
    return value if value is ANY or found is None else one_of(_low_halves(found))


def _low_halves(found: Iterable[int]) -> Iterable[int]:
    """The low halves of some numbers."""
    return (number & M32 for number in found)


def _below(opcode: int, a: Value, b: Value, taken: bool) -> int | None:
    """What an unknown value is below when an unsigned comparison comes out so: at most 2**32."""
    whole = opcode & op.CLASS_MASK == op.Class.JMP
    if type(b) is not int or type(a) is not Unknown or not (whole or a is WORD):
        return None
    below_if, room = _BELOW.get(opcode & op.OPERATION_MASK, (None, 0))
    below = (b if whole else b & M32) + room
    return below if below_if is taken and below <= M32 + 1 else None


_BELOW: Final = {
    int(op.JmpOp.JLT): (True, 0),
    int(op.JmpOp.JLE): (True, 1),
    int(op.JmpOp.JGE): (False, 0),
    int(op.JmpOp.JGT): (False, 1),
}
"""Of unsigned comparisons: when they say that the left operand is below the right, plus what."""
