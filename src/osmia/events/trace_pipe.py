"""`TracePipe`: what programs print with bpf_printk, read from tracefs's trace_pipe."""

from __future__ import annotations

import errno
import os
import re
import warnings
from pathlib import Path

from osmia.errors import BpfPermissionError, KernelError, OsmiaWarning
from osmia.events.source import Batch, EventSource
from osmia.named_tuples import NamedTuple
from osmia.tracefs import tracefs

# More than the kernel's buffer for the text of an event.
_EVENT_SIZE = 64 * 1024

#: How many bytes are taken before events are handed out.
_BATCH_SIZE = 16 * 1024

#: How much `read` takes at most, in bytes, while programs go on printing.
_BACKLOG = 1024 * 1024

# "       some task-1234  (   1200) [001] d..2.  5678.901234: bpf_trace_printk: the message".
# The task's name, which may hold anything, stands in 16 columns (kernel/trace/trace_output.c:
# trace_print_context). The thread group in parentheses is there with the trace option record-tgid,
# the flags are not without irq-info, and some trace clocks count without a point.
_NAME_WIDTH = 16
_HEAD = re.compile(
    rb"-(?P<pid>\d+)\s+(?:\(\s*[-\d]+\)\s+)?"
    rb"\[(?P<cpu>\d+)\]\s+(?:(?P<flags>\S+)\s+)?(?P<timestamp>\d+(?:\.\d+)?):\s"
    rb"(?P<function>[^\s:]+):\s?(?P<message>.*)",
    re.DOTALL,
)
_LOST = re.compile(rb"CPU:\d+ \[LOST (?:(\d+) )?EVENTS\]\n")


class TraceLine(NamedTuple):
    """One printed message and who was running. `timestamp` is in seconds of the trace clock,
    by default since boot. `function` is "bpf_trace_printk" for bpf_printk. `message` may
    have line ends inside, none at its end."""

    task: str
    pid: int
    cpu: int
    flags: str
    timestamp: float
    function: str
    message: str


class TracePipe(EventSource[TraceLine]):
    """Reads trace_pipe: a message is given to one of those who read it, system-wide.

    Only messages of the thread `pid` are given if one is named; those of others are read
    and dropped. `path` is trace_pipe's where tracefs is not in its usual place; it is mounted
    there when nobody did yet. Where tracing is off, nothing is printed: an OsmiaWarning says so.

    What a program prints cannot pass for a message of somebody else: events are read one by one.

    Raises NotSupportedError when there is no tracefs and it cannot
    be mounted, BpfPermissionError when it is closed to this user.
    """

    def __init__(self, pid: int | None = None, *, path: str | os.PathLike[str] | None = None):
        self.pid = pid
        self.lost = 0
        place = Path(path) if path is not None else tracefs() / "trace_pipe"
        self._begun = b""
        self._fd = _open(place)
        super().__init__("trace pipe")
        if not _is_on(place.with_name("tracing_on")):
            warnings.warn(
                f"tracing is off ({place.with_name('tracing_on')} is 0, as after a kernel oops):"
                " nothing is printed until somebody writes 1 there",
                OsmiaWarning,
                stacklevel=2,
            )

    def fileno(self) -> int:
        """The descriptor of trace_pipe, readable when a message is there."""
        self._check_open()
        return self._fd

    def _refill(self) -> int:
        lines: list[TraceLine] = []
        wanted, taken = self.pid, 0
        while taken < _BATCH_SIZE and (event := self._read_event()):
            taken += len(event)
            line, lost = parse(event)
            self.lost += lost
            if line is not None and (wanted is None or line.pid == wanted):
                lines.append(line)
        events = iter(lines)
        self._batch = Batch(events, events)
        return taken

    def _read_event(self) -> bytes:
        """The text of one event; b"" when there is none.

        Its end is not to be seen in the text, into which a program may have written any lines.
        But the kernel stops at the event that fills what a read asks for, here a byte, and gives
        what is left of it, and no more, to the next read (kernel/trace/trace.c: tracing_read_pipe).
        """
        begun = b""
        try:
            begun = self._begun = self._begun or os.read(self._fd, 1)
            rest = os.read(self._fd, _EVENT_SIZE)
        except BlockingIOError:
            rest = b""
        self._begun = b""
        return begun + rest

    def _backlog(self) -> int:
        return _BACKLOG

    def _release(self) -> None:
        os.close(self._fd)


def parse(event: bytes) -> tuple[TraceLine | None, int]:
    """The message of an event, None where it is another's, and how many were lost before it.

    Lost ones that the kernel did not count are one.
    """
    lost = 0
    if match := _LOST.match(event):
        lost = int(match[1] or 1)
        event = event[match.end() :]
    head = _HEAD.fullmatch(event, _NAME_WIDTH)
    if head is None:
        return None, lost
    pid, cpu, flags, timestamp, function, message = head.groups(b"")
    line = TraceLine(
        event[:_NAME_WIDTH].lstrip(b" ").decode("utf-8", "replace"),
        int(pid),
        int(cpu),
        flags.decode("utf-8", "replace"),
        float(timestamp),
        function.decode("utf-8", "replace"),
        message.decode("utf-8", "replace").rstrip("\n"),
    )
    return line, lost


def _is_on(switch: Path) -> bool:
    """Whether a tracing_on has not 0; also where nobody may look."""
    try:
        return switch.read_bytes().strip() != b"0"
    except OSError:
        return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = BpfPermissionError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or errno.EIO, f"open {path}") from None
