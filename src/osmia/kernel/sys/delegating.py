"""A bpffs that delegates to a user namespace (since Linux 6.9), made for a process that is in one.

Two processes make it, since the kernel asks two things. The file system belongs to the user
namespace of the process that opens it, so a child goes there and calls fsopen; what it delegates
only a process with CAP_SYS_ADMIN in the initial one may say, so the open file comes back through a
socket, and fsconfig says it here. Then the child, which is in the mount namespace too, mounts it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from osmia.errors import BpfPermissionError, KernelError, NotSupportedError
from osmia.kernel.sys.privileges import Capability, permission_hint

# The same on all machines since they are newer than 5.2 (asm-generic/unistd.h).
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
# include/uapi/linux/mount.h, linux/sched.h, linux/fcntl.h
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC, _MOVE_MOUNT_F_EMPTY_PATH = 1, 1, 4
_SET_STRING, _CREATE = 1, 6
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x1000_0000
_AT_FDCWD = -100

#: Seconds that one process waits for the other.
_PATIENCE = 30
#: Bytes of a message between them, and of what the kernel says of a file system in the making.
_MESSAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def delegate(pid: int, directory: str | os.PathLike[str], options: Mapping[str, str]) -> None:
    """Mount a bpffs that delegates on a directory of the process `pid`, for its user namespace.

    `options`: "cmds", "maps", "progs", "attachs", each "any" or the kernel's names between colons
    ("map_create:prog_load"). The process must have left the initial user namespace, with a mount
    namespace of its own. NotSupportedError before Linux 6.9; BpfPermissionError without
    CAP_SYS_ADMIN in the initial user namespace; KernelError for what else the kernel refuses, with
    nothing mounted.
    """
    place, what = os.fspath(directory), f"mount a delegating bpffs for process {pid}"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_PATIENCE)
        theirs.settimeout(_PATIENCE)
        child = os.fork()
        if not child:
            _in_namespaces(theirs, ours, pid, place)
        theirs.close()
        try:
            _create(ours, options, what)
        finally:
            ours.close()
            os.waitpid(child, 0)


def _create(channel: socket.socket, options: Mapping[str, str], what: str) -> None:
    """This process's part: what is delegated."""
    said, descriptors, _flags, _address = socket.recv_fds(channel, _MESSAGE, 1)
    if not descriptors:
        raise _refusal(said, what)
    (bpffs,) = descriptors
    try:
        for name, value in options.items():
            option = f"delegate_{name}".encode()
            if _libc.syscall(_FSCONFIG, bpffs, _SET_STRING, option, value.encode(), 0):
                raise _not_set(bpffs, option.decode(), value, ctypes.get_errno())
        if _libc.syscall(_FSCONFIG, bpffs, _CREATE, None, None, 0):
            number = ctypes.get_errno()
            if number == errno.EPERM:
                hint = permission_hint((Capability.CAP_SYS_ADMIN,))
                raise BpfPermissionError(number, what, hint=hint)
            raise KernelError(number, what)
    finally:
        os.close(bpffs)
    channel.send(b"created")
    if (said := channel.recv(_MESSAGE)) != b"mounted":
        raise _refusal(said, what)


def _refusal(said: bytes, what: str) -> KernelError:
    """What the child met: an errno and what it was at."""
    number, _, step = said.decode("utf-8", "replace").partition(" ")
    return KernelError(int(number or errno.EPIPE), what, hint=step or "its helper ended early")


def _not_set(bpffs: int, option: str, value: str, number: int) -> KernelError | NotSupportedError:
    if number == errno.EPERM:
        hint = permission_hint((Capability.CAP_SYS_ADMIN,))
        return BpfPermissionError(number, f"delegate {option}={value}", hint=hint)
    said = b""
    with suppress(OSError):
        said = os.read(bpffs, _MESSAGE)
    if b"nknown parameter" in said:
        release = os.uname().release
        return NotSupportedError(f"this kernel ({release}) has no BPF tokens", since="6.9")
    hint = "there is something of it that this kernel does not know"
    return KernelError(number, f"delegate {option}={value}", hint=hint)


def _in_namespaces(
    channel: socket.socket, other: socket.socket, pid: int, directory: str
) -> NoReturn:
    """The child's part, in the namespaces of the process; it ends this process."""
    status = 1
    step = ""
    try:
        other.close()
        step = f"there is no process {pid}"
        there = os.pidfd_open(pid)
        step = "it is in this process's own user namespace, or may not be entered"
        _checked(_libc.setns(there, _CLONE_NEWUSER | _CLONE_NEWNS))
        # Where the namespace has a root it owns the bpffs, else nobody could pin there.
        with suppress(OSError):
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        step = "fsopen"
        bpffs = _checked(_libc.syscall(_FSOPEN, b"bpf", _FSOPEN_CLOEXEC))
        socket.send_fds(channel, [b"opened"], [bpffs])
        if channel.recv(_MESSAGE) == b"created":
            step = "fsmount"
            mount = _libc.syscall(_FSMOUNT, bpffs, _FSMOUNT_CLOEXEC, _NOSUID_NODEV_NOEXEC)
            _checked(mount)
            step = f"mount on {directory}"
            target = os.fsencode(directory)
            _checked(
                _libc.syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, target, _MOVE_MOUNT_F_EMPTY_PATH)
            )
            channel.send(b"mounted")
            status = 0
    except OSError as error:
        with suppress(OSError):
            channel.send(f"{error.errno or errno.EIO} {step}".encode())
    finally:
        os._exit(status)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result
