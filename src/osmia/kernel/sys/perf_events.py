"""perf_event_open(2) and the ioctls of perf events: what tracing programs attach to."""

from __future__ import annotations

import ctypes
import errno
import fcntl
from ctypes import CDLL, byref, c_long, c_void_p, sizeof

from osmia.enums import IntEnum, IntFlag
from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import attributes as layout
from osmia.kernel.sys.privileges import Capability, effective_capabilities, permission_hint
from osmia.kernel.sys.syscall import numbers

_syscall = CDLL(None, use_errno=True).syscall
_syscall.restype = c_long
_syscall.argtypes = (c_long, c_void_p, c_long, c_long, c_long, c_long)


class PerfIoctl(IntEnum):
    """PERF_EVENT_IOC_*, include/uapi/linux/perf_event.h, with the generic _IOC encoding
    that x86-64, arm64 and riscv64 use."""

    ENABLE = 0x2400
    DISABLE = 0x2401
    SET_OUTPUT = 0x2405
    SET_BPF = 0x40042408  # since 4.1
    QUERY_BPF = 0xC008240A  # since 4.16


class PerfFlag(IntFlag):
    """The bit fields of perf_event_attr that attachments use."""

    DISABLED = 1 << 0
    INHERIT = 1 << 1
    EXCLUDE_KERNEL = 1 << 5
    FREQUENCY = 1 << 10
    WATERMARK = 1 << 14


#: perf_event_open's flag PERF_FLAG_FD_CLOEXEC, since 3.14.
PERF_FLAG_FD_CLOEXEC = 8


def perf_event_open(
    attribute: layout.PerfEventAttr,
    *,
    pid: int = -1,
    cpu: int = -1,
    group_fd: int = -1,
    what: str = "open perf event",
) -> int:
    """perf_event_open(2): a descriptor. Sets the attribute's size itself."""
    attribute.size = sizeof(attribute)
    result: int = _syscall(numbers()[1], byref(attribute), pid, cpu, group_fd, PERF_FLAG_FD_CLOEXEC)
    if result >= 0:
        return result
    raise _error_of(ctypes.get_errno(), what)


def perf_event_ioctl(
    fd: int,
    request: PerfIoctl,
    argument: int | bytearray = 0,
    *,
    what: str = "control perf event",
) -> None:
    """One ioctl(2) of a perf event: ENABLE, DISABLE, SET_BPF (a program's descriptor), …"""
    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        raise _error_of(error.errno or 0, what) from None


def _error_of(error: int, what: str) -> KernelError:
    if error in (errno.EPERM, errno.EACCES):
        needed = Capability.CAP_PERFMON
        if error == errno.EACCES and needed in effective_capabilities():
            needed = Capability.CAP_SYS_ADMIN  # uprobes, since 6.16: perf_uprobe_event_init
        return BpfPermissionError(error, what, hint=permission_hint((needed,)))
    return KernelError(error, what)
