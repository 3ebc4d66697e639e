"""What a verifier log says: the complaint, the instruction, the source line, in words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from operator import attrgetter

from osmia import refusals
from osmia.errors import VerifierError
from osmia.object.model import SourceLine
from osmia.records import dataclass

#: The end of a log is where the complaint stands; logs may be hundreds of megabytes long.
_END_BYTES = 65536
_TAIL_LINES = 12
_COMPLAINT_LINES = 4

_INSTRUCTION = re.compile(r"^(\d+): \(?[0-9a-f]")
_STATE = re.compile(r"^(?:\d+: R\d|from \d+ to \d+|func#\d+ @\d+|R\d+(?:_\w+)?=|fp-\d+|frame\d+:)")
_NOISE = re.compile(
    r"^(?:processed \d+ insns|verification time|stack depth|mark_precise:|last_idx|regs=|"
    r"parent (?:state|didn't)|insns_state|Validating |Func#\d+ .* is safe|propagating |"
    r"The following problems|caller:|callee:|returning from callee|to caller|safe$|"
    r"arg#\d+ reference type\('UNKNOWN|(?:cur|old) state:)"
)
_ANNOTATION = re.compile(r"^; (?P<text>.*) @ (?P<file>[^@]+):(?P<line>\d+)$")
_NAMED_INSTRUCTION = re.compile(
    r"(?:back-edge from insn |unreachable insn |loop detected at insn |out of range from insn |"
    r"invalid insn idx |falls through|at insn |insn )(\d+)"
)
_ALLOCATED_AT = re.compile(r"alloc_insn=(\d+)")


@dataclass(frozen=True, slots=True)
class Complaint:
    """The verifier's last words.

    `kind` is the kind of refusal (`osmia.refusals`), "" when it is none that is known;
    `means` says what the complaint means, `hint` what to write instead. `instruction` is the
    slot at fault, -1 when the log names none; `source` is the line that it came from, when the
    log or the line info tell.
    """

    message: str
    kind: str = ""
    means: str = ""
    hint: str = ""
    instruction: int = -1
    source: SourceLine | None = None

    @property
    def explanation(self) -> str:
        """What the complaint means and what to write instead, "" when that is not known."""
        return "; ".join(filter(None, (self.means, self.hint)))

    @property
    def summary(self) -> str:
        """One line: where, what, and what that means."""
        where = ""
        if self.source is not None:
            where = f"{self.source.file}:{self.source.line}: "
        elif self.instruction >= 0:
            where = f"at instruction {self.instruction}: "
        meaning = f" ({self.explanation})" if self.explanation else ""
        return f"{where}{self.message}{meaning}"


def explain(log: str, lines: Sequence[SourceLine] = ()) -> Complaint:
    """Find the complaint in a verifier log.

    `lines` is the program's line info, sorted by slot; it serves kernels whose logs
    have no file names (before 6.9) and complaints that name another instruction than
    the last one that was looked at.
    """
    end = log[-_END_BYTES:].rstrip("\n").split("\n")
    message = _message(end)
    named = _NAMED_INSTRUCTION.search(message)
    last = _last_instruction(end)
    instruction = int(named[1]) if named else last
    source = _from_line_info(instruction, lines)
    if source is None and (not named or instruction == last):
        source = _from_annotation(log, instruction)
    found = refusals.find(message, end, partial(_line_and_text, lines=lines) if lines else None)
    return Complaint(
        message=_with_origin(message, lines),
        kind=found.kind if found else "",
        means=found.means if found else "",
        hint=found.hint if found else "",
        instruction=instruction,
        source=source,
    )


def verifier_error(
    errno: int, program: str, log: str, lines: Sequence[SourceLine] = ()
) -> VerifierError:
    """The exception for a program that was rejected with this log."""
    found = explain(log, lines)
    return VerifierError(
        errno, program, found.summary, log, tail(log), kind=found.kind, hint=found.hint
    )


def tail(log: str, count: int = _TAIL_LINES) -> str:
    """The last `count` lines of a log, preceded by how many are left out."""
    log = log.rstrip("\n")
    start = len(log)
    for _ in range(count):
        start = log.rfind("\n", 0, start)
        if start < 0:
            return log
    omitted = log.count("\n", 0, start) + 1
    return f"({omitted} lines omitted)\n{log[start + 1 :]}"


def _message(end: Sequence[str]) -> str:
    """The lines after the last instruction, without statistics and register states."""
    said: list[str] = []
    for line in reversed(end):
        if _NOISE.match(line) or not line.strip():
            continue
        if _INSTRUCTION.match(line) or _STATE.match(line) or line.startswith("; "):
            break
        said.append(line.strip().rstrip("."))
        if len(said) == _COMPLAINT_LINES:
            break
    if not said:
        return "the log ends without a complaint"
    return "; ".join(reversed(said))


def _last_instruction(end: Sequence[str]) -> int:
    for line in reversed(end):
        found = _INSTRUCTION.match(line)
        if found and "(" in line[:12]:
            return int(found[1])
    return -1


def _from_line_info(instruction: int, lines: Sequence[SourceLine]) -> SourceLine | None:
    """The line that covers the instruction at this slot."""
    if instruction < 0:
        return None
    index = bisect_right(lines, instruction, key=attrgetter("slot"))
    return lines[index - 1] if index else None


def _line_and_text(slot: int, lines: Sequence[SourceLine]) -> tuple[int, str] | None:
    found = _from_line_info(slot, lines)
    return (found.line, found.text) if found is not None else None


def _from_annotation(log: str, instruction: int) -> SourceLine | None:
    """The last "; text @ file.c:12" of the log (since Linux 6.9)."""
    position = len(log)
    while position > 0:
        position = log.rfind("\n; ", 0, position)
        start = position + 1
        if position < 0 and not log.startswith("; "):
            return None
        finish = log.find("\n", start)
        found = _ANNOTATION.match(log[start : finish if finish >= 0 else len(log)])
        if found:
            return SourceLine(
                slot=max(instruction, 0),
                file=found["file"],
                line=int(found["line"]),
                column=0,
                text=found["text"],
            )
    return None


def _with_origin(message: str, lines: Sequence[SourceLine]) -> str:
    """Say in which line an unreleased reference was acquired."""
    allocated = _ALLOCATED_AT.search(message)
    if allocated is None:
        return message
    origin = _from_line_info(int(allocated[1]), lines)
    where = f"{origin.file}:{origin.line}" if origin else f"instruction {allocated[1]}"
    return message.replace(allocated[0], f"acquired at {where}", 1)
