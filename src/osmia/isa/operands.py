"""The operands of assembly text: numbers, registers and access types, each with its limits."""

from __future__ import annotations

import re
from typing import NoReturn

from osmia.errors import AssemblerError
from osmia.isa import opcodes as op
from osmia.isa import syntax

S16 = (-(1 << 15), (1 << 15) - 1)
S32 = (-(1 << 31), (1 << 31) - 1)
ANY_32_BITS = (-(1 << 31), (1 << 32) - 1)
ANY_64_BITS = (-(1 << 63), (1 << 64) - 1)

_NUMBER = re.compile(r"\+?(-?)(0[xX][0-9a-fA-F]{1,40}|[0-9]{1,40})")
_REGISTER = re.compile(r"[rw]\d+")
_SIZES = {type_: size for size, type_ in syntax.ACCESS_TYPES.items()}


def fail(reason: str) -> NoReturn:
    """Refuse the statement; the assembler adds the line."""
    raise AssemblerError(reason)


def read_number(text: str, limits: tuple[int, int], what: str, hint: str = "") -> int:
    """A decimal or hexadecimal number within `limits`, both included."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        fail(f"{what} must be a number, not {text!r}")
    try:
        value = int(match[2], 0)
    except ValueError:
        fail(f"{what} must be a decimal or 0x number, not {text!r}")
    value = -value if match[1] else value
    lowest, highest = limits
    if not lowest <= value <= highest:
        fail(f"{what} {text} is outside {lowest} to {highest}{hint}")
    return value


def as_signed(value: int, bits: int) -> int:
    """The number of `bits` bits that has the same low bits as `value`, read as signed."""
    half = 1 << bits - 1
    return (value + half) % (1 << bits) - half


def read_32_bits(text: str, what: str) -> int:
    """A signed or unsigned 32-bit number, as the signed one of the same bits."""
    return as_signed(read_number(text, ANY_32_BITS, what), 32)


def read_offset(text: str | None) -> int:
    """The offset of a memory access in bytes, 0 when there is none."""
    return read_number(text, S16, "the offset") if text else 0


def is_register(text: str) -> bool:
    """Whether `text` looks like a register, there or not."""
    return _REGISTER.fullmatch(text) is not None


def read_register(text: str, bank: str = "r") -> int:
    """The number of a register of the bank that the instruction takes: "r" or "w"."""
    digits = text[1:]
    if len(digits) > 2 or int(digits) > op.AUXILIARY_REGISTER or str(int(digits)) != digits:
        fail(f"there is no register {text}: they are {text[0]}0 to {text[0]}{op.FRAME_POINTER}")
    if text[0] != bank:
        bits = "64" if bank == "r" else "32"
        fail(f"{text} must be {bank}{digits} here: the instruction takes {bits}-bit registers")
    return int(digits)


def read_size(type_: str) -> op.Size:
    """The width of an access from the unsigned type in the text."""
    size = _SIZES.get(type_)
    if size is None:
        fail(f"{type_!r} is not a type of this access: use u8, u16, u32 or u64")
    return size
