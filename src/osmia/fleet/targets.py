"""Patterns → what is on this host: interfaces, control groups, processes."""

from __future__ import annotations

import os
import socket
from fnmatch import fnmatchcase
from glob import glob

from osmia.fleet.wishes import Attachment

_CGROUPS = "/sys/fs/cgroup"


def matching(attachment: Attachment) -> list[str]:
    """What an attachment means here, in order; "" stands for what the section says."""
    if attachment.kind == "interface":
        names = sorted(name for _, name in socket.if_nameindex())
        return [name for name in names if fnmatchcase(name, attachment.pattern)]
    if attachment.kind == "cgroup":
        pattern = attachment.pattern
        absolute = pattern if pattern.startswith("/") else f"{_CGROUPS}/{pattern}"
        return sorted(path.rstrip("/") for path in glob(f"{absolute.rstrip('/')}/"))  # noqa: PTH207 - an absolute pattern
    return [attachment.pattern]


def identity_of(attachment: Attachment, target: str) -> int:
    """A number that what has the name `target` now does not share with what had it before; 0
    where there is none: names of interfaces and control groups come back within moments."""
    try:
        if attachment.kind == "interface":
            return socket.if_nametoindex(target)
        if attachment.kind == "cgroup":
            return os.stat(target).st_ino  # noqa: PTH116
    except OSError:  # it went this moment
        return 0
    return 0
