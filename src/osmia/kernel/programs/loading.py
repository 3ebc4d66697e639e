"""Loading a program: try, and when the kernel refuses, ask for the log and explain."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from osmia.errors import BpfPermissionError, KernelError, NotSupportedError, OsmiaError
from osmia.kernel.sys import privileges, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine
from osmia.object.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from mmap import mmap

#: bytes of log to start with, and the kernel's limit (UINT_MAX >> 2).
_FIRST_LOG_SIZE = 64 << 10
_LARGEST_LOG_SIZE = 0xFFFFFFFF >> 2
_LOG_GROWTH = 16

#: struct bpf_func_info and struct bpf_line_info, bytes a record.
FUNC_INFO_SIZE = 8
LINE_INFO_SIZE = 16

#: What the verifier's log says of a program that was refused for what it is, not for its code.
_NOTHING_VERIFIED = "processed 0 insns"

_MAX_INSTRUCTIONS = 1_000_000


def no_lines() -> Sequence[SourceLine]:
    """The source lines of a program that has none."""
    return ()


class ProgramImage(NamedTuple):
    """A program as BPF_PROG_LOAD takes it: every relocation is already a number in `code`.

    `attach_fd` is the descriptor of the BTF object (0: vmlinux) that `attach_btf_id` counts
    in, or of the program to replace or trace. `fd_array` holds the descriptors that the
    code refers to by index. `source_lines` is called when an error wants to show a line.
    """

    type: ProgramType | int
    code: bytes
    license: str = ""
    name: str = ""
    expected_attach_type: AttachType | int | None = None
    flags: int = 0
    kernel_version: int = 0
    attach_btf_id: int = 0
    attach_fd: int = 0
    btf_fd: int = 0
    func_info: bytes = b""
    func_info_size: int = FUNC_INFO_SIZE
    line_info: bytes = b""
    line_info_size: int = LINE_INFO_SIZE
    fd_array: Sequence[int] = ()
    ifindex: int = 0
    token_fd: int = 0
    source_lines: Callable[[], Sequence[SourceLine]] = no_lines


def load(image: ProgramImage, log_level: int = 0) -> tuple[FileDescriptor, str]:
    """Load the program; its descriptor and the verifier's log.

    With `log_level` 0 the log is empty, and asked for only when the kernel refuses. Bits:
    1 the instructions along the last path, 2 all paths, 4 statistics.

    Raises VerifierError when there is a log of what went wrong, NotSupportedError for
    program and attach types that this kernel lacks, else KernelError.
    """
    what = f"program {image.name!r}"
    if not log_level:
        result, _needed = _attempt(image)
        if result >= 0:
            return FileDescriptor(result, what), ""
    result, log = _load_with_log(image, log_level or 1)
    if result >= 0:
        return FileDescriptor(result, what), log
    if log.strip():
        from osmia.kernel.programs.verifier_log import verifier_error

        if _NOTHING_VERIFIED in log and (unsupported := _unsupported(image)) is not None:
            raise unsupported
        raise verifier_error(-result, image.name, log, image.source_lines())
    raise _refusal(image, -result)


def _load_with_log(image: ProgramImage, log_level: int) -> tuple[int, str]:
    """Load with a log that grows until it holds everything that the verifier writes."""
    size = _FIRST_LOG_SIZE
    log = ""
    while True:
        buffer = ctypes.create_string_buffer(size)
        result, needed = _attempt(image, log_level, buffer)
        if result == -errno.EINVAL and log and not buffer.value:
            return -errno.ENOSPC, log  # kernels before 5.2 take 16 MiB at most
        log = buffer.value.decode("utf-8", "replace")
        if result != -errno.ENOSPC or size == _LARGEST_LOG_SIZE:
            return result, log
        size = min(max(needed, size + 1) if needed else size * _LOG_GROWTH, _LARGEST_LOG_SIZE)


def verdict(image: ProgramImage, log_level: int) -> tuple[int, mmap]:
    """What the verifier says of a program, which is not kept: 0 or the errno of the refusal, and
    the log, which fills the front of the mapping up to a NUL.

    The kernel writes into a mapping of as much memory as a log may have, of which pages come into
    being as they are written, so that the program is verified once however long the log becomes.
    Where memory is short, the log is cut: since 6.4 to its end, before to its beginning.

    Raises what `load` raises for a program that is refused without a log.
    """
    from osmia.kernel.programs.log_memory import log_memory

    log = log_memory()
    result, _ = _attempt(image, log_level, memoryview(log))
    if result == -errno.EINVAL and not log[0]:  # kernels before 5.2 take 16 MiB at most
        log = log_memory(_LARGEST_LOG_SIZE >> 6)
        result, _ = _attempt(image, log_level, memoryview(log))
    if result == -errno.ENOSPC:
        result, _ = _attempt(image)
    if result >= 0:
        FileDescriptor(result, f"program {image.name!r}").close()
        return 0, log
    if not log[0]:
        raise _refusal(image, -result)
    if (
        _NOTHING_VERIFIED.encode() in log[:_FIRST_LOG_SIZE]
        and (unsupported := _unsupported(image)) is not None
    ):
        raise unsupported
    return -result, log


def _attempt(
    image: ProgramImage,
    log_level: int = 0,
    log: ctypes.Array[ctypes.c_char] | memoryview | None = None,
) -> tuple[int, int]:
    """(descriptor or negative errno, bytes that the whole log needs if the kernel tells)."""
    descriptors = None
    if image.fd_array:
        descriptors = (ctypes.c_int * len(image.fd_array))(*image.fd_array)
    return syscall.prog_load(
        image.type,
        image.code,
        license=image.license,
        name=image.name,
        flags=image.flags,
        kern_version=image.kernel_version,
        ifindex=image.ifindex,
        expected_attach_type=image.expected_attach_type or 0,
        btf_fd=image.btf_fd,
        func_info=image.func_info,
        func_info_rec_size=image.func_info_size if image.func_info else 0,
        line_info=image.line_info,
        line_info_rec_size=image.line_info_size if image.line_info else 0,
        attach_btf_id=image.attach_btf_id,
        attach_fd=image.attach_fd,
        fd_array=descriptors,
        token_fd=image.token_fd,
        log_level=log_level,
        log=log,
        log_size=len(log) if log is not None else 0,
    )


def _refusal(image: ProgramImage, error: int) -> OsmiaError:
    """What to say when the kernel refuses without a log."""
    what = f"load program {image.name!r}"
    if image.ifindex and error in (errno.EINVAL, errno.EOPNOTSUPP):
        from osmia.kernel.programs.offload import not_offloaded

        refusal = KernelError(error, what)
        return not_offloaded(f"program {image.name!r}", image.ifindex, refusal)
    count = len(image.code) // 8
    if error in (errno.E2BIG, errno.EINVAL) and not 0 < count <= _MAX_INSTRUCTIONS:
        return KernelError(error, what, hint=f"it has {count:,} instructions; 1 to 1,000,000 load")
    if error == errno.EINVAL:
        return _unsupported(image) or KernelError(error, what, hint=_type_hint(image))
    if error in (errno.EPERM, errno.EACCES):
        return _not_permitted(image, error, what)
    if error == errno.E2BIG:
        hint = "this kernel is older than one of the things it uses, or the program is too long"
        return KernelError(error, what, hint=hint)
    return syscall.error_of(syscall.Command.PROG_LOAD, error, what)


def _not_permitted(image: ProgramImage, error: int, what: str) -> OsmiaError:
    """EPERM is also what a kernel built without trampolines says of programs that need one."""
    needed = privileges.needed_to_load(image.type)
    unsupported = None
    if privileges.has_all(needed):
        with suppress(KernelError):  # where the probes are not permitted either
            unsupported = _unsupported(image)
    return unsupported or BpfPermissionError(error, what, hint=privileges.permission_hint(needed))


def _type_hint(image: ProgramImage) -> str:
    if not image.expected_attach_type:
        return ""
    kind = getattr(image.type, "name", image.type)
    hook = getattr(image.expected_attach_type, "name", image.expected_attach_type)
    return f"programs of type {kind} may not be for attach type {hook}"


def _unsupported(image: ProgramImage) -> NotSupportedError | None:
    """The error for a type that the kernel lacks; only a refusal makes it worth a probe."""
    from osmia.kernel.probes import features

    missing_type = features.missing_program_type(image.type)
    return missing_type or features.missing_attach_type(image.expected_attach_type or 0)
