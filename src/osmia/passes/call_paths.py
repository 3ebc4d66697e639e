"""Ways of calls from a function, and the stack that they take: as the verifier counts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from osmia.object.model import Object
from osmia.passes.inline import calls_of

FRAMES: Final = 8
"""Functions that may be active at once in one program (MAX_CALL_FRAMES)."""
FRAME_UNIT: Final = 16
"""What frames are rounded up to, since 6.8, where programs are compiled."""


def rounded(frame: int, unit: int = FRAME_UNIT) -> int:
    """The stack that a frame of so many bytes takes."""
    return max(unit, -(-frame // unit) * unit)


def call_paths(
    obj: Object, function: str, frames: Mapping[str, int], unit: int = FRAME_UNIT
) -> Iterator[tuple[tuple[str, ...], int]]:
    """The deepest way of calls from a function to each that it calls, itself first, with the
    stack of those before the last; at most as many calls deep as the kernel has frames."""
    deepest: dict[str, tuple[tuple[str, ...], int]] = {}
    pending: list[tuple[tuple[str, ...], int]] = [((function,), 0)]
    while pending:
        path, below = pending.pop()
        known = deepest.get(path[-1])
        if (known is not None and known[1] >= below) or len(path) > FRAMES:
            continue
        deepest[path[-1]] = path, below
        deeper = below + rounded(frames[path[-1]], unit)
        pending += [((*path, call.callee), deeper) for call in calls_of(obj, path[-1])]
    yield from deepest.values()
