"""The running kernel's BTF: vmlinux's, read once per process, and its modules'."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from osmia.btf.reader import BTF
from osmia.errors import NotSupportedError

_DIRECTORY = Path("/sys/kernel/btf")
_MODULE_NAME = re.compile(r"[A-Za-z0-9_]+")


@lru_cache(maxsize=1)
def kernel_btf() -> BTF:
    """The BTF of the running kernel; the same object every time in this process.

    Raises NotSupportedError where the kernel shows none (before 5.4, or built without
    CONFIG_DEBUG_INFO_BTF).
    """
    path = _DIRECTORY / "vmlinux"
    # pahole writes it through libbpf, which stores each string once and whole.
    return BTF(_contents(path, "the kernel"), name=str(path), unique_strings=True)


def module_btf(name: str) -> BTF:
    """The BTF of a loaded kernel module: split BTF on that of the kernel; since 5.11.

    The same object as long as the module stays loaded. Raises NotSupportedError for
    a module that is not loaded or has no BTF.
    """
    file_name = name.replace("-", "_")
    path = _DIRECTORY / file_name
    if file_name == "vmlinux" or not _MODULE_NAME.fullmatch(file_name):
        raise NotSupportedError(f"{name!r} is not the name of a kernel module")
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        raise NotSupportedError(f"module {name} is not loaded or has no BTF") from None
    return _module(file_name, inode)


@lru_cache(maxsize=256)
def _module(name: str, _inode: int) -> BTF:
    """`_inode` changes when a module is loaded again, perhaps with other types."""
    path = _DIRECTORY / name
    return BTF(_contents(path, f"module {name}"), base=kernel_btf(), name=str(path))


def module_names() -> list[str]:
    """The loaded modules that have BTF, by name."""
    if not _DIRECTORY.is_dir():
        return []
    return sorted(path.name for path in _DIRECTORY.iterdir() if path.name != "vmlinux")


def _contents(path: Path, owner: str) -> bytes:
    # Since 6.16 it could be mapped, but Python's mmap keeps a descriptor open for as
    # long as the map lives, to save 1.5 ms.
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotSupportedError(f"{owner} has no BTF in {_DIRECTORY}", since="5.4") from None
