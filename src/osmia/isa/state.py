"""What is known before an instruction: the registers, and the bytes of the stack frame."""

from __future__ import annotations

from typing import Final

from osmia.isa import opcodes as op
from osmia.isa.lattice import (
    ANY,
    FRAME,
    WORD,
    Unknown,
    Value,
    atoms,
    cut,
    each,
    is_frame,
    join,
    numbers,
)
from osmia.isa.packing import ByteOrder

FRAME_SIZE: Final = 512
"""Bytes of a function's stack frame (MAX_BPF_STACK)."""

_REGISTERS = op.AUXILIARY_REGISTER + 1

Cell = tuple[int, Value]
"""What was stored at a place of the frame: how many bytes, and their value."""


class State:
    """What is known at one place of the code.

    `registers` has a value for each. `stack` has what was stored, by its offset from the
    frame pointer: cells do not overlap, and nothing is known of other bytes. `escaped` says
    that pointers into the frame may be among what is unknown, so that any store and any call
    may change it.
    """

    __slots__ = ("_own", "escaped", "registers", "stack")

    def __init__(self, *, escaped: bool = False) -> None:
        self.registers: list[Value] = [ANY] * _REGISTERS
        self.registers[op.FRAME_POINTER] = FRAME
        self.stack: dict[int, Cell] = {}
        self.escaped = escaped
        self._own = True

    def __repr__(self) -> str:
        known = [f"r{n}={v}" for n, v in enumerate(self.registers) if v is not ANY]
        cells = [f"fp{at}:{size}={v}" for at, (size, v) in sorted(self.stack.items())]
        return f"<{' '.join(known + cells)}{' escaped' if self.escaped else ''}>"

    def number(self, register: int) -> int | None:
        """The number that a register holds, when it can be but one."""
        value = self.registers[register]
        return value if isinstance(value, int) else None

    def numbers(self, register: int) -> frozenset[int] | None:
        """The numbers that a register holds one of, None when it may hold anything else."""
        return numbers(self.registers[register])

    def copy(self) -> State:
        """Another state; the stack is copied when one of them changes it."""
        other = State.__new__(State)
        other.registers = self.registers.copy()
        other.stack, other.escaped = self.stack, self.escaped
        other._own = self._own = False
        return other

    def set(self, register: int, value: Value, *operands: Value) -> None:
        """Write a register. `operands` are what the value was made of: where that pointed into
        the frame, an unknown value may."""
        if type(value) is Unknown and not self.escaped:
            for operand in operands:
                if is_frame(operand):
                    self.escaped = True
        self.registers[register] = value

    # The frame.

    def load(self, address: Value, size: int, byteorder: ByteOrder) -> Value:
        """What a load of `size` bytes of the frame gives, `address` being pointers into it."""
        found: Value | None = None
        for atom in atoms(address) or ():
            offset = None if isinstance(atom, int) else atom.offset
            if offset is None:
                self.escaped = self.escaped or self.holds_frame_pointer()
                return unknown(size)
            value = self.stack_value(offset, size, byteorder)
            both = value if found is None else join(found, value)
            if isinstance(both, Unknown) and (is_frame(value) or is_frame(found or ANY)):
                self.escaped = True
            found = both
        return unknown(size) if found is None else found

    def stack_value(self, offset: int, size: int, byteorder: ByteOrder = "little") -> Value:
        """The number or pointer that `size` bytes at an offset from the frame pointer hold."""
        cell = self.stack.get(offset)
        if cell is not None and cell[0] == size:
            return cell[1]
        if not self.stack:
            return unknown(size)
        joined = bytearray()
        at = offset
        while at < offset + size:
            start, length, value = self._cell_at(at)
            if start <= offset and offset + size <= start + length:
                return _part(value, length, offset - start, size, byteorder)
            if not isinstance(value, int):
                return unknown(size)
            joined += value.to_bytes(length, byteorder)[at - start : offset + size - start]
            at = start + length
        return int.from_bytes(joined, byteorder)

    def store(self, address: Value, size: int, value: Value, byteorder: ByteOrder) -> None:
        """Store `size` bytes of a value at an address, which may be anywhere."""
        if isinstance(address, tuple) and address.token is FRAME.token:
            offset = address.offset
            if offset is not None and -FRAME_SIZE <= offset <= -size:
                self._put(offset, size, value, byteorder)
                return
        if is_frame(value):
            self.escaped = True
        if self.escaped or is_frame(address):
            self.forget_stack()

    def forget_stack(self, start: int | None = None) -> None:
        """Know nothing of the frame any more, or nothing from an offset on."""
        if not self.stack:
            return
        kept: dict[int, Cell] = {}
        for at, cell in self.stack.items():
            if start is not None and at + cell[0] <= start:
                kept[at] = cell
            elif is_frame(cell[1]):
                self.escaped = True
        self.stack, self._own = kept, True

    def holds_frame_pointer(self) -> bool:
        """Whether the frame holds a pointer into itself."""
        return any(is_frame(value) for _, value in self.stack.values())

    def forget(self) -> None:
        """Know nothing at all, but for the frame pointer: no valid program changes that."""
        pointer = self.registers[op.FRAME_POINTER]
        self.registers[:] = [ANY] * _REGISTERS
        self.registers[op.FRAME_POINTER] = pointer
        self.stack, self._own = {}, True
        self.escaped = True

    def _put(self, offset: int, size: int, value: Value, byteorder: ByteOrder) -> None:
        if not self._own:
            self.stack, self._own = self.stack.copy(), True
        old = self.stack.get(offset)
        if self.stack and (old is None or old[0] != size):
            self._split(offset, size, byteorder)
        self.stack.pop(offset, None)
        kept = value if size == 8 else cut(value, 8 * size)
        if is_frame(value) and kept is not value:
            self.escaped = True
        if kept is not unknown(size):
            self.stack[offset] = (size, kept)

    def _split(self, offset: int, size: int, byteorder: ByteOrder) -> None:
        """Take the bytes out of the cells that have them; of numbers the others stay."""
        for at in range(offset - 7, offset + size):
            cell = self.stack.get(at)
            if cell is None or at + cell[0] <= offset:
                continue
            length, value = cell
            del self.stack[at]
            if isinstance(value, int):
                for place, byte in enumerate(value.to_bytes(length, byteorder), at):
                    if not offset <= place < offset + size:
                        self.stack[place] = (1, byte)
            elif is_frame(value):
                self.escaped = True

    def _cell_at(self, at: int) -> tuple[int, int, Value]:
        """The cell that a byte lies in; an unknown one of that byte when there is none."""
        for start in range(at, at - 8, -1):
            cell = self.stack.get(start)
            if cell is not None:
                if at < start + cell[0]:
                    return start, *cell
                break
        return at, 1, ANY

    # Where paths meet.

    def merge(self, other: State, *, widen: bool) -> bool:
        """Keep what both know; True when that is less than before. With `widen` nothing is
        kept of what differs."""
        lost = []
        before = self.escaped
        self.escaped |= other.escaped
        for register, (mine, theirs) in enumerate(
            zip(self.registers, other.registers, strict=True)
        ):
            if mine is not theirs and mine != theirs:
                both = join(mine, theirs)
                if widen and both != mine:
                    both = WORD if both is WORD else ANY
                self.set(register, both, mine, theirs)
                lost.append(both != mine)
        smaller = self.stack is not other.stack and self._merge_stack(other, widen)
        return any(lost) or smaller or self.escaped != before

    def _merge_stack(self, other: State, widen: bool) -> bool:
        kept: dict[int, Cell] = {}
        changed = False
        for at, cell in self.stack.items():
            size, mine = cell
            theirs = other.stack.get(at)
            both: Value = ANY
            if theirs is not None and theirs[0] == size:
                both = mine if mine == theirs[1] else join(mine, theirs[1])
            if both != mine:
                changed = True
                if widen and both is not WORD:
                    both = ANY
            if both is not unknown(size):
                kept[at] = cell if both is mine else (size, both)
        if not self.escaped:
            self.escaped = _lost_frame(self.stack, kept) or _lost_frame(other.stack, kept)
        if changed:
            self.stack, self._own = kept, True
        return changed


def unknown(size: int) -> Unknown:
    """What is known of a loaded value of which only its size is: in bytes."""
    return ANY if size == 8 else WORD


def sign_extended(value: Value, size: int) -> Value:
    """A loaded value of `size` bytes, as a number with a sign."""
    sign = 1 << 8 * size - 1
    return each(lambda number: (number ^ sign) - sign & (1 << 64) - 1, value)


def _lost_frame(stack: dict[int, Cell], kept: dict[int, Cell]) -> bool:
    """Whether a pointer into the frame is not known to be one any more."""
    return any(
        is_frame(value) and not (at in kept and is_frame(kept[at][1]))
        for at, (_, value) in stack.items()
    )


def _part(value: Value, length: int, start: int, size: int, byteorder: ByteOrder) -> Value:
    """Some bytes of a stored value of `length` bytes."""
    shift = 8 * (start if byteorder == "little" else length - start - size)
    mask = (1 << 8 * size) - 1
    if isinstance(value, Unknown):
        return unknown(size)
    return each(lambda number: number >> shift & mask, value, 8 * size)
