"""Where a variable is: DWARF expressions, evaluated with the registers and memory of a frame.

DWARF 5, chapter 2.5 and 2.6. Registers are BPF's own numbers. What an expression cannot say, or
says of something that is not known here, is a piece that is `Missing`, with the reason.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from osmia.debugger.dwarf.operations import operations
from osmia.debugger.dwarf.pieces import (
    OPTIMISED_OUT,
    Computed,
    InMemory,
    InRegister,
    Missing,
    Piece,
)
from osmia.errors import ObjectFormatError, OsmiaError

MOST_BYTES = 1 << 20
"""Bytes of one value."""

_M64 = (1 << 64) - 1


class Surroundings(Protocol):
    """What an expression may ask: the frame it is about, and the file it is in."""

    @property
    def registers(self) -> Sequence[int | None]:
        """r0 to r10; None for one that holds nothing."""

    def frame_address(self, offset: int) -> int:
        """The address of a byte of the frame, as the compiler counts them. KeyError with the
        reason where that is not known."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory. Raises an OsmiaError where nothing is."""

    def data_address(self, address: int) -> int:
        """Where the program has what is at an address of the file. KeyError with the reason."""

    def indexed_address(self, index: int) -> int:
        """An address of the file, by its number."""

    def base_type(self, offset: int) -> tuple[int, bool]:
        """Size in bytes of a base type of the unit, and whether it has a sign."""


class _Unknown(Exception):
    """The expression ends without a value; the message is the reason."""


def evaluate(
    expression: bytes, size: int, around: Surroundings, byteorder: str = "little"
) -> list[Piece]:
    """Where the `size` bytes of a value are, in order; ObjectFormatError for what is no
    expression."""
    if size > MOST_BYTES:
        return [Missing(f"a value of {size} bytes", size)]
    return _Evaluation(expression, size, around, byteorder).run()


class _Evaluation:
    """One expression while it is evaluated: the stack, what the last operations named."""

    def __init__(self, expression: bytes, size: int, around: Surroundings, byteorder: str) -> None:
        self.code = expression
        self.size = size
        self.around = around
        self.byteorder = byteorder
        self.order = "<" if byteorder == "little" else ">"
        self.stack: list[int] = []
        self.found: Callable[[int], Piece] | None = None  # what is not an address
        self.pieces: list[Piece] = []
        self.placed = 0

    def run(self) -> list[Piece]:
        failed = ""
        for opcode, operands, known in operations(self.code, self.byteorder):
            if opcode in (_PIECE, _BIT_PIECE):
                self._piece(opcode, operands, failed)
                failed = ""
            elif not known:
                failed = failed or f"its place is told by DWARF operation {opcode:#x}"
            elif not failed:
                failed = self._try(opcode, operands)
        if not self.pieces:
            return [self._place(self.size, failed)]
        if self.placed < self.size:
            self.pieces.append(Missing(failed or OPTIMISED_OUT, self.size - self.placed))
        return self.pieces

    def _piece(self, opcode: int, operands: tuple[int, ...], failed: str) -> None:
        size = operands[0]
        if opcode == _BIT_PIECE:
            if size % 8 or operands[1]:
                failed = failed or "kept in single bits"
            size = -(-size // 8)
        size = min(size, self.size - self.placed)
        if size > 0:
            self.pieces.append(self._place(size, failed))
            self.placed += size
        self.stack.clear()
        self.found = None

    def _try(self, opcode: int, operands: tuple[Any, ...]) -> str:
        """One operation; why it has no result, or ""."""
        try:
            self._step(opcode, operands)
        except KeyError as error:
            return str(error.args[0])
        except ObjectFormatError:
            raise
        except (_Unknown, OsmiaError) as error:
            return str(error)
        return ""

    def _place(self, size: int, failed: str) -> Piece:
        if failed:
            return Missing(failed, size)
        if self.found is not None:
            return self.found(size)
        if self.stack:
            return InMemory(self.stack[-1] & _M64, size)
        return Missing(OPTIMISED_OUT, size)

    def _step(self, opcode: int, operands: tuple[Any, ...]) -> None:
        if _LIT0 <= opcode < _REG0:
            self.stack.append(opcode - _LIT0)
        elif _REG0 <= opcode < _BREG0:
            self._register(opcode - _REG0)
        elif _BREG0 <= opcode < _REGX:
            self.stack.append(self._based(opcode - _BREG0, operands[0]))
        elif opcode in _BINARY:
            second, first = self._pop(), self._pop()
            self.stack.append(_BINARY[opcode](first, second))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, *operands)
        else:
            self.stack.append(operands[0])  # a constant

    # Operations.

    def _pop(self) -> int:
        if not self.stack:
            raise ObjectFormatError("an expression of a variable's place takes from an empty stack")
        return self.stack.pop()

    def _value_of(self, register: int) -> int:
        registers = self.around.registers
        if register >= len(registers):
            raise _Unknown(f"its place is register {register}, which BPF does not have")
        value = registers[register]
        if value is None:
            raise _Unknown(f"r{register} holds nothing")
        return value

    def _register(self, register: int) -> None:
        self._value_of(register)
        self.found = lambda size: InRegister(register, size)

    def _based(self, register: int, offset: int) -> int:
        if register == _FRAME_POINTER:
            return self.around.frame_address(offset)
        return self._value_of(register) + offset & _M64

    def _frame(self, offset: int) -> None:
        self.stack.append(self.around.frame_address(offset))

    def _address(self, address: int) -> None:
        self.stack.append(self.around.data_address(address))

    def _indexed(self, index: int) -> None:
        self._address(self.around.indexed_address(index))

    def _indexed_constant(self, index: int) -> None:
        self.stack.append(self.around.indexed_address(index))

    def _pick(self, index: int = 0) -> None:
        if index >= len(self.stack):
            raise ObjectFormatError("an expression of a variable's place takes from an empty stack")
        self.stack.append(self.stack[-1 - index])

    def _over(self) -> None:
        self._pick(1)

    def _drop(self) -> None:
        self._pop()

    def _swap(self) -> None:
        second, first = self._pop(), self._pop()
        self.stack += [second, first]

    def _rotate(self) -> None:
        third, second, first = self._pop(), self._pop(), self._pop()
        self.stack += [third, first, second]

    def _load(self, size: int = 8) -> None:
        if not 1 <= size <= 8:
            raise ObjectFormatError(f"an expression of a variable's place loads {size} bytes")
        data = self.around.read(self._pop() & _M64, size)
        self.stack.append(int.from_bytes(data, "little" if self.order == "<" else "big"))

    def _negate(self) -> None:
        self.stack.append(-self._pop() & _M64)

    def _invert(self) -> None:
        self.stack.append(~self._pop() & _M64)

    def _absolute(self) -> None:
        self.stack.append(abs(_as_signed(self._pop())))

    def _add_constant(self, value: int) -> None:
        self.stack.append(self._pop() + value & _M64)

    def _convert(self, offset: int) -> None:
        value = self._pop()
        if not offset:
            self.stack.append(value & _M64)
            return
        size, signed = self.around.base_type(offset)
        value &= (1 << 8 * size) - 1
        if signed and value >> (8 * size - 1):
            value -= 1 << 8 * size
        self.stack.append(value)

    def _stack_value(self) -> None:
        data = struct.pack(self.order + "Q", self._pop() & _M64)
        self.found = lambda size: self._computed(data, size)

    def _implicit(self, data: bytes) -> None:
        self.found = lambda size: self._computed(data, size)

    def _computed(self, data: bytes, size: int) -> Piece:
        """The low bytes of a value, of which the compiler told as many as it knows."""
        if self.order == "<":
            data = data[:size].ljust(size, b"\0")
        else:
            data = data[-size:].rjust(size, b"\0")
        return Computed(data, size)

    def _entry_value(self, expression: bytes) -> None:
        raise _Unknown("optimised out: what is left of it is its value when the function began")

    def _nowhere(self, *_: object) -> None:
        raise _Unknown(OPTIMISED_OUT)

    def _nothing(self) -> None:
        pass


def _as_signed(value: int) -> int:
    value &= _M64
    return value - (1 << 64) if value >> 63 else value


def _quotient(first: int, second: int) -> int:
    a, b = _as_signed(first), _as_signed(second)
    if not b:
        raise _Unknown("its value is a quotient by zero")
    return (abs(a) // abs(b) if (a < 0) == (b < 0) else -(abs(a) // abs(b))) & _M64


def _remainder(first: int, second: int) -> int:
    if not second & _M64:
        raise _Unknown("its value is a remainder by zero")
    return (first & _M64) % (second & _M64)


def _shifted_left(first: int, second: int) -> int:
    return first << second & _M64 if 0 <= second < 64 else 0


def _shifted_right(first: int, second: int) -> int:
    return (first & _M64) >> second if 0 <= second < 64 else 0


def _shifted_arithmetically(first: int, second: int) -> int:
    return _as_signed(first) >> min(max(second, 0), 63) & _M64


_FRAME_POINTER = 10
_LIT0, _REG0, _BREG0, _REGX = 0x30, 0x50, 0x70, 0x90
_PIECE, _BIT_PIECE = 0x93, 0x9D

_BINARY: dict[int, Callable[[int, int], int]] = {
    0x1A: lambda a, b: a & b,
    0x1B: _quotient,
    0x1C: lambda a, b: a - b & _M64,
    0x1D: _remainder,
    0x1E: lambda a, b: a * b & _M64,
    0x21: lambda a, b: a | b,
    0x22: lambda a, b: a + b & _M64,
    0x24: _shifted_left,
    0x25: _shifted_right,
    0x26: _shifted_arithmetically,
    0x27: lambda a, b: a ^ b,
    0x29: lambda a, b: int(a == b),
    0x2A: lambda a, b: int(_as_signed(a) >= _as_signed(b)),
    0x2B: lambda a, b: int(_as_signed(a) > _as_signed(b)),
    0x2C: lambda a, b: int(_as_signed(a) <= _as_signed(b)),
    0x2D: lambda a, b: int(_as_signed(a) < _as_signed(b)),
    0x2E: lambda a, b: int(a != b),
}

_E = _Evaluation

_ACTIONS: dict[int, Callable[..., None]] = {
    0x03: _E._address,  # DW_OP_addr
    0x06: _E._load,  # DW_OP_deref
    0x12: _E._pick,  # DW_OP_dup
    0x13: _E._drop,
    0x14: _E._over,
    0x15: _E._pick,
    0x16: _E._swap,
    0x17: _E._rotate,
    0x19: _E._absolute,
    0x1F: _E._negate,
    0x20: _E._invert,
    0x23: _E._add_constant,  # DW_OP_plus_uconst
    0x90: _E._register,  # DW_OP_regx
    0x91: _E._frame,  # DW_OP_fbreg
    0x92: lambda self, register, offset: self.stack.append(self._based(register, offset)),
    0x94: _E._load,  # DW_OP_deref_size
    0x96: _E._nothing,  # DW_OP_nop
    0x9E: _E._implicit,  # DW_OP_implicit_value
    0x9F: _E._stack_value,
    0xA0: _E._nowhere,  # DW_OP_implicit_pointer: to something that is nowhere
    0xA1: _E._indexed,  # DW_OP_addrx
    0xA2: _E._indexed_constant,  # DW_OP_constx
    0xA3: _E._entry_value,
    0xA8: _E._convert,
    0xF2: _E._nowhere,  # DW_OP_GNU_implicit_pointer
    0xF3: _E._entry_value,  # DW_OP_GNU_entry_value
}
