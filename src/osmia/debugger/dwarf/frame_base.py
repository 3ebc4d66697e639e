"""Where a function's frame begins, by clang's account: that is not where r10 points.

clang says "frame base: r10" and counts a variable's offset from the frame's lowest byte (LLVM's
TargetFrameLowering::getFrameIndexReference, which takes the base for a stack pointer that went
down). So the frame's size has to be known, and nothing in the file tells: it follows from the
frame's places that the code uses, and from which of them would be variables.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

from osmia.named_tuples import NamedTuple

FRAME_SIZE = 512
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}  # BPF_SIZE
_LOAD, _STORE_IMMEDIATE, _STORE = 1, 2, 3
_MOVE, _ADD = 0xBF, 0x07
_FRAME_POINTER = 10


class FramePlace(NamedTuple):
    """A variable's offset as the compiler tells it, its size and alignment; bytes."""

    offset: int
    size: int
    alignment: int


def frame_bytes(code: bytes, byteorder: str, variables: Iterable[FramePlace]) -> int:
    """The size of a function's frame, in bytes: the base is so much below r10.

    Of several that are possible it is the one for which the code uses most of the variables.
    """
    used = list(_places(code, byteorder))
    lowest = max((-low for low, _ in used), default=0)
    known = [each for each in variables if each.offset >= 0 and each.size > 0]
    sizes = {-(-lowest // alignment) * alignment for alignment in (1, 2, 4, 8)}
    fitting = {size: _score(size, known, used) for size in sizes if _fits(size, known)}
    if not fitting:
        return -(-lowest // 8) * 8
    return max(sorted(fitting), key=lambda size: fitting[size])


def _fits(size: int, variables: Collection[FramePlace]) -> bool:
    return all(
        each.offset + each.size <= size and (size - each.offset) % each.alignment == 0
        for each in variables
    )


def _score(size: int, variables: Collection[FramePlace], used: Collection[tuple[int, int]]) -> int:
    """For how many variables the code uses their place; their first byte counts once more."""
    score = 0
    for each in variables:
        start = each.offset - size
        score += any(low < start + each.size and start < high for low, high in used)
        score += any(low == start for low, _ in used)
    return score


def _places(code: bytes, byteorder: str) -> Iterable[tuple[int, int]]:
    """Parts of the frame that instructions read, write or take the address of: from r10."""
    layout = struct.Struct("<BBhi" if byteorder == "little" else ">BBhi")
    moved = -1  # the register that the instruction before made equal to r10
    for opcode, registers, offset, immediate in layout.iter_unpack(code):
        low, high = registers & 15, registers >> 4
        target, source = (low, high) if byteorder == "little" else (high, low)
        kind = opcode & 7
        base = source if kind == _LOAD else target
        if kind in (_LOAD, _STORE_IMMEDIATE, _STORE) and base == _FRAME_POINTER and offset < 0:
            yield offset, offset + _SIZES[opcode & 0x18]
        elif opcode == _ADD and target == moved and -FRAME_SIZE <= immediate < 0:
            yield immediate, immediate + 1
        moved = target if opcode == _MOVE and source == _FRAME_POINTER else -1
