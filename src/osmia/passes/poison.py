"""Impossible calls: what stands where a pass had no answer.

The verifier refuses one only where it can be reached ("invalid func unknown#…"), the vm
ends the run there. The numbers are libbpf's, so that the program, and its tag, are the
same; `Function.unresolved` says in words what is missing.
"""

from __future__ import annotations

import struct

#: The immediate for a CO-RE record without an answer ("bad relo").
POISON = 0xBAD2310
#: For a map that is not made, plus the map's number.
POISONED_MAP = 2001000000
#: For a weak kfunc that the kernel lacks, plus the extern's number.
POISONED_KFUNC = 2002000000

_CALL = 0x85
_LITTLE, _BIG = struct.Struct("<BBhI"), struct.Struct(">BBhI")


def poison(code: bytearray, at: int, number: int, byteorder: str) -> None:
    """Put an impossible call into the slot at byte `at`."""
    layout = _LITTLE if byteorder == "little" else _BIG
    layout.pack_into(code, at, _CALL, 0, 0, number)
