"""Where frames begin by clang's account, from the code."""

from __future__ import annotations

import pytest

from osmia.debugger.dwarf.frame_base import FramePlace, frame_bytes
from osmia.isa import assemble


def code(text: str) -> bytes:
    return assemble(text)


@pytest.mark.parametrize(
    ("text", "variables", "size"),
    [
        # One int in four bytes; the frame is not rounded up.
        ("*(u32 *)(r10 - 4) = r1\nexit", [FramePlace(0, 4, 4)], 4),
        # The same in a frame that is rounded up to eight.
        ("*(u32 *)(r10 - 4) = r1\nexit", [FramePlace(4, 4, 4)], 8),
        # A key below a struct of 16 bytes: 20 bytes are used, 24 are taken.
        (
            "*(u32 *)(r10 - 20) = r1\nr2 = r10\nr2 += -16\ncall 1\nexit",
            [FramePlace(4, 4, 4), FramePlace(8, 16, 4)],
            24,
        ),
        ("r0 = 0\nexit", [], 0),
        # A variable that no size would place: the usual alignment.
        ("*(u8 *)(r10 - 3) = r1\nexit", [FramePlace(64, 8, 4)], 8),
    ],
)
def test_the_frame_s_size(text: str, variables: list[FramePlace], size: int) -> None:
    assert frame_bytes(code(text), "little", variables) == size
