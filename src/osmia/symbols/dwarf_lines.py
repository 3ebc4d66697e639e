"""Source files and lines, with inlined functions, from DWARF: by `symbolic`, of osmia[symbols].

What it makes of a file, a table to look addresses up in, is kept in osmia's cache directory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import Any

from osmia import cache as cached_files
from osmia.elf import ElfFile, SectionFlag
from osmia.named_tuples import NamedTuple
from osmia.symbols.foreign_files import read_all

_KIND = "symbols"
_MOST_BYTES = 1 << 30  # of a file; it is read whole, once
_MOST_UNPACKED = 4 << 30  # of its compressed sections
_MOST_KEPT = 128 << 20  # of a table


class SourcePlace(NamedTuple):
    """A function at an address and where its source is; `name` as it is in the file."""

    name: str
    file: str
    line: int
    function_address: int


class DwarfLines:
    """The lines of one file; addresses are those of its image."""

    def __init__(self, lookup: Callable[[int], list[Any]], base: int) -> None:
        self._lookup = lookup
        self._base = base

    def find(self, address: int) -> list[SourcePlace]:
        """Where an address is, innermost inlined function first; empty where nothing is told."""
        if address < self._base:
            return []
        try:
            found = self._lookup(address - self._base)
        except Exception:  # a damaged table
            return []
        return [
            SourcePlace(each.symbol, each.full_path or "", each.line, each.sym_addr + self._base)
            for each in found
            if each.symbol
        ]


def read_lines(fd: int, elf: ElfFile) -> DwarfLines | None:
    """The lines of an open file, of which `elf` are the symbols. None where `symbolic` is not
    installed or makes nothing of the file, and for very large files."""
    library = _library()
    if library is None or not elf.segments:
        return None
    status = os.fstat(fd)
    name = _cache_name(library, status)
    base = min(each.address for each in elf.segments)
    # Whatever is wrong with the cache, or with what it has: the file itself is there.
    with suppress(Exception):
        kept = cached_files.directory(_KIND) / name
        if kept.exists():
            table = library.SymCache.open(os.fspath(kept))
            cached_files.touch(kept)
            return DwarfLines(table.lookup, base)
    if _unpacked_size(fd, elf) > _MOST_UNPACKED or (data := read_all(fd, _MOST_BYTES)) is None:
        return None
    try:
        # Views `data` until the table is made, which has all of its own.
        archive = library.Archive.from_bytes(data)
        table = next(archive.iter_objects()).make_symcache()
        with table.open_stream() as stream:
            packed = stream.read(_MOST_KEPT + 1)
    except Exception:  # of a file that is not what it claims: StopIteration, SymbolicError, …
        return None
    if len(packed) <= _MOST_KEPT:
        cached_files.write_if_possible(_KIND, name, packed)
    return DwarfLines(table.lookup, base)


def _cache_name(library: Any, status: os.stat_result) -> str:
    """A name for the table of just this file. Its build id would not do: whoever wrote another
    program may have given that the same one."""
    facts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return sha256(repr((library.version, facts)).encode()).hexdigest()[:40]


def _unpacked_size(fd: int, elf: ElfFile) -> int:
    """What compressed sections say that they are unpacked, in bytes."""
    order = "<" if elf.byteorder == "little" else ">"
    total = 0
    for section in elf.sections:
        if section.flags & SectionFlag.COMPRESSED:
            # ElfN_Chdr.ch_size
            place, layout = (8, "Q") if elf.is_64_bit else (4, "I")
        elif section.name.startswith(".zdebug"):
            place, layout, order = 4, "Q", ">"  # "ZLIB", then a size
        else:
            continue
        header = os.pread(fd, 24, section.offset).ljust(24, b"\0")
        total += struct.unpack_from(order + layout, header, place)[0]
    return total


class _Library(NamedTuple):
    Archive: Any
    SymCache: Any
    version: int


@cache
def _library() -> _Library | None:
    before = os.environ.get("RUST_BACKTRACE")
    try:
        from symbolic.debuginfo import Archive
        from symbolic.symcache import SYMCACHE_LATEST_VERSION, SymCache
    except ImportError:
        return None
    finally:
        # The package sets it, for this process and all that it starts.
        if before is None:
            os.environ.pop("RUST_BACKTRACE", None)
        else:
            os.environ["RUST_BACKTRACE"] = before
    return _Library(Archive, SymCache, SYMCACHE_LATEST_VERSION)
