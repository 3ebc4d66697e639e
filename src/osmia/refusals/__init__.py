"""Kinds of refusal: what the verifier's complaint means, and what to write instead.

Each kind is a record (`Refusal`); the modules of this package list them by what they are about.
Two kinds may have one complaint: the path before it tells them apart (`conditions`, `history`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from osmia.refusals.calls import CALLS
from osmia.refusals.contexts import CONTEXTS
from osmia.refusals.flow import FLOW, OBJECTS
from osmia.refusals.history import History, Lines
from osmia.refusals.kind import Family, Finding, Refusal, Refused, fits
from osmia.refusals.packets import PACKETS
from osmia.refusals.references import REFERENCES
from osmia.refusals.registers import REGISTERS
from osmia.refusals.stack import STACK
from osmia.refusals.values import MEMORY

__all__ = ["FAMILIES", "Family", "Finding", "History", "Refusal", "find", "kinds"]

#: In the order in which they are tried.
FAMILIES = (PACKETS, REGISTERS, MEMORY, STACK, CONTEXTS, REFERENCES, OBJECTS, CALLS, FLOW)


def kinds() -> Iterator[Refusal]:
    """All kinds, in the order in which they are tried."""
    for family in FAMILIES:
        yield from family.kinds


def find(message: str, log: Sequence[str], lines: Lines | None = None) -> Finding | None:
    """The kind of a refusal and its words, None when it is none of these.

    `message` is the verifier's complaint in one line, `log` what stands before and around it, by
    lines; its last part is enough. `lines` tells an instruction's source line where the log does
    not (before Linux 6.9).
    """
    refused = Refused(message, History(log, lines))
    return next(filter(None, (fits(kind, refused) for kind in kinds())), None)
