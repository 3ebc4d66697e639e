"""Numbers put into code: how an instruction names a map, its values, a function."""

from __future__ import annotations

import struct

MAP_FD, MAP_VALUE = 1, 2
"""What an ld_imm64's source register says that its immediate is."""


def patch(code: bytearray, at: int, source: int, low: int, high: int | None = None) -> None:
    """Put an immediate, and what it is, into the instruction at a byte; `high` is an ld_imm64's
    second one."""
    code[at + 1] = code[at + 1] & 0x0F | source << 4
    struct.pack_into("<I", code, at + 4, low)
    if high is not None:
        struct.pack_into("<I", code, at + 12, high & 0xFFFF_FFFF)
