"""Where libraries are in a bpffs, and what may be a name there.

    ROOT/NAME/VERSION/object        the bytes of the object (`record`)
    ROOT/NAME/VERSION/maps/FILE     each map, that of a data section too

A version's directory comes and goes by one rename (`sys.pin_sets`), so it is whole or not
there. The highest one counts. ROOT is `osmia/libraries` in the bpffs, if nobody says another.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import pin_sets, pins

Root = str | os.PathLike[str] | None

#: What is pinned in a version's directory.
OBJECT, MAPS = "object", "maps"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def root_of(root: Root = None) -> Path:
    """Where libraries are: `root`, or the place for them in the bpffs that is mounted.

    NotSupportedError where none is mounted.
    """
    return Path(root) if root is not None else pins.find_bpffs() / "osmia" / "libraries"


def directory_of(name: str, root: Root = None) -> Path:
    """The directory of a library. PinNameError for what is no library's name: those are up to
    64 letters, digits, "_" and "-"."""
    if not _NAME.fullmatch(name):
        raise pins.PinNameError(
            f"{name[:80]!r} is no library's name: 1 to 64 letters, digits, '_', '-'"
        )
    if pin_sets.is_journal(name):
        raise pins.PinNameError(f"{name!r} is no library's name: pins are made under such names")
    return root_of(root) / name


def names(root: Root = None) -> list[str]:
    """The libraries that are there, in order."""
    place = root_of(root)
    named = (name for name in _entries(place) if _NAME.fullmatch(name))
    return sorted(n for n in named if not pin_sets.is_journal(n) and versions(place / n))


def versions(directory: Path) -> list[int]:
    """The versions in a library's directory, ascending; none where that is not there."""
    return sorted(int(each) for each in _entries(directory) if _VERSION.fullmatch(each))


def check_owner(directory: Path) -> None:
    """See that nobody else decides what is in a directory: it is this user's or root's.

    BpfPermissionError for another's. What is not there is nobody's.
    """
    try:
        owner = directory.lstat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(directory, error) from None
    if owner not in (0, os.geteuid()):
        hint = f"it belongs to user {owner}, who could put anything there"
        raise BpfPermissionError(errno.EPERM, f"use the library in '{directory}'", hint=hint)


def identity(place: Path) -> tuple[int, int] | None:
    """What tells a directory from others that had or will have its path; None: there is none."""
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_of(map_name: str) -> str:
    """The name under which a map is pinned: a bpffs takes no dots, and no file a slash.

    PinNameError for one that is too long.
    """
    encoded = map_name.encode("utf-8", "surrogateescape")
    return pins.safe_name("".join(chr(c) if c in _PLAIN else f"%{c:02x}" for c in encoded))


def map_of(file: str) -> str:
    """The map that is pinned as `file`."""
    return unquote_to_bytes(file).decode("utf-8", "surrogateescape")


def map_files(directory: Path) -> dict[str, Path]:
    """The pinned maps of a version, by the maps' names."""
    return {map_of(file): directory / MAPS / file for file in sorted(_entries(directory / MAPS))}


def _entries(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(directory)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(directory, error) from None


def _unreadable(directory: Path, error: OSError) -> KernelError:
    number = error.errno or 0
    kind = BpfPermissionError if number in (errno.EPERM, errno.EACCES) else KernelError
    return kind(number, f"look for libraries in '{directory}'")
