"""Compiled code on disk: what one process compiled, the next one loads.

The key is a hash of everything that decides the code (`osmia.vm.jit.kept`). Entries are machine
code, so the directory and the file must be the user's own and closed to others; where they are
not, there is no cache.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from io import FileIO

from osmia.cache import is_private, root
from osmia.paths import Path
from osmia.prepared.record import blake2b

MAX_ENTRIES = 512
LARGEST = 1 << 28
"""Bytes of an entry."""
_DIGEST = 32


def directory() -> Path | None:
    """Where compiled code is kept; None where nothing is."""
    place = _folder()
    return None if place is None else Path(place)


def _folder() -> str | None:
    place = root()
    return None if place is None else f"{place}/jit"


def key(*parts: str) -> str:
    """The name of an entry."""
    digest = blake2b(digest_size=_DIGEST)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def read(name: str) -> bytes | None:
    """An entry's code; None when there is none, or it is damaged."""
    place = _folder()
    if place is None or not _is_private(place):
        return None
    try:
        data = _content(f"{place}/{name}")
    except OSError:
        return None
    digest, code = data[:_DIGEST], data[_DIGEST:]
    return code if _digest(code) == digest else None


def write(name: str, code: bytes) -> None:
    """Keep code; whoever writes the same entry meanwhile writes the same bytes."""
    place = directory()
    if place is None or len(code) > LARGEST:
        return
    import tempfile

    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_private(place):
            return
        _make_room(place)
        with tempfile.NamedTemporaryFile(dir=place, prefix="tmp", delete=False) as file:
            file.write(_digest(code) + code)
        Path(file.name).replace(place / name)


def _digest(code: bytes) -> bytes:
    return blake2b(code, digest_size=_DIGEST).digest()


def _content(path: str) -> bytes:
    """An entry's bytes; OSError where it is not this user's own file."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with FileIO(os.open(path, flags)) as file:
        status = os.fstat(file.fileno())
        own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not (own and closed and stat.S_ISREG(status.st_mode)) or status.st_size > LARGEST:
            raise PermissionError(f"{path} is not this user's own")
        return file.readall()


def _is_private(place: Path | str) -> bool:
    """Whether nobody else can change what is there; elsewhere than on Unix nobody asks."""
    if not hasattr(os, "geteuid"):
        return True
    try:
        return is_private(place)
    except OSError:
        return False


def _make_room(place: Path) -> None:
    """Drop the older half when there are too many entries."""
    entries = list(place.iterdir())
    if len(entries) < MAX_ENTRIES:
        return
    entries.sort(key=lambda entry: entry.stat().st_mtime)
    for entry in entries[: MAX_ENTRIES // 2]:
        entry.unlink(missing_ok=True)
