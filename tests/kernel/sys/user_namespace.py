"""Run a command without privileges, in namespaces of its own, beside a bpffs that delegates.

    python user_namespace.py DESCRIPTOR DIRECTORY COMMAND…

The process makes itself a user and a mount namespace, opens a bpffs in them and sends it
through the socket DESCRIPTOR to a privileged process, which says what is delegated and creates
it; then it mounts the bpffs on DIRECTORY and becomes COMMAND.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000  # linux/sched.h
MOVE_MOUNT, FSOPEN, FSMOUNT = 429, 430, 432  # the same on all machines
AT_FDCWD, MOVE_MOUNT_F_EMPTY_PATH = -100, 4

_libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def enter_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    checked(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def mount(channel: socket.socket, directory: str) -> None:
    bpffs = checked(_libc.syscall(FSOPEN, b"bpf", 0), "fsopen")
    socket.send_fds(channel, [b"bpffs"], [bpffs])
    assert channel.recv(16) == b"created", "the bpffs was not created"
    mounted = checked(_libc.syscall(FSMOUNT, bpffs, 0, 0), "fsmount")
    target = os.fsencode(directory)
    moved = _libc.syscall(MOVE_MOUNT, mounted, b"", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)
    checked(moved, f"mount on {directory}")
    os.close(mounted)
    os.close(bpffs)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        enter_namespaces()
        mount(channel, sys.argv[2])
    os.execv(sys.argv[3], sys.argv[3:])
