"""Arithmetic, comparisons and byte swaps exactly as RFC 9669 defines them, on Python integers.

Operands and results are unsigned: registers are 0 to 2**64 - 1.
"""

from __future__ import annotations

from collections.abc import Callable

from osmia.isa import opcodes as op

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

    from osmia.isa.byte_order import ByteOrder

M32: Final = 0xFFFF_FFFF
M64: Final = 0xFFFF_FFFF_FFFF_FFFF


def signed(value: int, bits: int) -> int:
    """The low `bits` of a value as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def divide(a: int, b: int, bits: int) -> int:
    """Unsigned division; by zero gives 0."""
    return a // b if b else 0


def modulo(a: int, b: int, bits: int) -> int:
    """Unsigned remainder; by zero leaves the dividend."""
    return a % b if b else a


def divide_signed(a: int, b: int, bits: int) -> int:
    """Signed division that rounds to zero; the smallest number by -1 stays what it is."""
    if not b:
        return 0
    x, y = signed(a, bits), signed(b, bits)
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def modulo_signed(a: int, b: int, bits: int) -> int:
    """Signed remainder with the dividend's sign."""
    if not b:
        return a
    x, y = signed(a, bits), signed(b, bits)
    remainder = abs(x) % abs(y)
    return -remainder if x < 0 else remainder


Operation = Callable[[int, int, int], int]

ARITHMETIC: Final[dict[int, Operation]] = {
    op.AluOp.ADD: lambda a, b, bits: a + b,
    op.AluOp.SUB: lambda a, b, bits: a - b,
    op.AluOp.MUL: lambda a, b, bits: a * b,
    op.AluOp.DIV: divide,
    op.AluOp.OR: lambda a, b, bits: a | b,
    op.AluOp.AND: lambda a, b, bits: a & b,
    op.AluOp.LSH: lambda a, b, bits: a << (b & (bits - 1)),
    op.AluOp.RSH: lambda a, b, bits: a >> (b & (bits - 1)),
    op.AluOp.NEG: lambda a, b, bits: -a,
    op.AluOp.MOD: modulo,
    op.AluOp.XOR: lambda a, b, bits: a ^ b,
    op.AluOp.MOV: lambda a, b, bits: b,
    op.AluOp.ARSH: lambda a, b, bits: signed(a, bits) >> (b & (bits - 1)),
}
"""By operation: a function of two operands cut to `bits` and of `bits`; cut its result."""


def arithmetic(opcode: int, offset: int, a: int, b: int) -> int:
    """What an ALU or ALU64 instruction other than END leaves in its register."""
    bits = 64 if opcode & op.CLASS_MASK == op.Class.ALU64 else 32
    mask = M64 if bits == 64 else M32
    a &= mask
    b &= mask
    operation = opcode & op.OPERATION_MASK
    if offset:
        match operation:
            case op.AluOp.DIV:
                return divide_signed(a, b, bits) & mask
            case op.AluOp.MOD:
                return modulo_signed(a, b, bits) & mask
            case op.AluOp.MOV:
                return signed(b, offset) & mask
    return ARITHMETIC[operation](a, b, bits) & mask


def byte_swap(opcode: int, width: int, value: int, byteorder: ByteOrder = "little") -> int:
    """What END leaves: the low `width` bits in little or big endian order, or swapped.

    Into the order of the machine that runs the code it only cuts.
    """
    value &= (1 << width) - 1
    foreign = op.EndianTarget.BE if byteorder == "little" else op.EndianTarget.LE
    swaps = opcode & op.CLASS_MASK == op.Class.ALU64 or opcode & op.Source.X == foreign
    return int.from_bytes(value.to_bytes(width // 8, "little"), "big") if swaps else value


COMPARISONS: Final[dict[int, Operation]] = {
    op.JmpOp.JEQ: lambda a, b, bits: a == b,
    op.JmpOp.JGT: lambda a, b, bits: a > b,
    op.JmpOp.JGE: lambda a, b, bits: a >= b,
    op.JmpOp.JSET: lambda a, b, bits: a & b != 0,
    op.JmpOp.JNE: lambda a, b, bits: a != b,
    op.JmpOp.JSGT: lambda a, b, bits: signed(a, bits) > signed(b, bits),
    op.JmpOp.JSGE: lambda a, b, bits: signed(a, bits) >= signed(b, bits),
    op.JmpOp.JLT: lambda a, b, bits: a < b,
    op.JmpOp.JLE: lambda a, b, bits: a <= b,
    op.JmpOp.JSLT: lambda a, b, bits: signed(a, bits) < signed(b, bits),
    op.JmpOp.JSLE: lambda a, b, bits: signed(a, bits) <= signed(b, bits),
}


def compare(opcode: int, a: int, b: int) -> bool:
    """Whether a conditional jump other than may_goto is taken."""
    bits = 64 if opcode & op.CLASS_MASK == op.Class.JMP else 32
    mask = M64 if bits == 64 else M32
    return bool(COMPARISONS[opcode & op.OPERATION_MASK](a & mask, b & mask, bits))


def atomic(operation: int, old: int, operand: int, expected: int, bits: int) -> int:
    """What a read-modify-write leaves in memory; `expected` is r0, for compare and exchange."""
    mask = (1 << bits) - 1
    match operation & ~op.FETCH:
        case op.AtomicOp.ADD:
            return old + operand & mask
        case op.AtomicOp.OR:
            return old | operand & mask
        case op.AtomicOp.AND:
            return old & operand & mask
        case op.AtomicOp.XOR:
            return old ^ operand & mask
    if operation == op.AtomicOp.XCHG:
        return operand & mask
    return operand & mask if old == expected & mask else old
