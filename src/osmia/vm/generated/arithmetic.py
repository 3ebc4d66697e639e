"""Arithmetic and conditions of BPF as Python expressions: what RFC 9669 defines, on integers.

An operand is an expression and the largest number that it can be: what cannot leave 64 (or 32)
bits needs no mask. Expressions have nothing in them but names of registers and numbers.
"""

from __future__ import annotations

from osmia.isa import alu
from osmia.isa import opcodes as op
from osmia.isa.alu import M32, M64
from osmia.isa.instruction import Instruction
from osmia.named_tuples import NamedTuple


class Operand(NamedTuple):
    """An expression that needs no brackets, and the largest number that it can be."""

    text: str
    most: int
    known: bool = False
    """Whether it is a number: `most`."""


def number(value: int) -> Operand:
    """An operand that is known."""
    return Operand(str(value), value, True)


def cut(operand: Operand, bits: int) -> Operand:
    """The low bits of an operand."""
    mask = (1 << bits) - 1
    if operand.known:
        return number(operand.most & mask)
    if operand.most <= mask:
        return operand
    return Operand(f"({operand.text} & {mask})", mask)


def arithmetic(i: Instruction, a: Operand, b: Operand) -> Operand:
    """The result of an ALU instruction other than END; operands of any width."""
    bits = 64 if i.class_ is op.Class.ALU64 else 32
    mask = M64 if bits == 64 else M32
    a, b = cut(a, bits), cut(b, bits)
    if a.known and b.known:
        return number(alu.arithmetic(i.opcode, i.offset, a.most, b.most))
    match i.operation:
        case op.AluOp.ADD if b.known and b.most > mask >> 1:
            return Operand(f"({a.text} - {mask + 1 - b.most} & {mask})", mask)
        case op.AluOp.ADD:
            return _masked(f"{a.text} + {b.text}", a.most + b.most, mask)
        case op.AluOp.SUB:
            return Operand(f"({a.text} - {b.text} & {mask})", mask)
        case op.AluOp.MUL:
            return _masked(f"{a.text} * {b.text}", a.most * b.most, mask)
        case op.AluOp.OR | op.AluOp.XOR:
            sign = "|" if i.operation == op.AluOp.OR else "^"
            return Operand(f"({a.text} {sign} {b.text})", _filled(max(a.most, b.most)))
        case op.AluOp.AND:
            return Operand(f"({a.text} & {b.text})", min(a.most, b.most))
        case op.AluOp.NEG:
            return Operand(f"(-{a.text} & {mask})", mask)
        case op.AluOp.MOV:
            return _sign_extended(b, i.offset, mask) if i.offset else b
        case op.AluOp.DIV | op.AluOp.MOD:
            return _division(i, a, b, bits)
    return _shift(i, a, b, bits)


def _masked(text: str, most: int, mask: int) -> Operand:
    return Operand(f"({text} & {mask})", mask) if most > mask else Operand(f"({text})", most)


def _filled(most: int) -> int:
    return (1 << most.bit_length()) - 1


def _sign_extended(b: Operand, bits: int, mask: int) -> Operand:
    sign = 1 << (bits - 1)
    low = cut(b, bits)
    if low.most < sign:
        return low
    return Operand(f"(({low.text} ^ {sign}) - {sign} & {mask})", mask)


def _shift(i: Instruction, a: Operand, b: Operand, bits: int) -> Operand:
    mask = (1 << bits) - 1
    amount = number(b.most & (bits - 1)) if b.known else Operand(f"({b.text} & {bits - 1})", bits)
    if i.operation == op.AluOp.LSH:
        most = a.most << amount.most if amount.known else mask + 1
        return _masked(f"{a.text} << {amount.text}", most, mask)
    if i.operation == op.AluOp.RSH or a.most >> (bits - 1) == 0:
        most = a.most >> amount.most if amount.known else a.most
        return Operand(f"({a.text} >> {amount.text})", most)
    sign = 1 << (bits - 1)
    return Operand(f"(({a.text} ^ {sign}) - {sign} >> {amount.text} & {mask})", mask)


def _division(i: Instruction, a: Operand, b: Operand, bits: int) -> Operand:
    """By zero gives 0, the remainder then the dividend."""
    mask = (1 << bits) - 1
    divides = i.operation == op.AluOp.DIV
    if i.offset:
        name = "divide_signed" if divides else "modulo_signed"
        return Operand(f"({name}({a.text}, {b.text}, {bits}) & {mask})", mask)
    sign, otherwise = ("//", "0") if divides else ("%", a.text)
    if not b.known:
        return Operand(f"({a.text} {sign} {b.text} if {b.text} else {otherwise})", a.most)
    if b.most:
        return Operand(f"({a.text} {sign} {b.text})", a.most // b.most if divides else b.most - 1)
    return number(0) if divides else a


def swapped(i: Instruction, a: Operand) -> Operand:
    """What END leaves, on a little-endian machine."""
    low = cut(a, i.imm)
    if low.known:
        return number(alu.byte_swap(i.opcode, i.imm, low.most))
    if i.class_ is op.Class.ALU64 or i.opcode & op.Source.X:
        return Operand(f"swap{i.imm}({low.text})", (1 << i.imm) - 1)
    return low


_SIGNS = {
    op.JmpOp.JEQ: "==",
    op.JmpOp.JNE: "!=",
    op.JmpOp.JGT: ">",
    op.JmpOp.JGE: ">=",
    op.JmpOp.JLT: "<",
    op.JmpOp.JLE: "<=",
    op.JmpOp.JSET: "&",
    op.JmpOp.JSGT: ">",
    op.JmpOp.JSGE: ">=",
    op.JmpOp.JSLT: "<",
    op.JmpOp.JSLE: "<=",
}
_SIGNED = frozenset((op.JmpOp.JSGT, op.JmpOp.JSGE, op.JmpOp.JSLT, op.JmpOp.JSLE))


def condition(i: Instruction, a: Operand, b: Operand) -> str:
    """What is true where a conditional jump is taken."""
    bits = 64 if i.class_ is op.Class.JMP else 32
    a, b = cut(a, bits), cut(b, bits)
    operation = op.JmpOp(i.operation)
    sign = 1 << (bits - 1)
    if operation in _SIGNED and not (a.most < sign and b.most < sign):
        # With the sign bit turned, the order of signed numbers is that of unsigned ones.
        a, b = _turned(a, sign), _turned(b, sign)
    return f"{a.text} {_SIGNS[operation]} {b.text}"


def _turned(a: Operand, sign: int) -> Operand:
    return number(a.most ^ sign) if a.known else Operand(f"({a.text} ^ {sign})", M64)
