"""Which file a library's name means: "libc", "c" or "libc.so.6".

A name with ".so" in it is a file's name and means the file of exactly that name, as with the
dynamic linker and libbpf: a version that is not there is never replaced by another one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from osmia.paths import Path


def find_library(name: str) -> Path | None:
    """What the dynamic linker would load: from LD_LIBRARY_PATH, its cache, the usual places."""
    if ".so" in name:
        found = next(_existing(_search_path(), name), None)
        return found or _cached(name) or next(_existing(_usual_directories(), name), None)
    stem = name.removeprefix("lib")
    own = (
        path
        for directory in _search_path()
        for path in (directory / f"lib{stem}.so", *_versions(directory, stem))
        if path.is_file()
    )
    if (found := next(own, None)) is not None:
        return found
    import ctypes.util  # with what runs compilers

    loaded = ctypes.util.find_library(stem)
    if loaded is None:
        return None
    return Path(loaded) if loaded.startswith("/") else find_library(loaded)


def mapped_library(name: str, pid: int) -> Path | None:
    """The file of a library, or program, that a process has mapped, seen from the process's
    own root; None when it has none of that name."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    # The process may live in a container, with other files at the same paths.
    root = Path("/") if pid == os.getpid() else Path(f"/proc/{pid}/root")
    mapped = (line.partition("/")[2] for line in maps.split("\n"))
    for path in dict.fromkeys(path for path in mapped if path):
        # After a chroot the kernel may show paths from a root that is not the process's.
        if _is_called(root / path, name) and (root / path).exists():
            return root / path
    return None


def _is_called(path: Path, name: str) -> bool:
    """Whether a mapped file is what a name means."""
    if path.name == name:
        return True
    if ".so" in name:
        # libc.so.6 may be a symbolic link to what is mapped, libc-2.31.so.
        try:
            return (path.parent / name).samefile(path)
        except OSError:
            return False
    stem = re.escape(name.removeprefix("lib"))
    return re.fullmatch(rf"lib{stem}(?:-\d[^/]*)?\.so(?:\.[^/]*)?", path.name) is not None


def _search_path() -> list[Path]:
    """The directories of LD_LIBRARY_PATH; an empty one is the current directory."""
    text = os.environ.get("LD_LIBRARY_PATH", "")
    return [Path(each or ".") for each in re.split("[:;]", text)] if text else []


def _usual_directories() -> list[Path]:
    triplet = f"{os.uname().machine}-linux-gnu"
    names = (f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
    return [Path(each) for each in (*names, "/usr/local/lib")]


def _existing(directories: list[Path], name: str) -> Iterator[Path]:
    return (path for each in directories if (path := each / name).is_file())


def _versions(directory: Path, stem: str) -> list[Path]:
    """lib<stem>.so.N of a directory, the highest version first."""

    def version(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path.name.partition(".so.")[2])]

    try:
        paths = [each for each in directory.iterdir() if each.name.startswith(f"lib{stem}.so.")]
    except OSError:
        return []
    return sorted(paths, key=version, reverse=True)


def _cached(name: str) -> Path | None:
    """What the dynamic linker's cache says; it may know directories that nobody else does."""
    import subprocess

    kind = {"x86_64": "x86-64", "aarch64": "AArch64"}.get(os.uname().machine, "")
    command = ["/sbin/ldconfig", "-p"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    for line in listed.stdout.splitlines():
        library, _, path = line.strip().partition(" => ")
        soname, _, flags = library.partition(" ")
        if soname == name and kind in flags and Path(path).is_file():
            return Path(path)
    return None
