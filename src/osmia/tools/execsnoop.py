"""execsnoop: which programs are executed, with their arguments."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from typing import Annotated, Any

from osmia.named_tuples import NamedTuple
from osmia.tools.running import Stream, streaming

LINE = "{pid:>7} {parent:>7} {uid:>6} {process:<15} {command}"
NO_USER = 2**32 - 1  # as for chown(2)


class Executed(NamedTuple):
    """A program that took a process's place; `command` ends with "…" where 1,024 bytes are full."""

    pid: int
    parent: int
    uid: int
    process: str
    command: str


def execsnoop(
    *,
    parent: Annotated[int, "Of children of this process."] = 0,
    uid: Annotated[int | None, "Of this user, by number."] = None,
) -> AbstractContextManager[Stream[Executed]]:
    """Show the programs that are executed, with their arguments."""
    settings = {"only_parent": parent, "only_uid": NO_USER if uid is None else uid}
    return streaming("execsnoop", LINE, _row, settings)


def _row(event: Any) -> Executed:
    whole = event.size <= len(event.arguments)
    words = event.arguments[: event.size].split(b"\0")[: -1 if whole else None]
    command = shlex.join(word.decode(errors="replace") for word in words)
    return Executed(
        event.pid, event.parent, event.uid, event.process, command + ("" if whole else " …")
    )
