"""Where instructions are: their function, and the source line that they come from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from osmia.object.model import SourceLine
from osmia.verifier.instructions import callee
from osmia.verifier.log import VerifierLog

_ANNOTATION = re.compile(rb"\n; ([^\n]{0,4096}?)(?: @ ([^@\n]{1,1024}):(\d{1,9}))?\r?\n")


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
        self._told: dict[int, SourceLine | None] | None = None

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
        if self._told is None:
            self._told = _annotated(self._log)
        return self._told.get(slot)


def _annotated(log: VerifierLog) -> dict[int, SourceLine | None]:
    """For each instruction the annotation that stood last when the log came to it first.

    What lies between two first visits is searched once, so that the whole log is at most.
    """
    found: dict[int, SourceLine | None] = {}
    line, before = None, log.start
    for slot, visit in sorted(log.first.items(), key=lambda each: each[1]):
        start = log.starts[visit]
        at = log.data.rfind(b"\n; ", before, start)
        said = _ANNOTATION.match(log.data, at, start) if at >= 0 else None
        if said is not None:
            file = (said[2] or b"").decode("utf-8", "replace")
            text = said[1].decode("utf-8", "replace").strip()
            line = SourceLine(slot, file, int(said[3] or 0), 0, text)
        found[slot] = line
        before = max(log.start, start - 1)
    return found


def _called(texts: Mapping[int, str]) -> dict[int, str]:
    """Where functions begin that the instructions call, and the first one."""
    found = {callee(slot, text): "" for slot, text in texts.items() if text.startswith("call pc")}
    return {0: "", **{slot: name for slot, name in found.items() if slot is not None}}
