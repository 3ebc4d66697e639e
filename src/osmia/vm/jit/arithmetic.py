"""Arithmetic and conditions of BPF as LLVM IR: what RFC 9669 defines for every operand."""

from __future__ import annotations

from osmia.isa import opcodes as op
from osmia.isa.instruction import Instruction
from osmia.vm.jit.emitter import Emitter

CONDITIONS = {
    op.JmpOp.JEQ: "eq",
    op.JmpOp.JNE: "ne",
    op.JmpOp.JGT: "ugt",
    op.JmpOp.JGE: "uge",
    op.JmpOp.JLT: "ult",
    op.JmpOp.JLE: "ule",
    op.JmpOp.JSGT: "sgt",
    op.JmpOp.JSGE: "sge",
    op.JmpOp.JSLT: "slt",
    op.JmpOp.JSLE: "sle",
}
_SIMPLE = {
    op.AluOp.ADD: "add",
    op.AluOp.SUB: "sub",
    op.AluOp.MUL: "mul",
    op.AluOp.OR: "or",
    op.AluOp.AND: "and",
    op.AluOp.XOR: "xor",
}
_SHIFTS = {op.AluOp.LSH: "shl", op.AluOp.RSH: "lshr", op.AluOp.ARSH: "ashr"}


def arithmetic(body: Emitter, i: Instruction, bits: int, a: str, b: str) -> str:
    """An operation on two operands of `bits`."""
    operation = i.operation
    if operation in _SIMPLE:
        return body.value(f"{_SIMPLE[op.AluOp(operation)]} i{bits} {a}, {b}")
    if operation in _SHIFTS:
        amount = body.value(f"and i{bits} {b}, {bits - 1}")
        return body.value(f"{_SHIFTS[op.AluOp(operation)]} i{bits} {a}, {amount}")
    return _division(body, i, bits, a, b)


def _division(body: Emitter, i: Instruction, bits: int, a: str, b: str) -> str:
    """Division and remainder, defined for every operand: by zero, and the smallest
    number by -1."""
    signed = bool(i.offset)
    zero = body.value(f"icmp eq i{bits} {b}, 0")
    wraps = zero
    if signed:
        minus_one = body.value(f"icmp eq i{bits} {b}, -1")
        wraps = body.value(f"or i1 {zero}, {minus_one}")
    safe = body.value(f"select i1 {wraps}, i{bits} 1, i{bits} {b}")
    divides = i.operation == op.AluOp.DIV
    operation = ("s" if signed else "u") + ("div" if divides else "rem")
    result = body.value(f"{operation} i{bits} {a}, {safe}")
    if signed:
        special = body.value(f"sub i{bits} 0, {a}") if divides else "0"
        result = body.value(f"select i1 {minus_one}, i{bits} {special}, i{bits} {result}")
    by_zero = "0" if divides else a
    return body.value(f"select i1 {zero}, i{bits} {by_zero}, i{bits} {result}")
