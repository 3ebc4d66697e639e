"""DWARF expressions taken apart: operations with their operands (DWARF 5, chapter 7.7.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

MOST_OPERATIONS = 1 << 12
_LONGEST_NUMBER = 10  # bytes of a LEB128


class Operation(NamedTuple):
    """One operation; `known` is False where it is none of DWARF 5's with operands as here."""

    opcode: int
    operands: tuple[Any, ...]
    known: bool = True


def operations(expression: bytes, byteorder: str) -> Iterator[Operation]:
    """The operations of an expression, up to the first that is not known.

    ObjectFormatError for one that ends early or is too long.
    """
    reader = _Reader(expression, byteorder)
    for _ in range(MOST_OPERATIONS):
        if reader.at >= len(expression):
            return
        opcode = reader.unsigned(1)
        kinds = _OPERANDS.get(opcode)
        if kinds is None:
            yield Operation(opcode, (), False)
            return
        yield Operation(opcode, tuple(read(reader) for read in kinds))
    raise ObjectFormatError("an expression of a variable's place is too long")


class _Reader:
    def __init__(self, data: bytes, byteorder: str) -> None:
        self.data = data
        self.at = 0
        self.byteorder = cast("Literal['little', 'big']", byteorder)

    def take(self, size: int) -> bytes:
        data = self.data[self.at : self.at + size]
        if len(data) != size:
            raise ObjectFormatError("an expression of a variable's place ends too early")
        self.at += size
        return data

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.byteorder)

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.byteorder, signed=True)

    def uleb(self) -> int:
        value = 0
        for number in range(_LONGEST_NUMBER):
            byte = self.unsigned(1)
            value |= (byte & 0x7F) << 7 * number
            if not byte & 0x80:
                return value
        raise ObjectFormatError("a number in an expression is too long")

    def sleb(self) -> int:
        begin = self.at
        value = self.uleb()
        bits = 7 * (self.at - begin)
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    def block(self) -> bytes:
        return self.take(self.uleb())


_Kind = Callable[[_Reader], Any]

_U1, _U2, _U4, _U8 = (
    cast("_Kind", lambda reader, size=size: reader.unsigned(size)) for size in (1, 2, 4, 8)
)
_S1, _S2, _S4, _S8 = (
    cast("_Kind", lambda reader, size=size: reader.signed(size)) for size in (1, 2, 4, 8)
)
_ULEB, _SLEB, _BLOCK = _Reader.uleb, _Reader.sleb, _Reader.block

_OPERANDS: dict[int, tuple[_Kind, ...]] = {
    0x03: (_U8,),  # addr
    0x06: (),  # deref
    0x08: (_U1,),  # const1u, …
    0x09: (_S1,),
    0x0A: (_U2,),
    0x0B: (_S2,),
    0x0C: (_U4,),
    0x0D: (_S4,),
    0x0E: (_U8,),
    0x0F: (_S8,),
    0x10: (_ULEB,),
    0x11: (_SLEB,),
    **dict.fromkeys(range(0x12, 0x15), ()),  # dup, drop, over
    0x15: (_U1,),  # pick
    **dict.fromkeys(range(0x16, 0x23), ()),  # swap to plus
    0x23: (_ULEB,),  # plus_uconst
    **dict.fromkeys(range(0x24, 0x28), ()),  # shl to xor
    **dict.fromkeys(range(0x29, 0x2F), ()),  # eq to ne
    **dict.fromkeys(range(0x30, 0x70), ()),  # lit0 to lit31, reg0 to reg31
    **dict.fromkeys(range(0x70, 0x90), (_SLEB,)),  # breg0 to breg31
    0x90: (_ULEB,),  # regx
    0x91: (_SLEB,),  # fbreg
    0x92: (_ULEB, _SLEB),  # bregx
    0x93: (_ULEB,),  # piece
    0x94: (_U1,),  # deref_size
    0x96: (),  # nop
    0x9D: (_ULEB, _ULEB),  # bit_piece
    0x9E: (_BLOCK,),  # implicit_value
    0x9F: (),  # stack_value
    0xA0: (_U4, _SLEB),  # implicit_pointer
    0xA1: (_ULEB,),  # addrx
    0xA2: (_ULEB,),  # constx
    0xA3: (_BLOCK,),  # entry_value
    0xA8: (_ULEB,),  # convert
    0xF2: (_U4, _SLEB),  # GNU_implicit_pointer
    0xF3: (_BLOCK,),  # GNU_entry_value
}
