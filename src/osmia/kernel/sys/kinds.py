"""What a descriptor stands for: a map, a program, a link. The kernel gives one of any kind for a
pin, and fills in the information of that kind, whatever was expected."""

from __future__ import annotations

import errno
import os

from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.paths import Path

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
    try:
        fd = FileDescriptor(syscall.obj_get(name, flags=flags), f"pin {name!r}")
    except BpfPermissionError as error:
        # The kernel says EACCES for whatever is no pin, as for a pin that is somebody else's.
        found = _no_pin(Path(os.fsdecode(name)))
        if error.errno != errno.EACCES or not found:
            raise
        what, hint = f"open {os.fsdecode(name)!r} as a {kind}", f"it is {found}, no pin"
        raise KernelError(errno.EINVAL, what, hint=hint) from None
    require_kind(fd, kind)
    return fd


def _no_pin(path: Path) -> str:
    """What is at `path` where that cannot be a pin; "" where it can, or is not to be seen."""
    try:
        if path.is_dir():
            return "a directory"
        return "" if not path.exists() or pins.is_on_bpffs(path) else "a file outside of any bpffs"
    except OSError:
        return ""
