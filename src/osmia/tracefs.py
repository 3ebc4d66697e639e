"""The trace file system: where it is, and the identifiers of tracepoints in it."""

from __future__ import annotations

import ctypes
import os
from functools import cache

from osmia.errors import NotSupportedError
from osmia.paths import Path

#: Where it usually is; the second since 4.1 only as an automatic mount.
PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8


@cache
def tracefs() -> Path:
    """The directory of the trace file system, mounted at the usual place if it is not yet.

    NotSupportedError when it is not there and cannot be mounted.
    """
    found = _mounted()
    if found is None:
        _mount(PLACES[0])
        found = _mounted()
    if found is None:
        raise NotSupportedError(f"tracefs is not mounted: mount -t tracefs tracefs {PLACES[0]}")
    return found


def tracepoint_id(category: str, name: str) -> int:
    """The number that perf_event_open wants. NotSupportedError when there is no such tracepoint."""
    path = tracefs() / "events" / category / name / "id"
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise NotSupportedError(f"this kernel has no tracepoint {category}:{name}") from None


def _mounted() -> Path | None:
    for place in map(Path, PLACES):
        try:
            if (place / "events").is_dir():
                return place
        except PermissionError:
            return place  # opening what is there says so
    return None


def _mount(place: str) -> None:
    """Try; whether it worked is seen by looking."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    libc.mount(b"tracefs", os.fsencode(place), b"tracefs", flags, None)
