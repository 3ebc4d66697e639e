"""The words and operators of the assembly text, as the kernel's verifier log prints them."""

from __future__ import annotations

from osmia.isa.opcodes import AluOp, AtomicOp, JmpOp, LoadKind, Size

ALU_OPERATORS = {
    AluOp.ADD: "+=",
    AluOp.SUB: "-=",
    AluOp.MUL: "*=",
    AluOp.DIV: "/=",
    AluOp.OR: "|=",
    AluOp.AND: "&=",
    AluOp.LSH: "<<=",
    AluOp.RSH: ">>=",
    AluOp.MOD: "%=",
    AluOp.XOR: "^=",
    AluOp.MOV: "=",
    AluOp.ARSH: "s>>=",
}
SIGNED_OPERATORS = {AluOp.DIV: "s/=", AluOp.MOD: "s%="}
COMPARISONS = {
    JmpOp.JEQ: "==",
    JmpOp.JGT: ">",
    JmpOp.JGE: ">=",
    JmpOp.JSET: "&",
    JmpOp.JNE: "!=",
    JmpOp.JSGT: "s>",
    JmpOp.JSGE: "s>=",
    JmpOp.JLT: "<",
    JmpOp.JLE: "<=",
    JmpOp.JSLT: "s<",
    JmpOp.JSLE: "s<=",
}
ACCESS_TYPES = {Size.W: "u32", Size.H: "u16", Size.B: "u8", Size.DW: "u64"}
SIGNED_ACCESS_TYPES = {Size.W: "s32", Size.H: "s16", Size.B: "s8"}
ATOMIC_NAMES = {
    AtomicOp.ADD: "add",
    AtomicOp.OR: "or",
    AtomicOp.AND: "and",
    AtomicOp.XOR: "xor",
}
ATOMIC_OPERATORS = {
    AtomicOp.ADD: "+=",
    AtomicOp.OR: "|=",
    AtomicOp.AND: "&=",
    AtomicOp.XOR: "^=",
}
MAP_KEYWORDS = {
    LoadKind.MAP_FD: "fd",
    LoadKind.MAP_VALUE: "fd",
    LoadKind.MAP_INDEX: "idx",
    LoadKind.MAP_INDEX_VALUE: "idx",
}

UNKNOWN_HELPER = "unknown"
"""The name in front of the number of a helper that nobody knows."""
UNNAMED_KFUNC = "kernel-function"
"""The name in front of the BTF id of a kfunc when no symbol is known for it."""
PROGRAM_HANDLE = "program"
"""The name in front of the handle of another program; osmia's own."""
UNSPECIFIED_HELPER = "bpf_unspec"
"""The kernel's name of helper 0, which cannot be called."""
