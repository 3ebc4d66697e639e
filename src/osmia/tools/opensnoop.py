"""opensnoop: which files are opened, by whom, and what was refused."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated, Any

from osmia.named_tuples import NamedTuple
from osmia.summaries.names import errno_name
from osmia.tools.running import Stream, streaming

LINE = "{pid:>7} {process:<15} {fd:>5} {error:<8} {path}"
OPTIONAL = ("enter_open", "exit_open", "enter_openat2", "exit_openat2")


class Opened(NamedTuple):
    """An answered open, openat or openat2: a descriptor, or -1 and an error's name."""

    pid: int
    process: str
    fd: int
    error: str
    path: str


def opensnoop(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    failed: Annotated[bool, "Only what was refused."] = False,
) -> AbstractContextManager[Stream[Opened]]:
    """Show the files that are opened, by whom, and what was refused."""
    settings = {"only_pid": pid, "only_failed": failed}
    return streaming("opensnoop", LINE, _row, settings, optional=OPTIONAL)


def _row(event: Any) -> Opened:
    fd, error = event.result, ""
    if fd < 0:
        fd, error = -1, errno_name(-fd) or str(-fd)
    return Opened(event.pid, event.process, fd, error, event.path)
