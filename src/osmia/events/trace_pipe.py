"""`TracePipe`: what programs print with bpf_printk, read from tracefs's trace_pipe."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from osmia.errors import BpfPermissionError, KernelError
from osmia.events.source import Batch, EventSource
from osmia.tracefs import tracefs

# A read gives whole events, as many as fit the kernel's own page-sized buffer.
_READ_SIZE = 64 * 1024

#: How much `read` takes at most, in bytes, while programs go on printing.
_BACKLOG = 1024 * 1024

# "  some task-1234  (   1200) [001] d..2.  5678.901234: bpf_trace_printk: the message";
# the thread group in parentheses is there with the trace option record-tgid.
_LINE = re.compile(
    r"\s*(?P<task>.+)-(?P<pid>\d+)\s+(?:\(\s*[-\d]+\)\s+)?"
    r"\[(?P<cpu>\d+)\]\s+(?P<flags>\S+)\s+(?P<timestamp>\d+\.\d+):\s"
    r"(?P<function>[^\s:]+):\s?(?P<message>.*)",
    re.DOTALL,
)
_LOST = re.compile(r"CPU:\d+ \[LOST (\d+) EVENTS\]")


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
    there when nobody did yet. Raises NotSupportedError when there is no tracefs and it cannot
    be mounted, BpfPermissionError when it is closed to this user.
    """

    def __init__(self, pid: int | None = None, *, path: str | os.PathLike[str] | None = None):
        self.pid = pid
        self.lost = 0
        self._fd = _open(Path(path) if path is not None else tracefs() / "trace_pipe")
        super().__init__("trace pipe")

    def fileno(self) -> int:
        """The descriptor of trace_pipe, readable when a message is there."""
        self._check_open()
        return self._fd

    def _refill(self) -> int:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return 0
        lines, lost = parse(data.decode("utf-8", "replace"))
        self.lost += lost
        wanted = iter([line for line in lines if self.pid is None or line.pid == self.pid])
        self._batch = Batch(wanted, wanted)
        return len(data)

    def _backlog(self) -> int:
        return _BACKLOG

    def _release(self) -> None:
        os.close(self._fd)


def parse(text: str) -> tuple[list[TraceLine], int]:
    """The messages in what was read, and how many the kernel says were lost before them."""
    lines: list[TraceLine] = []
    lost = 0
    for line in text.removesuffix("\n").split("\n"):
        if match := _LINE.fullmatch(line):
            lines.append(
                TraceLine(
                    task=match["task"],
                    pid=int(match["pid"]),
                    cpu=int(match["cpu"]),
                    flags=match["flags"],
                    timestamp=float(match["timestamp"]),
                    function=match["function"],
                    message=match["message"],
                )
            )
        elif match := _LOST.match(line):
            lost += int(match[1])
        elif lines:
            # The message itself had a line end. Reads give whole events, so the line that
            # this one continues is in the same text.
            lines[-1] = lines[-1]._replace(message=f"{lines[-1].message}\n{line}")
    return [line._replace(message=line.message.rstrip("\n")) for line in lines], lost


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = BpfPermissionError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or errno.EIO, f"open {path}") from None
