"""A terminal of a width: what a command shows on it, as people see it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import warnings
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyte

_LINES = 400


def screen(
    command: Sequence[str | Path], columns: int, environment: dict[str, str] | None = None
) -> list[str]:
    """The lines of a terminal after a command ended, without blanks at their ends."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
        given = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        given |= {"TERM": "xterm-256color", **(environment or {})}
        process = Popen(list(map(str, command)), stdin=theirs, stdout=theirs, env=given)
    finally:
        os.close(theirs)
    written = bytearray()
    try:
        while data := _read(ours):
            written += data
    finally:
        os.close(ours)
        status = process.wait()
    assert status == 0, written.decode("utf-8", "replace")
    return shown(bytes(written), columns)


def shown(written: bytes, columns: int) -> list[str]:
    """What a terminal makes of bytes."""
    terminal = pyte.Screen(columns, _LINES)
    pyte.ByteStream(terminal).feed(written)
    lines = [line.rstrip() for line in terminal.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # EIO: everybody at the other end is gone
        return b""
