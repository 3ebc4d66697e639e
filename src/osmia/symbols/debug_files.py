"""Separate debug files: where a program's or library's full symbols and DWARF are, if not in it.

As gdb looks for them: by build id under /usr/lib/debug/.build-id, then by the name and checksum
in .gnu_debuglink. What is found is compared: no other build's file is taken.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence

from osmia.build_ids import build_id_of
from osmia.elf import ElfFile, SectionType
from osmia.symbols.foreign_files import open_regular

_DEBUG_ROOT = "/usr/lib/debug"
_MOST_CHECKED = 2 << 30  # bytes of a file whose checksum is wanted


def build_id(elf: ElfFile) -> str:
    """The build id in hexadecimal, "" of a file without."""
    order = "<" if elf.byteorder == "little" else ">"
    notes = (section.data for section in elf.sections if section.type == SectionType.NOTE)
    return next(filter(None, (build_id_of(each, order) for each in notes)), "")


def debug_file_candidates(
    elf: ElfFile, path: str, roots: Sequence[str]
) -> Iterator[tuple[int, str, int | None]]:
    """Open descriptors of files that may be the debug file, the path of each, and the checksum
    that it must have; None where it must have the build id. `path` is that of `elf`; all is seen
    from each of `roots`. Whoever takes one closes it."""
    identifier = build_id(elf)
    linked = _debug_link(elf)
    for root in roots:
        if identifier:
            candidate = f"{_DEBUG_ROOT}/.build-id/{identifier[:2]}/{identifier[2:]}.debug"
            if (fd := open_regular(candidate, root)) is not None:
                yield fd, candidate, None
        if linked is not None and path.startswith("/"):
            name, checksum = linked
            directory = os.path.dirname(path)  # noqa: PTH120 - of another root
            for candidate in (
                f"{directory}/{name}",
                f"{directory}/.debug/{name}",
                f"{_DEBUG_ROOT}{directory}/{name}",
            ):
                if (fd := open_regular(candidate, root)) is not None:
                    yield fd, candidate, checksum


def checksum_of(fd: int) -> int | None:
    """The checksum of .gnu_debuglink of a file; None of one that is very large."""
    if os.fstat(fd).st_size > _MOST_CHECKED:
        return None
    checksum, place = 0, 0
    while part := os.pread(fd, 1 << 20, place):
        checksum = zlib.crc32(part, checksum)
        place += len(part)
    return checksum


def _debug_link(elf: ElfFile) -> tuple[str, int] | None:
    """The name in .gnu_debuglink and the checksum that stands at its end."""
    section = elf.section(".gnu_debuglink")
    if section is None or len(section.data) < 8:
        return None
    data = bytes(section.data)
    name, _, rest = data.partition(b"\0")
    if not name or b"/" in name or name in (b".", b"..") or len(rest) < 4 or len(name) > 255:
        return None
    (checksum,) = struct.unpack("<I" if elf.byteorder == "little" else ">I", data[-4:])
    return os.fsdecode(name), checksum
