"""Profiles as speedscope.app reads them: its file format, of type "sampled"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from osmia import __version__
from osmia.symbols.stack_profile import outermost_first

if TYPE_CHECKING:
    from osmia.symbols.frames import Frame
    from osmia.symbols.stack_profile import StackProfile

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {"ns": "nanoseconds"}


def speedscope(profile: StackProfile) -> str:
    """One JSON document."""
    numbers: dict[tuple[str, str, int], int] = {}

    def number(frame: Frame) -> int:
        return numbers.setdefault((frame.label, frame.file, frame.line), len(numbers))

    stacks = [[number(each) for each in outermost_first(sample)] for sample in profile.samples]
    frames = [
        {"name": name} | ({"file": file, "line": line} if file else {})
        for name, file, line in numbers
    ]
    sampled = {
        "type": "sampled",
        "name": profile.title,
        "unit": _UNITS.get(profile.unit, "none"),
        "startValue": 0,
        "endValue": profile.total,
        "samples": stacks,
        "weights": [each.value for each in profile.samples],
    }
    document = {
        "$schema": _SCHEMA,
        "exporter": f"osmia {__version__}",
        "name": profile.title,
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [sampled],
    }
    # Names are whatever a file says, halves of characters too: all that is not ASCII is escaped.
    return json.dumps(document, separators=(",", ":"), allow_nan=False)
