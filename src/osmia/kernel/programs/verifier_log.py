"""What a verifier log says: the complaint, the instruction, the source line, in words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

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

#: What the verifier says, and what that means to whoever wrote the program.
_EXPLANATIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (
            r"unbounded memory access|math between \S+ pointer and register with unbounded",
            "the index or length has no upper bound; compare or mask it before the access",
        ),
        (
            r"(?:min value is negative|unbounded min value|smin)(?!.*At program exit)"
            r"(?=.*(?:either use unsigned|is not allowed|negative))",
            "a signed value may be negative here; use an unsigned type or mask it",
        ),
        (
            r"invalid mem access '\w*_or_null\w*'",
            "the pointer may be NULL; compare it with NULL before use",
        ),
        (
            r"invalid mem access '(?:scalar|inv)'",
            "the register holds a number, not a pointer that programs may follow",
        ),
        (r"Possibly NULL pointer passed", "the argument may be NULL; compare it with NULL first"),
        (
            r"invalid access to packet|offset is outside of the packet",
            "packet bytes are used before a comparison with data_end proves them there",
        ),
        (
            r"invalid access to map value|allowed memory range",
            "the access may reach past the end of the value; bound the index",
        ),
        (
            r"invalid (?:indirect )?(?:read|access|read from)(?: access)? (?:to|from|of)?.*stack",
            "stack memory is read before it was written, or outside of the 512-byte frame",
        ),
        (r"invalid write to stack|invalid stack", "the access is outside of the 512-byte frame"),
        (
            r"combined stack size",
            "the stack frames of all active functions together exceed 512 bytes",
        ),
        (r"!read_ok", "the register is read before anything was written to it"),
        (
            r"Unreleased reference|reference leak",
            "what a helper or kfunc acquired must be released on every path",
        ),
        (
            r"program is too large|BPF_COMPLEXITY_LIMIT|sequence of \d+ jumps is too complex",
            "too complex: over a million instructions to check; shorten loops or split functions",
        ),
        (
            r"back-edge|infinite loop detected|loop detected",
            "a loop that the verifier cannot see ending; give it a constant bound, or bpf_loop",
        ),
        (
            r"unknown func|invalid func|cannot use helper|cannot call helper",
            "this program type may not call that helper, or this kernel lacks it",
        ),
        (
            r"kernel function .* is not allowed|kernel function btf_id \d+",
            "this program type may not call that kernel function (kfunc)",
        ),
        (r"from non-GPL compatible program", 'the license is not GPL compatible; say "GPL"'),
        (
            r"invalid bpf_context access",
            "this program type may not use that field of its context, or not at that width",
        ),
        (
            r"dereference of modified ctx",
            "the compiler moved the context pointer; read the field directly from it",
        ),
        (r"unreachable insn", "code that no path reaches; remove it or jump to it"),
        (r"jump out of range|last insn is not an exit", "control flow leaves the function"),
        (r"misaligned", "the access is not aligned to its size"),
        (
            r"At program exit the register R0",
            "the return value is outside of what this program type may return",
        ),
        (r"R0 leaks addr", "the program would return a kernel address"),
        (
            r"cannot pass map_type",
            "the helper does not work on this type of map",
        ),
        (
            r"tail_calls? .*not allowed|tail_call.*(?:stack|leak)",
            "no tail call is possible here",
        ),
        (
            r"partial copy of pointer|pointer comparison prohibited",
            "without CAP_PERFMON no program may use a pointer as a number",
        ),
        (
            r"leads to invalid memory access|pointer arithmetic .*prohibited"
            r"|on pointer prohibited"
            r"|pointer \S+ pointer prohibited",
            "that calculation on a pointer is not allowed",
        ),
        (r"call stack of \d+ frames is too deep", "calls may nest 8 deep"),
        (r"type=\S+ expected=", "the argument is not of the kind that the function wants"),
        (
            r"attach_btf_id|attach to unsupported|is not (?:a function|sleepable|modifiable)",
            "the attach target does not suit this type of program",
        ),
        (
            r"invalid BPF_LD_IMM64 insn|unrecognized bpf_ld_imm64|call to invalid destination",
            "a relocation was not resolved, or the code was cut",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """The verifier's last words.

    `instruction` is the slot at fault, -1 when the log names none; `source` is the
    line that it came from, when the log or the line info tell.
    """

    message: str
    explanation: str = ""
    instruction: int = -1
    source: SourceLine | None = None

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
    return Complaint(
        message=_with_origin(message, lines),
        explanation=_explanation(message),
        instruction=instruction,
        source=source,
    )


def verifier_error(
    errno: int, program: str, log: str, lines: Sequence[SourceLine] = ()
) -> VerifierError:
    """The exception for a program that was rejected with this log."""
    return VerifierError(errno, program, explain(log, lines).summary, log, tail(log))


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


def _explanation(message: str) -> str:
    for pattern, words in _EXPLANATIONS:
        if pattern.search(message):
            return words
    return ""
