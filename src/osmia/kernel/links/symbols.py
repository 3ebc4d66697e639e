"""Functions in files: which library a name means, and where in the file a symbol lies."""

from __future__ import annotations

import ctypes.util
import fnmatch
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from osmia.elf import SHN_UNDEF, ElfFile, Symbol, SymbolType
from osmia.errors import OsmiaError

_NAME_AND_OFFSET = re.compile(r"(?P<name>.+?)(?:\+(?P<offset>0x[0-9a-fA-F]+|\d+))?")


class SymbolNotFoundError(OsmiaError, LookupError):
    """A file that has no such function, or a name that no file answers to."""


def find_binary(name: str | os.PathLike[str], pid: int | None = None) -> Path:
    """The file that `name` means: a path, a program in $PATH, or a library ("libc", "c").

    With `pid`, libraries are first looked for among what that process has mapped.
    SymbolNotFoundError when there is none.
    """
    text = os.fspath(name)
    if "/" in text:
        return Path(text)
    if pid and (mapped := _mapped_by(text, pid)):
        return mapped
    found = _library(text) or _in_path(text)
    if found is None:
        raise SymbolNotFoundError(f"no library or program is called {text!r}")
    return found


def function_offset(path: Path, function: str) -> int:
    """The file offset of a function, "malloc" or "malloc+0x10"; decimal or hex offsets.

    SymbolNotFoundError when the file defines no such function.
    """
    found = _NAME_AND_OFFSET.fullmatch(function)
    if found is None:
        raise SymbolNotFoundError("a function without a name")
    inside = int(found["offset"] or "0", 0)
    elf = open_binary(path)
    symbol = next((each for each in _functions(elf) if each.name == found["name"]), None)
    if symbol is None:
        raise SymbolNotFoundError(f"{path}: no function {found['name']!r}")
    return _file_offset(elf, symbol, path) + inside


def matching_functions(path: Path, pattern: str) -> dict[str, int]:
    """Functions whose names match a pattern with "*" and "?", with their file offsets."""
    matches = re.compile(fnmatch.translate(pattern)).match
    elf = open_binary(path)
    found = {
        symbol.name: _file_offset(elf, symbol, path)
        for symbol in _functions(elf)
        if matches(symbol.name)
    }
    if not found:
        raise SymbolNotFoundError(f"{path}: no function matches {pattern!r}")
    return found


def open_binary(path: Path) -> ElfFile:
    """A program or library, mapped into memory. ObjectFormatError when it is none."""
    with path.open("rb") as file:
        # The mapping ends with the last view of it.
        return ElfFile.parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), str(path))


def _functions(elf: ElfFile) -> Iterator[Symbol]:
    """Defined functions: exported ones first, then those of the full symbol table."""
    for table in (elf.dynamic_symbols, elf.symbols):
        for symbol in table:
            if symbol.type == SymbolType.FUNC and symbol.section != SHN_UNDEF and symbol.name:
                yield symbol


def _file_offset(elf: ElfFile, symbol: Symbol, path: Path) -> int:
    offset = elf.file_offset(symbol.value)
    if offset is None:
        raise SymbolNotFoundError(f"{path}: function {symbol.name!r} lies outside of the file")
    return offset


def _library(name: str) -> Path | None:
    """What the dynamic linker would load for "c", "libc" or "libc.so.6"."""
    stem = name.removeprefix("lib").partition(".so")[0]
    loaded = ctypes.util.find_library(stem)
    if loaded is None:
        return None
    if loaded.startswith("/"):
        return Path(loaded)
    return _mapped_by(loaded, os.getpid()) or _in_library_directories(loaded)


def _in_library_directories(name: str) -> Path | None:
    triplet = f"{os.uname().machine}-linux-gnu"
    directories = [f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib"]
    directories += ["/usr/lib", "/usr/local/lib", "/lib/aarch64-linux-gnu"]
    candidates = (Path(directory, name) for directory in directories)
    return next((path for path in candidates if path.exists()), None)


def _in_path(name: str) -> Path | None:
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = (Path(directory, name) for directory in directories if directory)
    return next((path for path in candidates if path.is_file()), None)


def _mapped_by(name: str, pid: int) -> Path | None:
    """The file of a library that a process has mapped, seen from the process's own root."""
    pattern = re.compile(rf"(?:lib)?{re.escape(name.removeprefix('lib'))}(?:[-.].*)?")
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    for line in maps.splitlines():
        path = line.partition("/")[2]
        if path and pattern.fullmatch(path.rpartition("/")[2]):
            # The process may live in a container, with other files at the same paths.
            root = Path("/") if pid == os.getpid() else Path(f"/proc/{pid}/root")
            # After a chroot the kernel may show paths from a root that is not the process's.
            if (root / path).exists():
                return root / path
    return None
