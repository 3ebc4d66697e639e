"""What object files leave to be filled in, on each machine that there are images for.

From the processor supplements of the ELF specification: x86-64 psABI 1.0 (table 4.9), ELF for the
Arm 64-bit Architecture, 2024Q3 (section 5.7). Distances are between places of one image, which
begins at a page of memory: the low bits of addresses in it are those of offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from osmia.named_tuples import NamedTuple


class UnknownError(Exception):
    """Something in an object file that no image is made of."""


class Target(NamedTuple):
    """A machine: its number in ELF, a jump through the word at 8 (8 bytes), the relocations of
    calls, that of an address, and what fills in the others: it is given the bytes, the
    relocation's type, where it is, and the offset that it is about."""

    number: int
    jump: bytes
    calls: frozenset[int]
    address: int
    fill: Callable[[bytearray, int, int, int], None]


_R_X86_64_64, _R_X86_64_PC32, _R_X86_64_PLT32 = 1, 2, 4


def _fill_x86_64(content: bytearray, kind: int, at: int, target: int) -> None:
    if kind not in (_R_X86_64_PC32, _R_X86_64_PLT32):
        raise UnknownError
    struct.pack_into("<i", content, at, target - at)


_R_AARCH64_ABS64, _R_AARCH64_PREL64, _R_AARCH64_PREL32 = 257, 260, 261
_R_AARCH64_ADR_PREL_PG_HI21, _R_AARCH64_ADD_ABS_LO12_NC = 275, 277
_R_AARCH64_JUMP26, _R_AARCH64_CALL26 = 282, 283
#: Loads and stores by an address's low 12 bits, which count their own size: by how much.
_SHIFTS = {_R_AARCH64_ADD_ABS_LO12_NC: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}


def _fill_arm64(content: bytearray, kind: int, at: int, target: int) -> None:
    if kind in (_R_AARCH64_PREL64, _R_AARCH64_PREL32):
        struct.pack_into("<q" if kind == _R_AARCH64_PREL64 else "<i", content, at, target - at)
        return
    (word,) = struct.unpack_from("<I", content, at)
    if kind in (_R_AARCH64_JUMP26, _R_AARCH64_CALL26):
        word |= (target - at) >> 2 & 0x3FF_FFFF
    elif kind == _R_AARCH64_ADR_PREL_PG_HI21:
        pages = (target >> 12) - (at >> 12)
        word |= (pages & 3) << 29 | (pages >> 2 & 0x7_FFFF) << 5
    elif kind in _SHIFTS:
        word |= (target & 0xFFF) >> _SHIFTS[kind] << 10
    else:
        raise UnknownError
    struct.pack_into("<I", content, at, word)


TARGETS = {
    each.number: each
    for each in (
        Target(
            62,
            bytes.fromhex("ff2502000000 6690"),  # jmp [rip + 2]; nop
            frozenset({_R_X86_64_PLT32}),
            _R_X86_64_64,
            _fill_x86_64,
        ),
        Target(
            183,
            struct.pack("<2I", 0x5800_0050, 0xD61F_0200),  # ldr x16, [pc + 8]; br x16
            frozenset({_R_AARCH64_JUMP26, _R_AARCH64_CALL26}),
            _R_AARCH64_ABS64,
            _fill_arm64,
        ),
    )
}
"""By ELF's number of the machine."""
