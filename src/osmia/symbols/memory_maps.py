"""What a process has mapped: /proc/PID/maps."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from osmia.named_tuples import NamedTuple

_LINE = re.compile(
    rb"([0-9a-f]+)-([0-9a-f]+) ..(.). ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) ([0-9]+) *(.*)"
)
_DELETED = " (deleted)"


class Mapping(NamedTuple):
    """A part of a process's memory; `offset` is that of its start in the file, in bytes.

    `path` is the file's as the process sees it, without "(deleted)"; or "[vdso]", "[heap]", …
    """

    start: int
    end: int
    offset: int
    executable: bool
    device: str
    inode: int
    path: str
    deleted: bool = False

    @property
    def is_file(self) -> bool:
        """Whether a file is mapped, which may be one of memory alone (memfd)."""
        return self.inode != 0 and self.path.startswith("/")


class MemoryMaps:
    """The mappings of a process at one time, by address."""

    def __init__(self, text: bytes) -> None:
        """From the contents of /proc/PID/maps; lines that are no mappings are passed over."""
        self.text = text
        self.mappings: Sequence[Mapping] = sorted(
            (
                _mapping(*found.groups())
                for found in map(_LINE.fullmatch, text.split(b"\n"))
                if found
            ),
            key=attrgetter("start"),
        )
        self._starts = [each.start for each in self.mappings]

    def find(self, address: int) -> Mapping | None:
        """The mapping that an address is in."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self.mappings[place].end:
            return None
        return self.mappings[place]


def _mapping(
    start: bytes, end: bytes, x: bytes, offset: bytes, device: bytes, inode: bytes, name: bytes
) -> Mapping:
    # The kernel writes newlines, and nothing else, as octal numbers.
    path = name.replace(rb"\012", b"\n").decode("utf-8", "surrogateescape")
    deleted = path.endswith(_DELETED)
    return Mapping(
        int(start, 16),
        int(end, 16),
        int(offset, 16),
        x == b"x",
        device.decode(),
        int(inode),
        path.removesuffix(_DELETED) if deleted else path,
        deleted,
    )
