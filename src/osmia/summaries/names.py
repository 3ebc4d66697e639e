"""Names for numbers: system calls, signals, errors, interfaces, devices, cgroups, users.

`name_kind` tells from a field's name and type which of them its numbers are. Names are those of
this process's namespaces: an interface or a user of another one has none, or another's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from osmia.arguments import names_wrong_arguments
from osmia.summaries.syscalls import syscalls
from osmia.values import Codec, EnumCodec, IntCodec, PointerCodec

Naming = Callable[[int], str | None]

_MOST_ERRNO = 4095
#: include/linux/kdev_t.h: a device's number within the kernel (user space packs it otherwise).
_MINOR_BITS = 20
#: enum fid_type, include/linux/exportfs.h: a node of kernfs, by its 64-bit number.
_FILEID_KERNFS = 0xFE
_CGROUP_ID_SIZE = 8

_SIGNALS = {"sig", "signal", "signo", "signum", "si_signo", "exit_signal"}
_SYSCALLS = {"syscall", "syscall_nr", "syscall_id", "syscallid", "sysno", "sys_nr"}
_ERRORS = {"errno", "err", "error"}
_RESULTS = {"ret", "retval", "rc", "return_value"}
_INTERFACES = {"ifindex", "iface", "iif", "oif", "if_index"}
_DEVICES = {"dev", "rdev", "s_dev", "bdev"}
_CGROUPS = {"cgroup", "cgroup_id", "cgroupid", "cgid", "cgrp_id"}
_USERS = {"uid", "euid", "suid", "fsuid", "loginuid"}
_GROUPS = {"gid", "egid", "sgid", "fsgid"}


@names_wrong_arguments
def syscall_name(number: int) -> str | None:
    """A system call of this machine: "openat"."""
    return syscalls().get(number)


@lru_cache(maxsize=128)
@names_wrong_arguments
def signal_name(number: int) -> str | None:
    """ "SIGKILL" for 9, "SIGRTMIN+1" for 35."""
    import signal

    first, last = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    if first < number < last:
        return f"SIGRTMIN+{number - first}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


@names_wrong_arguments
def errno_name(number: int) -> str | None:
    """ "ENOENT" for 2 and "-ENOENT" for -2, as kernel functions return it."""
    import errno

    name = errno.errorcode.get(abs(number))
    return f"-{name}" if name and number < 0 else name


@names_wrong_arguments
def interface_name(index: int) -> str | None:
    """A network interface of this process's network namespace: "eth0"."""
    import socket

    try:
        return socket.if_indextoname(index) if index > 0 else None
    except (OSError, OverflowError):
        return None


@names_wrong_arguments
def device_name(number: int) -> str | None:
    """A block device by the kernel's dev_t, 20 bits of which are the minor number: "vda1"."""
    major, minor = number >> _MINOR_BITS, number & (1 << _MINOR_BITS) - 1
    try:
        return os.path.basename(os.readlink(f"/sys/dev/block/{major}:{minor}"))  # noqa: PTH115, PTH119
    except OSError:
        return None


@lru_cache(maxsize=4096)
@names_wrong_arguments
def user_name(number: int) -> str | None:
    """ "root" for 0."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return None


@lru_cache(maxsize=4096)
@names_wrong_arguments
def group_name(number: int) -> str | None:
    """ "root" for 0."""
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return None


@lru_cache(maxsize=4096)
@names_wrong_arguments
def cgroup_path(identifier: int) -> str | None:
    """A control group of v2 by what bpf_get_current_cgroup_id gives: "/system.slice/cron.service".

    The path is from where cgroup v2 is mounted. Without CAP_DAC_READ_SEARCH there is none.
    """
    from osmia.kernel.sys.mounts import mounted

    if not 0 < identifier < 1 << 64:
        return None
    for mount, _ in mounted("cgroup2"):
        path = _path_by_id(str(mount), identifier)
        if path is not None and path.startswith(str(mount)):  # else it is out of sight
            return path.removeprefix(str(mount)) or "/"
    return None


@lru_cache(maxsize=4096)
def name_kind(field: str, codec: Codec) -> Naming | None:
    """What the numbers of a field stand for, as its name or type says; None: just numbers."""
    if not isinstance(codec, IntCodec) or isinstance(codec, EnumCodec | PointerCodec):
        return None
    name, type_name = field.rpartition(".")[2].lower(), codec.type_name
    if name in _SYSCALLS:
        return syscall_name
    if name in _SIGNALS:
        return signal_name
    if name in _ERRORS or name.endswith("_errno"):
        return errno_name
    if name in _RESULTS:
        return _result_name if codec.signed else None
    if name in _INTERFACES or name.endswith("_ifindex"):
        return interface_name
    if type_name == "dev_t" or name in _DEVICES:
        return device_name
    if name in _CGROUPS and codec.size == _CGROUP_ID_SIZE:
        return cgroup_path
    if type_name == "uid_t" or name in _USERS or name.endswith("_uid"):
        return user_name
    if type_name == "gid_t" or name in _GROUPS or name.endswith("_gid"):
        return group_name
    return None


@names_wrong_arguments
def name_of(field: str, codec: Codec | None, value: Any) -> str | None:
    """The name that a field's value has: "SIGKILL" for 9 in `sig`; None for one without."""
    if type(value) is not int or codec is None:
        return None
    naming = name_kind(field, codec)
    return None if naming is None else naming(value)


def _result_name(number: int) -> str | None:
    return errno_name(number) if -_MOST_ERRNO <= number < 0 else None


def _path_by_id(mount: str, identifier: int) -> str | None:
    """The directory below `mount` with this file handle (open_by_handle_at(2))."""
    import ctypes
    import struct

    handle = struct.pack("=IiQ", _CGROUP_ID_SIZE, _FILEID_KERNFS, identifier)
    open_by_handle_at = ctypes.CDLL(None, use_errno=True).open_by_handle_at
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fd = open_by_handle_at(root, handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(root)
    if fd < 0:
        return None
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
    finally:
        os.close(fd)
