"""Maps that one program alone may use (since 6.18): named by the hash of its code."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

from osmia.kernel.load import image
from osmia.passes.layout import ProgramLayout

_LD_IMM64 = 0x18
_MAPS = (image.PSEUDO_MAP_FD, image.PSEUDO_MAP_VALUE)


def code_hash(layout: ProgramLayout, byteorder: str, symbols: Mapping[str, int]) -> bytes:
    """The SHA-256 of the program's code as the kernel computes it: map descriptors are zero.

    No map need exist yet. (Code with variables of kernel modules has descriptors in it that
    count; no hash can be told for it before.)
    """
    numbers = image.Numbers(
        maps=defaultdict(int),
        data=defaultdict(int),
        jump_tables=defaultdict(int),
        symbols=symbols,
        # A call has its module's place in a list, and any distinct numbers keep the places.
        modules={each.target: n for n, each in enumerate(layout.relocations, 1)},
    )
    code, _ = image.resolve(layout, numbers, byteorder)
    purged = bytearray(code)
    shift = 4 if byteorder == "little" else 0
    at = 0
    while at < len(purged):
        if purged[at] != _LD_IMM64:
            at += 8
            continue
        if (purged[at + 1] >> shift) & 0xF in _MAPS:
            purged[at + 4 : at + 8] = purged[at + 12 : at + 16] = bytes(4)
        at += 16
    return hashlib.sha256(purged).digest()
