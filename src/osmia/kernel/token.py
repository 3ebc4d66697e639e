"""BPF tokens: the right to load, delegated to a user namespace through a bpffs (since 6.9)."""

from __future__ import annotations

import os

from osmia.kernel import syscall
from osmia.kernel.fd import FileDescriptor


def open_token(bpffs: str | os.PathLike[str]) -> FileDescriptor:
    """A token of the bpffs mounted at `bpffs`.

    OSError when nothing is there; KernelError for a bpffs without delegation (ENOENT), or
    one of another user namespace (EPERM).
    """
    directory = os.open(bpffs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return FileDescriptor(syscall.token_create(directory), f"BPF token of {bpffs}")
    finally:
        os.close(directory)
