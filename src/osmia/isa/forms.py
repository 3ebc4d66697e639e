"""Which combinations of fields the ISA knows: the form of each valid instruction.

An instruction has a form when its opcode is known, when the fields that refine it
(offset, immediate, source register) hold a known value, and when the fields it does not
use are 0 (RFC 9669 section 3: "unused fields SHALL be cleared to zero"). The
disassembler, liveness and the engines branch on the form and need not look for
unknown combinations again.
"""

from __future__ import annotations

from collections.abc import Callable

from osmia.arguments import explained
from osmia.enums import IntEnum
from osmia.isa import opcodes as op
from osmia.isa.instruction import Instruction, LoneSlot


class Form(IntEnum):
    """What an instruction does, as far as it decides which fields it uses."""

    ALU = 1
    """dst op= src or imm, 32 or 64 bits."""
    SIGNED_DIVISION = 2
    """dst s/= or s%= src or imm."""
    MOVE = 3
    """dst = src or imm."""
    MOVE_SIGN_EXTENDED = 4
    """dst = the low `offset` bits (8, 16, 32) of src, sign-extended."""
    NEGATE = 5
    """dst = -dst."""
    TO_ENDIAN = 6
    """dst = the low `imm` bits (16, 32, 64) of dst in the byte order of the source bit."""
    BYTE_SWAP = 7
    """dst = the low `imm` bits of dst with the bytes reversed."""
    ADDR_SPACE_CAST = 8
    """dst = src as a pointer into another address space; imm: to << 16 | from."""
    PERCPU_ADDRESS = 9
    """dst = this CPU's address of the per-CPU pointer src; in xlated code only."""
    LOAD_IMM64 = 10
    """dst = a 64-bit value or what `LoadKind` says; two slots."""
    LOAD_ABSOLUTE = 11
    """r0 = the packet at imm: legacy packet access."""
    LOAD_INDIRECT = 12
    """r0 = the packet at src + imm: legacy packet access."""
    LOAD = 13
    """dst = memory at src + offset."""
    LOAD_SIGN_EXTENDED = 14
    """dst = memory at src + offset, sign-extended."""
    STORE_IMMEDIATE = 15
    """memory at dst + offset = imm."""
    STORE = 16
    """memory at dst + offset = src."""
    ATOMIC = 17
    """memory at dst + offset op= src, atomically."""
    ATOMIC_FETCH = 18
    """The same, and src = the old value."""
    EXCHANGE = 19
    """src and memory at dst + offset change places, atomically."""
    COMPARE_EXCHANGE = 20
    """If memory at dst + offset is r0, it becomes src; r0 = the old value."""
    LOAD_ACQUIRE = 21
    """dst = memory at src + offset, with acquire order."""
    STORE_RELEASE = 22
    """memory at dst + offset = src, with release order."""
    NOSPEC = 23
    """A speculation barrier; in xlated code only."""
    BRANCH = 24
    """A conditional jump by offset, comparing dst with src or imm."""
    GOTO = 25
    """A jump by offset."""
    GOTO_LONG = 26
    """A jump by imm."""
    GOTO_REGISTER = 27
    """A jump to the address in dst."""
    MAY_GOTO = 28
    """A jump by offset, taken when the program has run for long enough."""
    CALL = 29
    """A call of what `CallKind` says."""
    CALL_REGISTER = 30
    """A call of the address in dst."""
    EXIT = 31
    """The return from the program or subprogram; the result is in r0."""


LOADS = frozenset((Form.LOAD, Form.LOAD_SIGN_EXTENDED, Form.LOAD_ACQUIRE))
"""What reads memory at src + offset."""
STORES = frozenset(
    (
        Form.STORE,
        Form.STORE_IMMEDIATE,
        Form.STORE_RELEASE,
        Form.ATOMIC,
        Form.ATOMIC_FETCH,
        Form.EXCHANGE,
        Form.COMPARE_EXCHANGE,
    )
)
"""What writes memory at dst + offset."""


_Rule = Callable[[Instruction], Form | None]

_MOVE_WIDTHS = (8, 16, 32)
_SWAP_WIDTHS = (16, 32, 64)
_ATOMIC_OPERATIONS = (op.AtomicOp.ADD, op.AtomicOp.OR, op.AtomicOp.AND, op.AtomicOp.XOR)
_ATOMIC_FORMS: dict[int, Form] = {
    **dict.fromkeys(_ATOMIC_OPERATIONS, Form.ATOMIC),
    **{operation | op.FETCH: Form.ATOMIC_FETCH for operation in _ATOMIC_OPERATIONS},
    op.AtomicOp.XCHG: Form.EXCHANGE,
    op.AtomicOp.CMPXCHG: Form.COMPARE_EXCHANGE,
}
_ORDERED_FORMS: dict[int, Form] = {
    op.AtomicOp.LOAD_ACQUIRE: Form.LOAD_ACQUIRE,
    op.AtomicOp.STORE_RELEASE: Form.STORE_RELEASE,
}
_LOADS_WITH_SECOND_IMMEDIATE = (
    op.LoadKind.VALUE,
    op.LoadKind.MAP_VALUE,
    op.LoadKind.BTF_ID,
    op.LoadKind.MAP_INDEX_VALUE,
)


def form_of(insn: Instruction) -> Form | None:
    """The form of `insn`, or None when the ISA does not know it: it is then raw data."""
    try:
        rule = _RULES.get(insn.opcode)
        if rule is None or insn.dst > op.AUXILIARY_REGISTER or insn.src > op.AUXILIARY_REGISTER:
            return None
        return rule(insn)
    except (AttributeError, TypeError) as error:
        raise explained(error, form_of, insn=insn) from None


def _uses(form: Form, fields: str) -> _Rule:
    """The rule of an opcode that has one form; `fields`: d(st) s(rc) o(ffset) i(mm)."""
    may_dst, may_src, may_offset, may_imm = (letter in fields for letter in "dsoi")

    def rule(insn: Instruction) -> Form | None:
        if (
            (may_dst or not insn.dst)
            and (may_src or not insn.src)
            and (may_offset or not insn.offset)
            and (may_imm or not insn.imm)
        ):
            return form
        return None

    return rule


def _division(insn: Instruction) -> Form | None:
    unused = insn.imm if insn.uses_source_register else insn.src
    if unused:
        return None
    if insn.offset == op.SIGNED:
        return Form.SIGNED_DIVISION
    return None if insn.offset else Form.ALU


def _register_move(insn: Instruction) -> Form | None:
    match insn.offset, insn.imm:
        case 0, 0:
            return Form.MOVE
        case offset, 0 if offset in _MOVE_WIDTHS:
            # The kernel's text knows w1 = (s32)w2 though its verifier refuses it.
            is_32_bit = insn.class_ is op.Class.ALU
            return None if is_32_bit and offset == 32 else Form.MOVE_SIGN_EXTENDED
        case op.ADDR_SPACE_CAST, _ if insn.class_ is op.Class.ALU64:
            return Form.ADDR_SPACE_CAST
        case op.ADDR_PERCPU, 0 if insn.class_ is op.Class.ALU64:
            return Form.PERCPU_ADDRESS
    return None


def _swap(form: Form) -> _Rule:
    def rule(insn: Instruction) -> Form | None:
        return None if insn.src or insn.offset or insn.imm not in _SWAP_WIDTHS else form

    return rule


def _atomic(insn: Instruction) -> Form | None:
    return _ORDERED_FORMS.get(insn.imm) or _ATOMIC_FORMS.get(insn.imm)


def _narrow_atomic(insn: Instruction) -> Form | None:
    return _ORDERED_FORMS.get(insn.imm)


def _load_imm64(insn: Instruction) -> Form | None:
    if isinstance(insn, LoneSlot) or insn.offset or insn.src > max(op.LoadKind):
        return None
    if insn.imm_high and insn.src not in _LOADS_WITH_SECOND_IMMEDIATE:
        return None
    return Form.LOAD_IMM64


def _call(insn: Instruction) -> Form | None:
    match insn.src:
        case op.CallKind.HELPER | op.CallKind.PROGRAM:
            return None if insn.dst or insn.offset else Form.CALL
        case op.CallKind.SUBPROGRAM | op.CallKind.KFUNC:
            # xlated code keeps a subprogram's distance in the offset, and a kfunc of
            # a module has the index of the module's descriptor there.
            return None if insn.dst else Form.CALL
    return None


def _arithmetic_rules() -> dict[int, _Rule]:
    rules: dict[int, _Rule] = {}
    special = {op.AluOp.NEG, op.AluOp.END, op.AluOp.DIV, op.AluOp.MOD, op.AluOp.MOV}
    for class_ in (op.Class.ALU, op.Class.ALU64):
        for operation in set(op.AluOp) - special:
            rules[class_ | operation | op.Source.K] = _uses(Form.ALU, "di")
            rules[class_ | operation | op.Source.X] = _uses(Form.ALU, "ds")
        for operation in (op.AluOp.DIV, op.AluOp.MOD):
            rules[class_ | operation | op.Source.K] = _division
            rules[class_ | operation | op.Source.X] = _division
        rules[class_ | op.AluOp.MOV | op.Source.K] = _uses(Form.MOVE, "di")
        rules[class_ | op.AluOp.MOV | op.Source.X] = _register_move
        rules[class_ | op.AluOp.NEG] = _uses(Form.NEGATE, "d")
    rules[op.Class.ALU | op.AluOp.END | op.EndianTarget.LE] = _swap(Form.TO_ENDIAN)
    rules[op.Class.ALU | op.AluOp.END | op.EndianTarget.BE] = _swap(Form.TO_ENDIAN)
    rules[op.Class.ALU64 | op.AluOp.END] = _swap(Form.BYTE_SWAP)
    return rules


def _memory_rules() -> dict[int, _Rule]:
    rules: dict[int, _Rule] = {op.LD_IMM64: _load_imm64, op.NOSPEC: _uses(Form.NOSPEC, "")}
    for size in op.Size:
        wide = size is op.Size.DW
        rules[op.Class.LDX | op.Mode.MEM | size] = _uses(Form.LOAD, "dso")
        rules[op.Class.ST | op.Mode.MEM | size] = _uses(Form.STORE_IMMEDIATE, "doi")
        rules[op.Class.STX | op.Mode.MEM | size] = _uses(Form.STORE, "dso")
        rules[op.Class.STX | op.Mode.ATOMIC | size] = (
            _atomic if wide or size is op.Size.W else _narrow_atomic
        )
        if not wide:
            rules[op.Class.LDX | op.Mode.MEMSX | size] = _uses(Form.LOAD_SIGN_EXTENDED, "dso")
            rules[op.Class.LD | op.Mode.ABS | size] = _uses(Form.LOAD_ABSOLUTE, "i")
            rules[op.Class.LD | op.Mode.IND | size] = _uses(Form.LOAD_INDIRECT, "si")
    return rules


def _jump_rules() -> dict[int, _Rule]:
    rules: dict[int, _Rule] = {
        op.JA: _uses(Form.GOTO, "o"),
        op.JA32: _uses(Form.GOTO_LONG, "i"),
        op.JA_X: _uses(Form.GOTO_REGISTER, "d"),
        op.MAY_GOTO: _uses(Form.MAY_GOTO, "o"),
        op.CALL: _call,
        op.CALL_X: _uses(Form.CALL_REGISTER, "d"),
        op.EXIT: _uses(Form.EXIT, ""),
    }
    no_conditions = {op.JmpOp.JA, op.JmpOp.CALL, op.JmpOp.EXIT, op.JmpOp.JCOND}
    for class_ in (op.Class.JMP, op.Class.JMP32):
        for condition in set(op.JmpOp) - no_conditions:
            rules[class_ | condition | op.Source.K] = _uses(Form.BRANCH, "doi")
            rules[class_ | condition | op.Source.X] = _uses(Form.BRANCH, "dso")
    return rules


_RULES = _arithmetic_rules() | _memory_rules() | _jump_rules()
