"""The vdso: code of the kernel's that every process has mapped, and that is no file."""

from __future__ import annotations

import os

from osmia.symbols.binaries import Binary
from osmia.symbols.memory_maps import Mapping

_MOST_BYTES = 1 << 20


def vdso_binary(pid: int, mapping: Mapping) -> Binary | None:
    """The vdso of a process, copied out of its memory; None where that may not be read."""
    size = mapping.end - mapping.start
    if not 0 < size <= _MOST_BYTES:
        return None
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
            image = os.pread(memory.fileno(), size, mapping.start)
        fd = os.memfd_create("vdso", os.MFD_CLOEXEC)
    except OSError:
        return None
    os.write(fd, image)
    return Binary(fd, "[vdso]")
