"""Code as text: the syntax of the kernel's verifier log, one line an instruction.

What the ISA does not know is printed as `.raw` with all its fields, so that assembling
the text gives the code back, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from osmia.arguments import names_wrong_arguments
from osmia.isa import opcodes as op
from osmia.isa import syntax
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.packing import Buffer, ByteOrder, walk

Symbol = Callable[[int, Instruction], str | None]
"""Byte offset and instruction in; the name of what it loads, calls or jumps to, or None."""


@names_wrong_arguments
def disassemble(
    code: Buffer, byteorder: ByteOrder = "little", *, symbol: Symbol | None = None
) -> Iterator[tuple[int, str]]:
    """Each instruction of `code` as text, with the slot (8 bytes each, from 0) it starts at.

    `symbol` is asked about every ld_imm64, call and jump, with its byte offset; the name
    it returns stands where the number would, of `gotox` as a comment. Raises
    ObjectFormatError when `code` is not whole slots; anything else prints.

    >>> [text for _, text in disassemble(bytes.fromhex("b700000002000000 9500000000000000"))]
    ['r0 = 2', 'exit']
    """
    for slot, insn in walk(code, byteorder):
        form = form_of(insn)
        name = None
        if symbol is not None and form in _SYMBOLIC_FORMS:
            name = symbol(slot * op.SLOT_SIZE, insn)
        yield slot, _raw(insn) if form is None else _FORMATTERS[form](insn, name)


@names_wrong_arguments
def format_instruction(insn: Instruction, symbol: str | None = None) -> str:
    """One instruction as text; `symbol` names what it loads, calls or jumps to."""
    form = form_of(insn)
    return _raw(insn) if form is None else _FORMATTERS[form](insn, symbol)


_Formatter = Callable[[Instruction, str | None], str]


def _raw(insn: Instruction) -> str:
    text = (
        f".raw {insn.opcode:#04x}, dst={insn.dst}, src={insn.src}, "
        f"offset={insn.offset}, imm={insn.imm}"
    )
    return f"{text}, imm_high={insn.imm_high}" if insn.slots == 2 else text


def _bank(insn: Instruction) -> str:
    """The letter of the registers: r for 64 bits, w for the lower 32."""
    return "w" if insn.opcode & op.CLASS_MASK in (op.Class.ALU, op.Class.JMP32) else "r"


def _operand(insn: Instruction) -> str:
    return f"{_bank(insn)}{insn.src}" if insn.uses_source_register else str(insn.imm)


def _alu(insn: Instruction, _: str | None) -> str:
    operator = syntax.ALU_OPERATORS[op.AluOp(insn.operation)]
    return f"{_bank(insn)}{insn.dst} {operator} {_operand(insn)}"


def _signed_division(insn: Instruction, _: str | None) -> str:
    operator = syntax.SIGNED_OPERATORS[op.AluOp(insn.operation)]
    return f"{_bank(insn)}{insn.dst} {operator} {_operand(insn)}"


def _move_sign_extended(insn: Instruction, _: str | None) -> str:
    bank = _bank(insn)
    return f"{bank}{insn.dst} = (s{insn.offset}){bank}{insn.src}"


def _negate(insn: Instruction, _: str | None) -> str:
    register = f"{_bank(insn)}{insn.dst}"
    return f"{register} = -{register}"


def _to_endian(insn: Instruction, _: str | None) -> str:
    order = "be" if insn.uses_source_register else "le"
    return f"r{insn.dst} = {order}{insn.imm} r{insn.dst}"


def _byte_swap(insn: Instruction, _: str | None) -> str:
    return f"r{insn.dst} = bswap{insn.imm} r{insn.dst}"


def _addr_space_cast(insn: Instruction, _: str | None) -> str:
    to, from_ = (insn.imm & 0xFFFFFFFF) >> 16, insn.imm & 0xFFFF
    return f"r{insn.dst} = addr_space_cast(r{insn.src}, {to}, {from_})"


def _percpu_address(insn: Instruction, _: str | None) -> str:
    return f"r{insn.dst} = &(void __percpu *)(r{insn.src})"


def _load_imm64(insn: Instruction, symbol: str | None) -> str:
    return f"r{insn.dst} = {symbol or _load_imm64_value(insn)}"


def _load_imm64_value(insn: Instruction) -> str:
    kind = op.LoadKind(insn.src)
    match kind:
        case op.LoadKind.VALUE:
            return f"{insn.imm64:#x} ll"
        case op.LoadKind.FUNCTION:
            return f"subprog[{insn.imm:+d}]"
        case op.LoadKind.BTF_ID:
            module = f",fd:{insn.imm_high}" if insn.imm_high else ""
            return f"btf[id:{insn.imm}{module}]"
        case op.LoadKind.MAP_FD | op.LoadKind.MAP_INDEX:
            return f"map[{syntax.MAP_KEYWORDS[kind]}:{insn.imm}]"
        case op.LoadKind.MAP_VALUE | op.LoadKind.MAP_INDEX_VALUE:
            return f"map[{syntax.MAP_KEYWORDS[kind]}:{insn.imm}][0]+{insn.imm_high & 0xFFFFFFFF}"


def _access(insn: Instruction, register: int) -> str:
    """The typed address, without the star in front of it: (u32 *)(r1 +4)."""
    return f"({syntax.ACCESS_TYPES[insn.size]} *)(r{register} {insn.offset:+d})"


def _load_absolute(insn: Instruction, _: str | None) -> str:
    return f"r0 = *({syntax.ACCESS_TYPES[insn.size]} *)skb[{insn.imm}]"


def _load_indirect(insn: Instruction, _: str | None) -> str:
    return f"r0 = *({syntax.ACCESS_TYPES[insn.size]} *)skb[r{insn.src} + {insn.imm}]"


def _load(insn: Instruction, _: str | None) -> str:
    return f"r{insn.dst} = *{_access(insn, insn.src)}"


def _load_sign_extended(insn: Instruction, _: str | None) -> str:
    type_ = syntax.SIGNED_ACCESS_TYPES[insn.size]
    return f"r{insn.dst} = *({type_} *)(r{insn.src} {insn.offset:+d})"


def _store_immediate(insn: Instruction, _: str | None) -> str:
    return f"*{_access(insn, insn.dst)} = {insn.imm}"


def _store(insn: Instruction, _: str | None) -> str:
    return f"*{_access(insn, insn.dst)} = r{insn.src}"


def _atomic(insn: Instruction, _: str | None) -> str:
    operator = syntax.ATOMIC_OPERATORS[op.AtomicOp(insn.imm)]
    return f"lock *{_access(insn, insn.dst)} {operator} r{insn.src}"


def _atomic_function(insn: Instruction) -> str:
    return "atomic64" if insn.size is op.Size.DW else "atomic"


def _atomic_fetch(insn: Instruction, _: str | None) -> str:
    name = syntax.ATOMIC_NAMES[op.AtomicOp(insn.imm & ~op.FETCH)]
    function = f"{_atomic_function(insn)}_fetch_{name}"
    return f"r{insn.src} = {function}({_access(insn, insn.dst)}, r{insn.src})"


def _exchange(insn: Instruction, _: str | None) -> str:
    function = f"{_atomic_function(insn)}_xchg"
    return f"r{insn.src} = {function}({_access(insn, insn.dst)}, r{insn.src})"


def _compare_exchange(insn: Instruction, _: str | None) -> str:
    function = f"{_atomic_function(insn)}_cmpxchg"
    return f"r0 = {function}({_access(insn, insn.dst)}, r0, r{insn.src})"


def _load_acquire(insn: Instruction, _: str | None) -> str:
    return f"r{insn.dst} = load_acquire({_access(insn, insn.src)})"


def _store_release(insn: Instruction, _: str | None) -> str:
    return f"store_release({_access(insn, insn.dst)}, r{insn.src})"


def _branch(insn: Instruction, symbol: str | None) -> str:
    bank = _bank(insn)
    comparison = syntax.COMPARISONS[op.JmpOp(insn.operation)]
    operand = _operand(insn) if insn.uses_source_register else f"{insn.imm & 0xFFFFFFFF:#x}"
    return f"if {bank}{insn.dst} {comparison} {operand} goto {symbol or f'pc{insn.offset:+d}'}"


def _goto(insn: Instruction, symbol: str | None) -> str:
    return f"goto {symbol or f'pc{insn.offset:+d}'}"


def _goto_long(insn: Instruction, symbol: str | None) -> str:
    return f"gotol {symbol or f'pc{insn.imm:+d}'}"


def _goto_register(insn: Instruction, symbol: str | None) -> str:
    return f"gotox r{insn.dst} ; {symbol}" if symbol else f"gotox r{insn.dst}"


def _may_goto(insn: Instruction, symbol: str | None) -> str:
    return f"may_goto {symbol or f'pc{insn.offset:+d}'}"


def _call(insn: Instruction, symbol: str | None) -> str:
    match op.CallKind(insn.src):
        case op.CallKind.SUBPROGRAM:
            return f"call {symbol or _call_distance(insn)}"
        case op.CallKind.KFUNC:
            module = f"[{insn.offset}]" if insn.offset else ""
            return f"call {symbol or syntax.UNNAMED_KFUNC}{module}#{insn.imm}"
        case op.CallKind.PROGRAM:
            return f"call {symbol or syntax.PROGRAM_HANDLE}#{insn.imm}"
        case op.CallKind.HELPER:
            return f"call {symbol or _helper_name(insn.imm)}#{insn.imm}"


def _call_distance(insn: Instruction) -> str:
    """pc+7; in xlated code pc+7#2, where 2 is the immediate: the subprogram's number."""
    return f"pc{insn.offset:+d}#{insn.imm}" if insn.offset else f"pc{insn.imm:+d}"


@cache
def _helper_name(number: int) -> str:
    from osmia.isa.helper_functions import helper_name  # a long table: only for who prints calls

    if number == 0:
        return syntax.UNSPECIFIED_HELPER
    return helper_name(number) or syntax.UNKNOWN_HELPER


_FORMATTERS: dict[Form, _Formatter] = {
    Form.ALU: _alu,
    Form.SIGNED_DIVISION: _signed_division,
    Form.MOVE: _alu,
    Form.MOVE_SIGN_EXTENDED: _move_sign_extended,
    Form.NEGATE: _negate,
    Form.TO_ENDIAN: _to_endian,
    Form.BYTE_SWAP: _byte_swap,
    Form.ADDR_SPACE_CAST: _addr_space_cast,
    Form.PERCPU_ADDRESS: _percpu_address,
    Form.LOAD_IMM64: _load_imm64,
    Form.LOAD_ABSOLUTE: _load_absolute,
    Form.LOAD_INDIRECT: _load_indirect,
    Form.LOAD: _load,
    Form.LOAD_SIGN_EXTENDED: _load_sign_extended,
    Form.STORE_IMMEDIATE: _store_immediate,
    Form.STORE: _store,
    Form.ATOMIC: _atomic,
    Form.ATOMIC_FETCH: _atomic_fetch,
    Form.EXCHANGE: _exchange,
    Form.COMPARE_EXCHANGE: _compare_exchange,
    Form.LOAD_ACQUIRE: _load_acquire,
    Form.STORE_RELEASE: _store_release,
    Form.NOSPEC: lambda insn, symbol: "nospec",
    Form.BRANCH: _branch,
    Form.GOTO: _goto,
    Form.GOTO_LONG: _goto_long,
    Form.GOTO_REGISTER: _goto_register,
    Form.MAY_GOTO: _may_goto,
    Form.CALL: _call,
    Form.CALL_REGISTER: lambda insn, symbol: f"callx r{insn.dst}",
    Form.EXIT: lambda insn, symbol: "exit",
}

_SYMBOLIC_FORMS = frozenset(
    {
        Form.LOAD_IMM64,
        Form.CALL,
        Form.BRANCH,
        Form.GOTO,
        Form.GOTO_LONG,
        Form.GOTO_REGISTER,
        Form.MAY_GOTO,
    }
)
