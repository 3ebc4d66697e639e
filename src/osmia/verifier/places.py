"""Where instructions are: their function, and the source line that they come from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from osmia.object.model import SourceLine
from osmia.verifier.instructions import callee
from osmia.verifier.log import VerifierLog

_ANNOTATION = re.compile(rb"\n; ([^\n]{0,4096}?)(?: @ ([^@\n]{1,1024}):(\d{1,9}))?\r?\n")
#: How far in front of an instruction its line may stand: notes on what must be precise are long.
_FAR = 1 << 20


class Places:
    """`function(slot)` and `line(slot)` of one program's instructions.

    `functions` has the names by first slot, `lines` the line records, sorted by slot; what they do
    not have is taken from the log: where calls go, and its lines "; text @ file.c:12" (with file
    names since Linux 6.9).
    """

    def __init__(
        self,
        log: VerifierLog,
        texts: Mapping[int, str],
        functions: Mapping[int, str] | None = None,
        lines: Sequence[SourceLine] = (),
    ) -> None:
        found = {**_called(texts), **log.functions(), **(functions or {})}
        self.starts = sorted(found)
        self.names = [found[start] or f"function at {start}" for start in self.starts]
        self._lines = lines
        self._slots = [line.slot for line in lines]
        self._log = log
        self._told: dict[int, SourceLine | None] = {}

    def function(self, slot: int) -> str:
        """The name of the function that has this instruction."""
        return self.names[max(0, bisect_right(self.starts, slot) - 1)]

    def first(self, slot: int) -> int:
        """The first slot of the function that has this instruction."""
        return self.starts[max(0, bisect_right(self.starts, slot) - 1)]

    def line(self, slot: int) -> SourceLine | None:
        """The source line of an instruction; None where nobody says."""
        if self._lines:
            index = bisect_right(self._slots, slot)
            found = self._lines[index - 1] if index else None
            return found if found is not None and found.line else None
        if slot not in self._told:
            self._told[slot] = self._annotated(slot)
        return self._told[slot]

    def _annotated(self, slot: int) -> SourceLine | None:
        """The annotation that stood last when the log came to this instruction first."""
        visit = self._log.first.get(slot, -1)
        if visit < 0:
            return None
        end = self._log.starts[visit]
        start = max(self._log.start, end - _FAR)
        at = self._log.data.rfind(b"\n; ", start, end)
        found = _ANNOTATION.match(self._log.data, at, end) if at >= 0 else None
        if found is None:
            return None
        file = (found[2] or b"").decode("utf-8", "replace")
        text = found[1].decode("utf-8", "replace").strip()
        return SourceLine(slot, file, int(found[3] or 0), 0, text)


def _called(texts: Mapping[int, str]) -> dict[int, str]:
    """Where functions begin that the instructions call, and the first one."""
    found = {callee(slot, text): "" for slot, text in texts.items() if text.startswith("call pc")}
    return {0: "", **{slot: name for slot, name in found.items() if slot is not None}}
