"""Pins: names in a bpffs that keep maps, programs and links alive."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from osmia.errors import BpfPermissionError, KernelError, NotSupportedError, OsmiaError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.mounts import mounted
from osmia.kernel.sys.privileges import Capability, permission_hint
from osmia.paths import Path

#: Where a bpffs is mounted by convention.
BPFFS = "/sys/fs/bpf"

#: Why the kernel refuses a name with EPERM.
NO_DOTS = "names in a bpffs have no dots"

#: NAME_MAX: bytes in a file name.
_NAME_MAX = 255

#: Mount flags of every bpffs: nothing in it is a program to execute or a device.
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8

_libc = ctypes.CDLL(None, use_errno=True)


class PinNameError(OsmiaError, ValueError):
    """A name that cannot be one file's name in a pin directory."""


def safe_name(name: str) -> str:
    """`name`, if it is the name of one file: no "/", no "." or "..", no NUL, ≤ 255 bytes.

    Names from objects go through this before they become part of a path. The kernel
    itself takes no "." anywhere in a bpffs name; it is left to it to refuse that.
    """
    problem = ""
    if not name or name in (".", ".."):
        problem = "is no file name"
    elif "/" in name or "\0" in name:
        problem = "contains a slash or NUL"
    elif len(os.fsencode(name)) > _NAME_MAX:
        problem = f"is longer than {_NAME_MAX} bytes"
    if problem:
        raise PinNameError(f"the pin name {name[:80]!r} {problem}")
    return name


def bpffs_mounts() -> list[Path]:
    """The directories where a bpffs is mounted, in the order of mounting; each once, though
    another one may be mounted on top."""
    return list(dict.fromkeys(path for path, _options in bpffs_options()))


def bpffs_options() -> Iterator[tuple[Path, str]]:
    """Those directories, each with the options of its file system ("rw,mode=700")."""
    return mounted("bpf")


def find_bpffs(*, mount: bool = False) -> Path:
    """A mounted bpffs: /sys/fs/bpf if it is one, else the first that is found.

    Where there is none: mounted at /sys/fs/bpf when `mount` is set, else
    NotSupportedError that says how to mount it.
    """
    mounts = bpffs_mounts()
    usual = Path(BPFFS)
    if usual in mounts:
        return usual
    if mounts:
        return mounts[0]
    if not mount:
        raise NotSupportedError(f"no bpffs is mounted: mount -t bpf bpf {BPFFS}")
    mount_bpffs(usual)
    return usual


def mount_bpffs(path: str | os.PathLike[str]) -> None:
    """Mount a bpffs (mode 0700) on a directory, which must exist."""
    target = os.fsencode(path)
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    if _libc.mount(b"bpf", target, b"bpf", ctypes.c_ulong(flags), b"mode=0700") == 0:
        return
    error, what = ctypes.get_errno(), f"mount a bpffs on {os.fsdecode(target)!r}"
    if error in (errno.EPERM, errno.EACCES):
        raise BpfPermissionError(error, what, hint=permission_hint((Capability.CAP_SYS_ADMIN,)))
    raise KernelError(error, what)


def pin(fd: int, path: str | os.PathLike[str], *, what: str = "object") -> None:
    """Pin what a descriptor stands for; since 4.4.

    Missing directories are made, mode 0700. KernelError EEXIST when the path exists, and
    when it is not in a bpffs. Directories made here are removed again on failure.
    """
    target = Path(path)
    made = list(make_directories(target.parent))
    try:
        syscall.obj_pin(fd, os.fspath(target), what=f"pin {what} to '{target}'")
    except KernelError as error:
        for directory in reversed(made):
            with suppress(OSError):  # somebody else pinned there meanwhile
                directory.rmdir()
        if error.errno == errno.EPERM and "." in target.name and is_on_bpffs(target.parent):
            error.hint = NO_DOTS
            raise
        if not is_on_bpffs(target.parent):
            hint = f"'{existing(target.parent)}' is not in a bpffs"
            if not bpffs_mounts():
                hint += f"; none is mounted: mount -t bpf bpf {BPFFS}"
            raise KernelError(error.errno or 0, error.what, hint=hint) from None
        raise


def remove_empty(directory: Path) -> None:
    """Remove a directory, unless somebody else put something in it meanwhile."""
    with suppress(OSError):
        directory.rmdir()


def unpin(path: str | os.PathLike[str]) -> None:
    """Remove a pin; the object lives on while somebody else holds it.

    KernelError ENOENT when there is nothing; refuses (EPERM) what is in no bpffs.
    """
    what = f"remove pin '{os.fspath(path)}'"
    target = Path(path)
    if target.parent.exists() and not is_on_bpffs(target.parent):
        raise KernelError(errno.EPERM, what, hint="it is not in a bpffs")
    try:
        target.unlink()
    except OSError as error:
        raise KernelError(error.errno or 0, what) from None


def is_on_bpffs(path: str | os.PathLike[str]) -> bool:
    """Whether `path` (or, where it does not exist, its nearest directory) is in a bpffs."""
    device = existing(Path(path)).stat().st_dev
    for mount in bpffs_mounts():
        with suppress(OSError):  # one that this user cannot reach
            if mount.stat().st_dev == device:
                return True
    return False


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(candidate for candidate in (path, *path.absolute().parents) if candidate.exists())


def make_directories(directory: Path) -> Iterator[Path]:
    """Make the missing directories above a pin, mode 0700; gives each that was made.

    Outside of a bpffs none are made: the kernel refuses the pin.
    """
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    if missing and not is_on_bpffs(directory):
        return
    for parent in reversed(missing):
        try:
            parent.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise KernelError(error.errno or 0, f"make the pin directory '{parent}'") from None
        yield parent
