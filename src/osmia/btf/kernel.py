"""The running kernel's BTF: vmlinux's, read once per process, and its modules'."""

from __future__ import annotations

import mmap
import os
import re
from functools import lru_cache

from osmia.btf.reader import BTF
from osmia.build_ids import kernel_build_id
from osmia.errors import NotSupportedError
from osmia.paths import Path

_DIRECTORY = "/sys/kernel/btf"
_MODULE_NAME = re.compile(r"[A-Za-z0-9_]+")


@lru_cache(maxsize=1)
def kernel_btf() -> BTF:
    """The BTF of the running kernel; the same object every time in this process.

    Raises NotSupportedError where the kernel shows none (before 5.4, or built without
    CONFIG_DEBUG_INFO_BTF).
    """
    path = f"{_DIRECTORY}/vmlinux"
    # pahole writes it through libbpf, which stores each string once and whole.
    data = _mapped(path) or _contents(path, "the kernel")
    return BTF(data, name=path, unique_strings=True, keep_index=True, identity=kernel_build_id())


def module_btf(name: str) -> BTF:
    """The BTF of a loaded kernel module: split BTF on that of the kernel; since 5.11.

    The same object as long as the module stays loaded. Raises NotSupportedError for
    a module that is not loaded or has no BTF.
    """
    file_name = name.replace("-", "_")
    path = f"{_DIRECTORY}/{file_name}"
    if file_name == "vmlinux" or not _MODULE_NAME.fullmatch(file_name):
        raise NotSupportedError(f"{name!r} is not the name of a kernel module")
    try:
        inode = Path(path).stat().st_ino
    except FileNotFoundError:
        raise NotSupportedError(f"module {name} is not loaded or has no BTF") from None
    return _module(file_name, inode)


@lru_cache(maxsize=256)
def _module(name: str, _inode: int) -> BTF:
    """`_inode` changes when a module is loaded again, perhaps with other types."""
    path = f"{_DIRECTORY}/{name}"
    return BTF(_contents(path, f"module {name}"), base=kernel_btf(), name=path)


def module_names() -> list[str]:
    """The loaded modules that have BTF, by name."""
    directory = Path(_DIRECTORY)
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if path.name != "vmlinux")


def _contents(path: str, owner: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise NotSupportedError(f"{owner} has no BTF in {_DIRECTORY}", since="5.4") from None


def _mapped(path: str) -> mmap.mmap | None:
    """The file's bytes where they are, None where it cannot be mapped (kernels before 6.16).

    Copying 5.5 MB into new memory would take 5 ms. Python keeps a descriptor of what is
    mapped: one, closed on exec, for as long as the process uses the kernel's types.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
