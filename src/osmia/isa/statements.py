"""One statement of assembly text to one instruction: the grammar, without labels' places.

Blanks mean nothing except between two words, so a statement is first squeezed ("r1 =
*(u32 *)(r2 +4)" becomes "r1=*(u32*)(r2+4)") and then matched against the few shapes there
are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TypeVar

from osmia.isa import opcodes as op
from osmia.isa import syntax
from osmia.isa.instruction import Instruction, LoneSlot
from osmia.isa.operands import (
    ANY_32_BITS,
    ANY_64_BITS,
    S16,
    S32,
    as_signed,
    fail,
    is_register,
    read_32_bits,
    read_number,
    read_offset,
    read_register,
    read_size,
)
from osmia.records import dataclass

_Operation = TypeVar("_Operation")


@dataclass(frozen=True, slots=True)
class Statement:
    """An instruction, and the name whose distance is still missing in it, if any.

    `name` is a label or, in a call, a label or a helper.
    """

    instruction: Instruction
    name: str = ""


def parse_statement(text: str) -> Statement:
    """The instruction that `text`, without comment and label, says.

    Raises AssemblerError, without a line number, with the reason.
    """
    squeezed = _squeeze(text)
    for pattern, build in _shapes():
        match = pattern.fullmatch(squeezed)
        if match:
            return build(match)
    return fail(f"no such instruction: {text.strip()!r}")


def _squeeze(text: str) -> str:
    return _BLANKS_AT_PUNCTUATION.sub(r"\1", " ".join(text.split()))


def _reverse(table: Mapping[_Operation, str]) -> dict[str, _Operation]:
    return {text: operation for operation, text in table.items()}


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_ALU = _reverse(syntax.ALU_OPERATORS)
_SIGNED = _reverse(syntax.SIGNED_OPERATORS)
_COMPARISONS = _reverse(syntax.COMPARISONS)
_SIGNED_TYPES = _reverse(syntax.SIGNED_ACCESS_TYPES)
_ATOMIC_NAMES = _reverse(syntax.ATOMIC_NAMES)
_ATOMIC_OPERATORS = _reverse(syntax.ATOMIC_OPERATORS)

_BLANKS_AT_PUNCTUATION = re.compile(r" ?([^\w\s.$]) ?")
_REGISTER = r"([rw]\d+)"
_VALUE = r"([+-]?-?\w+)"
_ADDRESS = r"\((\w+)\*\)\(([rw]\d+)([+-]-?\w+)?\)"
_NAME = r"[A-Za-z_.$][\w.$]*"
_TARGET = rf"(pc[+-]\w+|{_NAME})"


def _assignment(match: re.Match[str]) -> Statement:
    """dst op operand, the operand a register or a number."""
    target, operator, operand = match.groups()
    bank = target[0]
    dst = read_register(target, bank)
    class_ = op.Class.ALU64 if bank == "r" else op.Class.ALU
    signed = operator in _SIGNED
    operation = _SIGNED[operator] if signed else _ALU[operator]
    offset = op.SIGNED if signed else 0
    if is_register(operand):
        opcode = class_ | operation | op.Source.X
        return Statement(Instruction(opcode, dst, read_register(operand, bank), offset))
    limits = S32 if bank == "r" else ANY_32_BITS
    hint = f"; {target} = {operand} ll loads 64 bits" if bank == "r" else ""
    imm = as_signed(read_number(operand, limits, "the immediate", hint), 32)
    return Statement(Instruction(class_ | operation | op.Source.K, dst, 0, offset, imm))


def _move_sign_extended(match: re.Match[str]) -> Statement:
    target, bits, source = match.groups()
    bank = target[0]
    if bank == "w" and bits == "32":
        fail("a 32-bit register move extends 8 or 16 bits")
    class_ = op.Class.ALU64 if bank == "r" else op.Class.ALU
    opcode = class_ | op.AluOp.MOV | op.Source.X
    return Statement(
        Instruction(opcode, read_register(target, bank), read_register(source, bank), int(bits))
    )


def _negate(match: re.Match[str]) -> Statement:
    target, source = match.groups()
    _same(target, source)
    class_ = op.Class.ALU64 if target[0] == "r" else op.Class.ALU
    return Statement(Instruction(class_ | op.AluOp.NEG, read_register(target, target[0])))


def _same(target: str, source: str) -> None:
    if target != source:
        fail(f"{target} and {source} must be the same register here")


def _swap(match: re.Match[str]) -> Statement:
    target, order, bits, source = match.groups()
    dst = read_register(target)
    _same(target, source)
    opcode = {
        "bswap": op.Class.ALU64 | op.AluOp.END,
        "le": op.Class.ALU | op.AluOp.END | op.EndianTarget.LE,
        "be": op.Class.ALU | op.AluOp.END | op.EndianTarget.BE,
    }[order]
    return Statement(Instruction(opcode, dst, imm=int(bits)))


def _addr_space_cast(match: re.Match[str]) -> Statement:
    target, source, to, from_ = match.groups()
    spaces = [read_number(text, (0, 0xFFFF), "the address space") for text in (to, from_)]
    opcode = op.Class.ALU64 | op.AluOp.MOV | op.Source.X
    imm = as_signed(spaces[0] << 16 | spaces[1], 32)
    return Statement(
        Instruction(opcode, read_register(target), read_register(source), op.ADDR_SPACE_CAST, imm)
    )


def _percpu_address(match: re.Match[str]) -> Statement:
    target, source = match.groups()
    opcode = op.Class.ALU64 | op.AluOp.MOV | op.Source.X
    return Statement(
        Instruction(opcode, read_register(target), read_register(source), op.ADDR_PERCPU)
    )


def _load_imm64(target: str, kind: op.LoadKind, imm: int, imm_high: int = 0) -> Instruction:
    return Instruction(op.LD_IMM64, read_register(target), kind, 0, imm, imm_high)


def _load_value(match: re.Match[str]) -> Statement:
    target, text = match.groups()
    value = read_number(text, ANY_64_BITS, "the immediate")
    return Statement(
        _load_imm64(target, op.LoadKind.VALUE, as_signed(value, 32), as_signed(value >> 32, 32))
    )


def _load_map(match: re.Match[str]) -> Statement:
    target, keyword, number, offset = match.groups()
    by_index = keyword == "idx"
    imm = read_32_bits(number, "the map")
    if offset is None:
        kind = op.LoadKind.MAP_INDEX if by_index else op.LoadKind.MAP_FD
        return Statement(_load_imm64(target, kind, imm))
    kind = op.LoadKind.MAP_INDEX_VALUE if by_index else op.LoadKind.MAP_VALUE
    return Statement(_load_imm64(target, kind, imm, read_32_bits(offset, "the offset")))


def _load_btf(match: re.Match[str]) -> Statement:
    target, number, module = match.groups()
    imm_high = read_32_bits(module, "the module's descriptor") if module else 0
    imm = read_32_bits(number, "the BTF id")
    return Statement(_load_imm64(target, op.LoadKind.BTF_ID, imm, imm_high))


def _load_function(match: re.Match[str]) -> Statement:
    target, distance = match.groups()
    if distance[0] in "+-":
        imm = read_number(distance, S32, "the distance")
        return Statement(_load_imm64(target, op.LoadKind.FUNCTION, imm))
    return Statement(_load_imm64(target, op.LoadKind.FUNCTION, 0), distance)


def _load(match: re.Match[str]) -> Statement:
    target, type_, base, offset = match.groups()
    if type_ in _SIGNED_TYPES:
        opcode = op.Class.LDX | op.Mode.MEMSX | _SIGNED_TYPES[type_]
    else:
        opcode = op.Class.LDX | op.Mode.MEM | read_size(type_)
    return Statement(
        Instruction(opcode, read_register(target), read_register(base), read_offset(offset))
    )


def _load_packet(match: re.Match[str]) -> Statement:
    target, type_, index, displacement, absolute = match.groups()
    if target != "r0":
        fail(f"packet access loads r0, not {target}")
    size = read_size(type_)
    if size is op.Size.DW:
        fail("packet access loads u8, u16 or u32")
    if index is None:
        imm = read_number(absolute, S32, "the offset")
        return Statement(Instruction(op.Class.LD | op.Mode.ABS | size, imm=imm))
    imm = read_number(displacement, S32, "the offset") if displacement else 0
    return Statement(
        Instruction(op.Class.LD | op.Mode.IND | size, src=read_register(index), imm=imm)
    )


def _store(match: re.Match[str]) -> Statement:
    type_, base, offset_text, operand = match.groups()
    size, dst, offset = read_size(type_), read_register(base), read_offset(offset_text)
    if is_register(operand):
        opcode = op.Class.STX | op.Mode.MEM | size
        return Statement(Instruction(opcode, dst, read_register(operand), offset))
    limits = S32 if size is op.Size.DW else ANY_32_BITS
    imm = as_signed(read_number(operand, limits, "the immediate"), 32)
    return Statement(Instruction(op.Class.ST | op.Mode.MEM | size, dst, 0, offset, imm))


def _atomic_opcode(type_: str, function: str = "") -> int:
    size = read_size(type_)
    if size not in (op.Size.W, op.Size.DW):
        fail(f"atomic operations take u32 or u64, not {type_}")
    if function and (function == "atomic64") != (size is op.Size.DW):
        fail(f"{function} does not go with {type_}: atomic takes u32, atomic64 u64")
    return op.Class.STX | op.Mode.ATOMIC | size


def _atomic(match: re.Match[str]) -> Statement:
    type_, base, offset, operator, source = match.groups()
    opcode = _atomic_opcode(type_)
    imm = _ATOMIC_OPERATORS[operator]
    return Statement(
        Instruction(opcode, read_register(base), read_register(source), read_offset(offset), imm)
    )


def _atomic_result(match: re.Match[str]) -> Statement:
    target, function, name, type_, base, offset, source = match.groups()
    opcode = _atomic_opcode(type_, function)
    _same(target, source)
    fetch = name.removeprefix("fetch_")
    imm = op.AtomicOp.XCHG if name == "xchg" else _ATOMIC_NAMES[fetch] | op.FETCH
    return Statement(
        Instruction(opcode, read_register(base), read_register(source), read_offset(offset), imm)
    )


def _compare_exchange(match: re.Match[str]) -> Statement:
    target, function, type_, base, offset, expected, source = match.groups()
    opcode = _atomic_opcode(type_, function)
    if (target, expected) != ("r0", "r0"):
        fail("cmpxchg compares with r0 and gives the old value in r0")
    imm = op.AtomicOp.CMPXCHG
    return Statement(
        Instruction(opcode, read_register(base), read_register(source), read_offset(offset), imm)
    )


def _load_acquire(match: re.Match[str]) -> Statement:
    target, type_, base, offset = match.groups()
    opcode = op.Class.STX | op.Mode.ATOMIC | read_size(type_)
    imm = op.AtomicOp.LOAD_ACQUIRE
    return Statement(
        Instruction(opcode, read_register(target), read_register(base), read_offset(offset), imm)
    )


def _store_release(match: re.Match[str]) -> Statement:
    type_, base, offset, source = match.groups()
    opcode = op.Class.STX | op.Mode.ATOMIC | read_size(type_)
    imm = op.AtomicOp.STORE_RELEASE
    return Statement(
        Instruction(opcode, read_register(base), read_register(source), read_offset(offset), imm)
    )


def _jump(
    instruction: Callable[[int], Instruction], target: str, limits: tuple[int, int]
) -> Statement:
    """A jump to "pc+3" or to a label."""
    if target.startswith(("pc+", "pc-")):
        return Statement(instruction(read_number(target[2:], limits, "the distance")))
    return Statement(instruction(0), target)


def _goto(match: re.Match[str]) -> Statement:
    opcode = op.JA if match[1] == "goto" else op.MAY_GOTO
    return _jump(lambda distance: Instruction(opcode, offset=distance), match[2], S16)


def _goto_long(match: re.Match[str]) -> Statement:
    return _jump(lambda distance: Instruction(op.JA32, imm=distance), match[1], S32)


def _branch(match: re.Match[str]) -> Statement:
    left, comparison, right, target = match.groups()
    bank = left[0]
    dst = read_register(left, bank)
    opcode = (op.Class.JMP if bank == "r" else op.Class.JMP32) | _COMPARISONS[comparison]
    if is_register(right):
        src = read_register(right, bank)
        return _jump(lambda d: Instruction(opcode | op.Source.X, dst, src, d), target, S16)
    imm = read_32_bits(right, "the immediate")
    return _jump(lambda d: Instruction(opcode | op.Source.K, dst, 0, d, imm), target, S16)


def _call_distance(match: re.Match[str]) -> Statement:
    distance = read_number(match[1], S32, "the distance")
    if match[2] is None:
        return Statement(Instruction(op.CALL, src=op.CallKind.SUBPROGRAM, imm=distance))
    if not S16[0] <= distance <= S16[1] or not distance:
        fail("pc+distance#number is a call in xlated code: its distance is 16 bits and not 0")
    number = read_32_bits(match[2], "the number")
    return Statement(Instruction(op.CALL, 0, op.CallKind.SUBPROGRAM, distance, number))


def _call_number(match: re.Match[str]) -> Statement:
    return Statement(Instruction(op.CALL, imm=read_32_bits(match[1], "the helper's number")))


def _call_name(match: re.Match[str]) -> Statement:
    return Statement(Instruction(op.CALL, src=op.CallKind.SUBPROGRAM), match[1])


def _call_numbered_name(match: re.Match[str]) -> Statement:
    """call name#number: a helper when it is one's name, else a kfunc, as the kernel prints it."""
    name, module, text = match.groups()
    number = read_32_bits(text, "the number after #")
    helper = helper_number(name)
    if helper is not None and module is None:
        if helper != number:
            fail(f"{name} is helper {helper}, not {number}")
        return Statement(Instruction(op.CALL, imm=number))
    if name == syntax.UNKNOWN_HELPER and module is None:
        return Statement(Instruction(op.CALL, imm=number))
    if name == syntax.PROGRAM_HANDLE and module is None:
        return Statement(Instruction(op.CALL, src=op.CallKind.PROGRAM, imm=number))
    offset = read_number(module, S16, "the module's index") if module else 0
    return Statement(Instruction(op.CALL, 0, op.CallKind.KFUNC, offset, number))


@cache
def helper_number(name: str) -> int | None:
    """The number of the helper of that name, None when there is none."""
    from osmia.isa.helper_functions import helper_id  # a long table: only for who names calls

    if name == syntax.UNSPECIFIED_HELPER:
        return 0
    return helper_id(name) or None


def _through_register(match: re.Match[str]) -> Statement:
    opcode = op.JA_X if match[1] == "gotox" else op.CALL_X
    return Statement(Instruction(opcode, read_register(match[2])))


def _raw(match: re.Match[str]) -> Statement:
    opcode = read_number(match[1], (0, 255), "the opcode")
    dst, src = (read_number(match[n], (0, 15), "a register number") for n in (2, 3))
    offset = read_number(match[4], S16, "the offset")
    imm = read_32_bits(match[5], "the immediate")
    if match[6] is not None:
        if opcode != op.LD_IMM64:
            fail("only opcode 0x18 has imm_high")
        imm_high = read_32_bits(match[6], "the second immediate")
        return Statement(Instruction(opcode, dst, src, offset, imm, imm_high))
    kind = LoneSlot if opcode == op.LD_IMM64 else Instruction
    return Statement(kind(opcode, dst, src, offset, imm))


_Builder = Callable[[re.Match[str]], Statement]
_SHAPES: tuple[tuple[str, _Builder], ...] = (
    (rf"{_REGISTER}=\*{_ADDRESS}", _load),
    (rf"\*{_ADDRESS}={_VALUE}", _store),
    (rf"if {_REGISTER} ?({_alternatives(_COMPARISONS)}){_VALUE} goto {_TARGET}", _branch),
    (rf"(goto|may_goto) {_TARGET}", _goto),
    (rf"gotol {_TARGET}", _goto_long),
    (rf"call pc([+-]\w+)(?:#{_VALUE})?", _call_distance),
    (r"call (\d\w*)", _call_number),
    (rf"call ({_NAME})", _call_name),
    (rf"call ({_NAME}|{syntax.UNNAMED_KFUNC})(?:\[{_VALUE}\])?#{_VALUE}", _call_numbered_name),
    (r"exit", lambda match: Statement(Instruction(op.EXIT))),
    (
        rf"{_REGISTER}=\(s(8|16|32)\){_REGISTER}",
        _move_sign_extended,
    ),
    (rf"{_REGISTER}=-{_REGISTER}", _negate),
    (rf"{_REGISTER}=(bswap|le|be)(16|32|64) {_REGISTER}", _swap),
    (rf"{_REGISTER}={_VALUE} ll", _load_value),
    (rf"{_REGISTER} ?({_alternatives(_ALU | _SIGNED)}){_VALUE}", _assignment),
    (rf"{_REGISTER}=map\[(fd|id|idx):{_VALUE}\](?:\[0\]{_VALUE})?", _load_map),
    (rf"{_REGISTER}=btf\[id:{_VALUE}(?:,fd:{_VALUE})?\]", _load_btf),
    (rf"{_REGISTER}=subprog\[([+-]\w+|{_NAME})\]", _load_function),
    (rf"{_REGISTER}=\*\((\w+)\*\)skb\[(?:([rw]\d+)(?:\+?{_VALUE})?|{_VALUE})\]", _load_packet),
    (rf"lock\*{_ADDRESS}({_alternatives(_ATOMIC_OPERATORS)}){_REGISTER}", _atomic),
    (
        rf"{_REGISTER}=(atomic|atomic64)_(xchg|fetch_(?:{_alternatives(_ATOMIC_NAMES)}))"
        rf"\({_ADDRESS},{_REGISTER}\)",
        _atomic_result,
    ),
    (
        rf"{_REGISTER}=(atomic|atomic64)_cmpxchg\({_ADDRESS},{_REGISTER},{_REGISTER}\)",
        _compare_exchange,
    ),
    (rf"{_REGISTER}=load_acquire\({_ADDRESS}\)", _load_acquire),
    (rf"store_release\({_ADDRESS},{_REGISTER}\)", _store_release),
    (
        rf"{_REGISTER}=addr_space_cast\({_REGISTER},{_VALUE},{_VALUE}\)",
        _addr_space_cast,
    ),
    (rf"{_REGISTER}=&\(void __percpu\*\)\({_REGISTER}\)", _percpu_address),
    (rf"(gotox|callx) {_REGISTER}", _through_register),
    (r"nospec", lambda match: Statement(Instruction(op.NOSPEC))),
    (
        rf"\.raw {_VALUE},dst={_VALUE},src={_VALUE},offset={_VALUE},imm={_VALUE}"
        rf"(?:,imm_high={_VALUE})?",
        _raw,
    ),
)


@cache
def _shapes() -> list[tuple[re.Pattern[str], _Builder]]:
    # Compiled at the first statement: who only decodes does not wait for it.
    return [(re.compile(pattern), build) for pattern, build in _SHAPES]
