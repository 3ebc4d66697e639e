"""A verifier log as columns: which instruction was looked at when, and where a path ended.

Logs are untrusted and may be a gigabyte long. They stay as they are: one pass finds the lines that
begin with an instruction, and those that say where the verifier went on; what else a line says is
read when somebody asks (`states`). Formats are those of Linux 5.10 to 6.18, levels 1, 2 and 4.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from mmap import mmap

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass

LogData = bytes | mmap

#: A line that says more than this is cut: the longest states are some thousand bytes.
LONGEST_LINE = 16384
#: Where the complaint and the statistics stand.
_END_BYTES = 65536

_LINE = (
    rb"(?:(\d{1,7}): (?:\([0-9a-f]{2}\) |(safe)\r?$)"  # an instruction; one where all is known
    rb"|from (\d{1,7}) to (\d{1,7})(?: \(speculative execution\))?: ?(safe)?"
    rb"|(Validating )|(Func#)\d+ (?:\('[^'\n]*'\) )?is safe)"
)
_FIRST = re.compile(_LINE, re.MULTILINE)
_NEXT = re.compile(rb"\n" + _LINE, re.MULTILINE)

_STATISTICS = re.compile(
    rb"\nprocessed (\d{1,18}) insns \(limit (\d{1,18})\) max_states_per_insn (\d{1,18})"
    rb" total_states (\d{1,18}) peak_states (\d{1,18})"
)
_TIME = re.compile(rb"\nverification time (\d{1,18}) usec")
_STACK = re.compile(rb"\nstack depth (\d{1,6}(?:\+\d{1,6}){0,1000})")
_FUNCTION = re.compile(rb"^func#(\d{1,4}) @(\d{1,7})\r?$", re.MULTILINE)
_NAMED = re.compile(rb"\n(?:Validating (\w{1,128})\(\) func#(\d{1,4})|Func#(\d{1,4}) \('(\w+)'\))")
_HEADING = re.compile(
    rb"^.{0,80}prog '([^'\n]{1,128})': (?:failed to load: .{0,40}|BPF program load failed.{0,80}|"
    rb"-- BEGIN PROG LOAD LOG --)\r?$",
    re.MULTILINE,
)
#: What is neither an instruction nor the verifier's complaint.
_REMARK = re.compile(
    rb"(?:\d+: (?:\([0-9a-f]{2}\)|safe|R\d|frame\d|fp-|refs=)|from \d+ to \d+|func#\d|; |;$|"
    rb"R\d+(?:_\w+)?=|frame\d+:|fp-\d|processed \d|verification time|stack depth|mark_precise:|"
    rb"last_idx|regs=|parent |insns_state|Validating |Func#\d+ .*is safe|propagating |SCC |"
    rb"caller:|callee:|returning from callee|to caller at|Live regs before|"
    rb"(?:cur|old) state:|subprog#|arg#\d+ reference type\('UNKNOWN|-- (?:BEGIN|END) PROG|"
    rb"libbpf: |\w+:\s*$|\s|$)"
)


class Turn(NamedTuple):
    """Where the verifier did not go on with the next instruction. `visit` is the first that comes
    after; it took up the other way of the jump at `origin` (-1: the log does not say), at `target`;
    `pruned`: it found that it had been there in such a state. `start` begins another function."""

    visit: int
    origin: int
    target: int
    pruned: bool = False
    start: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the verifier counted itself; None where the log does not have it. `stack` is in bytes,
    by subprogram."""

    processed: int | None = None
    limit: int = 1_000_000
    states_of_one_instruction: int | None = None
    total_states: int | None = None
    peak_states: int | None = None
    microseconds: int | None = None
    stack: tuple[int, ...] = ()


class VerifierLog:
    """One program's log. `slots[i]` is the instruction of the i-th visit, `starts[i]` where its
    line begins in `data`, `first[slot]` an instruction's first visit; `turns` is in the log's
    order. Without an `end` it ends at the first NUL: the kernel fills the front of a buffer."""

    def __init__(self, data: LogData, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.start = start
        self.end = _end_of(data) if end is None else end
        self.slots = array("i")
        self.starts = array("q")
        self.turns: list[Turn] = []
        self._read()
        self.first = dict(
            zip(reversed(self.slots), range(len(self.slots) - 1, -1, -1), strict=True)
        )

    def _read(self) -> None:
        first = _FIRST.match(self.data, self.start, self.end)
        if first is not None:
            self._take(first, self.start)
        # The loop that a million instructions go through.
        add_slot, add_start, take = self.slots.append, self.starts.append, self._take
        for found in _NEXT.finditer(self.data, self.start, self.end):
            if found.lastindex == 1:
                add_slot(int(found[1]))
                add_start(found.start() + 1)
            else:
                take(found, found.start() + 1)

    def _take(self, found: re.Match[bytes], at: int) -> None:
        visit = len(self.slots)
        slot, safe, origin, target, at_once, _, _ = found.groups()
        if safe is not None:
            self.turns.append(Turn(visit, -1, int(slot), pruned=True))
        elif slot is not None:
            self.slots.append(int(slot))
            self.starts.append(at)
        elif origin is not None:
            self.turns.append(Turn(visit, int(origin), int(target), pruned=at_once is not None))
        else:
            self.turns.append(Turn(visit, -1, -1, start=True))

    def line(self, at: int) -> str:
        """The line that begins at `at`."""
        limit = min(self.end, at + LONGEST_LINE)
        end = self.data.find(b"\n", at, limit)
        text = self.data[at : limit if end < 0 else end]
        return text.decode("utf-8", "replace").rstrip("\r")

    def after(self, visit: int) -> str:
        """What the log says from a visit's line on, to the next visit's."""
        start = self.starts[visit]
        end = self.starts[visit + 1] if visit + 1 < len(self.starts) else self.end
        return self.data[start : min(end, start + LONGEST_LINE)].decode("utf-8", "replace")

    @property
    def whole(self) -> bool:
        """Whether the log has all that the verifier looked at: one of level 1 has the last path,
        and one that is too long for its buffer its end (before Linux 6.4: its beginning)."""
        processed = self.statistics().processed
        # One that was one too many is counted, but not looked at.
        return processed is not None and processed <= len(self.slots) + self.pruned + 1

    @property
    def pruned(self) -> int:
        """How often the verifier found that it had been at an instruction in such a state."""
        return sum(turn.pruned for turn in self.turns)

    def tail(self) -> str:
        """The end of the log, as text."""
        start = max(self.start, self.end - _END_BYTES)
        return self.data[start : self.end].decode("utf-8", "replace")

    def complaint(self) -> str:
        """What the verifier said last, if that is a complaint; "" of what was accepted."""
        said = []
        last = self.starts[-1] if self.starts else self.start
        start = max(last, self.end - _END_BYTES)
        for line in self.data[start : self.end].split(b"\n"):
            if line and not _REMARK.match(line):
                said.append(line.decode("utf-8", "replace").strip())
        return "; ".join(said[-4:])

    def statistics(self) -> Statistics:
        """The verifier's own, which stand in the log's last lines."""
        end = b"\n" + self.data[max(self.start, self.end - _END_BYTES) : self.end]
        counted, time, stack = _last(_STATISTICS, end), _last(_TIME, end), _last(_STACK, end)
        numbers = list(map(int, counted.groups())) if counted else [None, 1_000_000, *[None] * 3]
        return Statistics(
            processed=numbers[0],
            limit=numbers[1] or 1_000_000,
            states_of_one_instruction=numbers[2],
            total_states=numbers[3],
            peak_states=numbers[4],
            microseconds=int(time[1]) if time else None,
            stack=tuple(map(int, stack[1].split(b"+"))) if stack else (),
        )

    def functions(self) -> dict[int, str]:
        """The slots where functions begin, and their names where the log has them."""
        head = self.data[self.start : min(self.end, self.start + (1 << 20))]
        starts = {int(number): int(slot) for number, slot in _FUNCTION.findall(head)}
        names = {}
        for turn_line in self._boundaries():
            for before, number, other, after in _NAMED.findall(b"\n" + turn_line):
                names[int(number or other)] = (before or after).decode()
        return {slot: names.get(number, "") for number, slot in sorted(starts.items())}

    def _boundaries(self) -> Iterator[bytes]:
        """What stands around the beginnings and ends of global functions."""
        for turn in self.turns:
            if turn.start:
                edge = self.starts[turn.visit] if turn.visit < len(self.starts) else self.end
                yield self.data[max(self.start, edge - 1024) : edge]


def _end_of(data: LogData) -> int:
    end = data.find(b"\0")
    return len(data) if end < 0 else end


def logs_in(data: LogData) -> list[tuple[str, VerifierLog]]:
    """The logs in a file, with the programs' names: one with "" unless libbpf's lines say more."""
    names = [(found[1].decode("utf-8", "replace"), found) for found in _HEADING.finditer(data)]
    begun = [(name, found) for name, found in names if found[0].rstrip().endswith(b"LOG --")]
    if not begun:
        return [(names[0][0] if names else "", VerifierLog(data))]
    ends = [found.start() for _, found in begun[1:]]
    read = []
    for (name, found), limit in zip(begun, [*ends, len(data)], strict=True):
        end = data.find(b"-- END PROG LOAD LOG --", found.end(), limit)
        read.append((name, VerifierLog(data, found.end() + 1, limit if end < 0 else end)))
    return read


def _last(pattern: re.Pattern[bytes], text: bytes) -> re.Match[bytes] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    return found


def visits_by_slot(slots: Sequence[int], wanted: set[int]) -> dict[int, array[int]]:
    """For some instructions: the visits of each, in order."""
    found: dict[int, array[int]] = {slot: array("i") for slot in wanted}
    for visit, slot in enumerate(slots):
        if slot in wanted:
            found[slot].append(visit)
    return found
