"""BTF objects in the kernel: load type information, and read back what others loaded."""

from __future__ import annotations

import ctypes
import errno

from osmia.btf import BTF, kernel_btf, module_btf
from osmia.errors import KernelError, OsmiaError
from osmia.kernel.sys import attributes, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple

#: Bytes of a BTF object's name, its NUL included (the module's name, or "vmlinux").
_NAME_ROOM = 64
_LOG_SIZE = 1 << 20


class BtfLoadError(KernelError):
    """The kernel refused the BTF; `log` is what it said about it."""

    def __init__(self, error: int, log: str) -> None:
        self.log = log
        super().__init__(error, "load BTF", hint=log.strip().rpartition("\n")[2])


class BtfObjectInfo(NamedTuple):
    """A BTF object: `size` in bytes; `name` of kernel BTF is "vmlinux" or a module's."""

    id: int
    size: int
    name: str
    is_kernel: bool


def load_btf(btf: BTF | bytes, *, token_fd: int = 0) -> FileDescriptor:
    """Load BTF into the kernel (4.18); the descriptor keeps it there.

    BtfLoadError with the kernel's log when it refuses, BpfPermissionError without
    CAP_BPF.
    """
    data = btf if isinstance(btf, bytes) else btf.to_bytes()
    result, _ = syscall.btf_load(data, len(data), token_fd=token_fd)
    if result >= 0:
        return FileDescriptor(result, "BTF object")
    if result in (-errno.EPERM, -errno.EACCES):
        raise syscall.error_of(syscall.Command.BTF_LOAD, -result, "load BTF")
    raise BtfLoadError(-result, _load_log(data, token_fd))


def _load_log(data: bytes, token_fd: int) -> str:
    """Load again what was refused, for the log."""
    log = ctypes.create_string_buffer(_LOG_SIZE)
    result, _ = syscall.btf_load(
        data, len(data), token_fd=token_fd, log_level=1, log=log, log_size=_LOG_SIZE
    )
    if result >= 0:
        FileDescriptor(result).close()
    return log.value.decode("utf-8", "replace")


def btf_from_id(identifier: int, *, token_fd: int = 0) -> BTF:
    """The types of a BTF object in the kernel; KernelError ENOENT when there is none.

    The kernel's own is the process's shared copy; a module's stands on it. A BPF token
    (`token_fd`, since 6.16) stands in for CAP_SYS_ADMIN.
    """
    opened = syscall.btf_get_fd_by_id(identifier, token_fd=token_fd)
    with FileDescriptor(opened, f"BTF {identifier}") as fd:
        info = btf_info(fd.fileno())
        if info.is_kernel:
            return kernel_btf() if info.name == "vmlinux" else module_btf(info.name)
        return BTF(_read_data(fd.fileno(), info.size), name=f"BTF {identifier}")


def btf_info(fd: int) -> BtfObjectInfo:
    """What the kernel tells about the BTF object behind a descriptor."""
    name = ctypes.create_string_buffer(_NAME_ROOM)
    raw = attributes.BtfInfo(name=ctypes.addressof(name), name_len=_NAME_ROOM)
    syscall.obj_get_info(fd, raw, what="read BTF information")
    return BtfObjectInfo(
        id=raw.id,
        size=raw.btf_size,
        name=name.value.decode("utf-8", "replace"),
        is_kernel=bool(raw.kernel_btf),
    )


def _read_data(fd: int, size: int) -> bytes:
    data = ctypes.create_string_buffer(size)
    raw = attributes.BtfInfo(btf=ctypes.addressof(data), btf_size=size)
    syscall.obj_get_info(fd, raw, what="read BTF")
    return data.raw


def try_btf_from_id(identifier: int) -> BTF | None:
    """`btf_from_id`, or None where this process may not read it or it is gone."""
    try:
        return btf_from_id(identifier)
    except OsmiaError:
        return None
