"""A log for a page: pieces of so many visits each, compressed, read when somebody looks."""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from collections.abc import Iterator

from osmia.named_tuples import NamedTuple
from osmia.verifier.log import VerifierLog

#: How many visits a piece has.
VISITS = 2048
#: Of a log that is longer than this (bytes, without notes) the beginning and the end are kept.
_MOST = 64 << 20
_LEVEL = 4

#: What the verifier notes on values that have to be precise: most of a log of level 2.
_NOTES = re.compile(
    rb"^(?:mark_precise:|regs=|last_idx |parent (?:state|didn't|already)|propagating ).*\n",
    re.MULTILINE,
)


class Piece(NamedTuple):
    """`data` is base64 of what zlib made of the text from visit `number * VISITS` on."""

    number: int
    data: str


def pieces(log: VerifierLog, most: int = _MOST) -> Iterator[Piece]:
    """The pieces that are kept, in no order."""
    count = -(-len(log.starts) // VISITS)
    begun, left = 0, most
    for number in range(count):
        piece, size = _piece(log, number)
        left -= size
        yield piece
        begun = number + 1
        if left <= most - most // 4:
            break
    for number in range(count - 1, begun - 1, -1):
        if left <= 0:
            return
        piece, size = _piece(log, number)
        left -= size
        yield piece


def _piece(log: VerifierLog, number: int) -> tuple[Piece, int]:
    first, last = number * VISITS, (number + 1) * VISITS
    start = log.starts[first]
    end = log.starts[last] if last < len(log.starts) else log.end
    text = _NOTES.sub(b"", log.data[start:end])
    return Piece(number, b64encode(zlib.compress(text, _LEVEL)).decode()), len(text)
