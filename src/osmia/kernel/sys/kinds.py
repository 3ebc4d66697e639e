"""What a descriptor stands for: a map, a program, a link. The kernel gives one of any kind for a
pin, and fills in the information of that kind, whatever was expected."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from osmia.errors import KernelError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor

_ANONYMOUS = "anon_inode:"
_KINDS = {
    "bpf-map": "map",
    "bpf-prog": "program",
    "bpf_link": "link",
    "bpf-link": "link",
}


def kind_of(fd: int) -> str:
    """ "map", "program", "link", or what else /proc calls it; "" where there is no /proc."""
    try:
        shown = str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return ""
    name = shown.removeprefix(_ANONYMOUS).strip("[]")
    return _KINDS.get(name, name)


def require_kind(fd: FileDescriptor, kind: str) -> None:
    """KernelError (EINVAL) when the descriptor is something else's; it is closed then."""
    found = kind_of(fd.fileno())
    if found and found != kind:
        fd.close()
        hint = f"it is a {found}, not a {kind}"
        raise KernelError(errno.EINVAL, f"open {fd.what} as a {kind}", hint=hint)


def open_pin(path: str | os.PathLike[str], kind: str, *, flags: int = 0) -> FileDescriptor:
    """Open what is pinned at `path` (since 4.4). KernelError when nothing, or no `kind`, is."""
    name = os.fspath(path)
    fd = FileDescriptor(syscall.obj_get(name, flags=flags), f"pin {name!r}")
    require_kind(fd, kind)
    return fd
