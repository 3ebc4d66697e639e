"""vmlinux.h: the kernel's types as a C header, made from its BTF and kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import osmia.btf
from osmia import btf, cache

# Headers kept: one is 3 MB, and few people build for more kernels than that.
_KEPT = 8


def vmlinux_directory(source: btf.BTF | str | os.PathLike[str] | None = None) -> Path:
    """A directory that holds "vmlinux.h" for `source`, by default the running kernel's BTF.

    `source` may be a BTF, or a file: raw BTF as in /sys/kernel/btf/vmlinux.
    """
    types = _types(source)
    key = hashlib.sha256(types.to_bytes() + _printer()).hexdigest()[:32]
    directory = cache.directory(f"vmlinux/{key}")
    if not (directory / "vmlinux.h").exists():
        text = "".join(btf.dump_c(types))
        directory = cache.write(f"vmlinux/{key}", "vmlinux.h", text.encode()).parent
        cache.prune(directory.parent, _KEPT)
    cache.touch(directory)
    return directory


def vmlinux_header(source: btf.BTF | str | os.PathLike[str] | None = None) -> Path:
    """The path of vmlinux.h for `source`, by default the running kernel's BTF."""
    return vmlinux_directory(source) / "vmlinux.h"


def _types(source: btf.BTF | str | os.PathLike[str] | None) -> btf.BTF:
    if source is None:
        return btf.kernel_btf()
    if isinstance(source, btf.BTF):
        return source
    path = Path(source)
    return btf.BTF(path.read_bytes(), name=str(path))


def _printer() -> bytes:
    """The code that prints types: another osmia may print the same BTF differently."""
    folder = Path(osmia.btf.__file__).parent
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py")))
