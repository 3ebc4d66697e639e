"""What is mounted where in this process's namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator

from osmia.paths import Path, text_of


def mounted(kind: str) -> Iterator[tuple[Path, str]]:
    """The mount points of one kind of file system ("bpf"), in the order of mounting, each with
    the options of its file system ("rw,mode=700")."""
    for place, options in mount_points(kind):
        yield Path(place), options


def mount_points(kind: str) -> Iterator[tuple[str, str]]:
    """The same as text, for those who would make no other path."""
    text = text_of("/proc/self/mountinfo")
    for line in text.split("\n"):  # not splitlines: a directory's name may hold what that splits at
        before, _, after = line.partition(" - ")
        found, _source, options = (*after.split(" "), "", "")[:3]
        if found == kind:
            yield _unescaped(before.split(" ")[4]), options


def _unescaped(text: str) -> str:
    r"""A mountinfo field: space, tab, newline and backslash are written \ooo."""
    if "\\" not in text:
        return text
    raw = os.fsencode(text).decode("unicode_escape")
    return os.fsdecode(raw.encode("latin-1"))
