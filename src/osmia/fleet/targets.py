"""Patterns → what is on this host: interfaces, control groups, processes."""

from __future__ import annotations

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
