"""Jump tables: the places that a function's `gotox` instructions may go to (since Linux 6.19).

A compiler makes one for a large `switch` and for `goto *table[i]`. Code loads an entry and
jumps to it; no entry points outside of the function that has the jump.
"""

from __future__ import annotations

from osmia.records import dataclass

#: Bytes of one entry, as programs read it.
ENTRY_SIZE = 8


@dataclass(frozen=True, slots=True)
class JumpTable:
    """A table of jump targets: slots (8 bytes each), counted from the start of `function`."""

    name: str
    function: str
    targets: tuple[int, ...]
