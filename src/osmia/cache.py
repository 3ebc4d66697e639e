"""A private directory of files that can be made again: compiled objects, vmlinux.h, indexes.

It is used only when nobody else could have put something there: the directory and those
above it belong to this user or root, and no one else may write to them. Otherwise (sudo
with another user's HOME, a read-only home) a temporary directory takes its place until
the process ends. OSMIA_CACHE in the environment names another directory; `off`, or nothing at all,
keeps nothing for later processes.
"""

from __future__ import annotations

import atexit
import os
import stat
import time
from io import FileIO

from osmia.files import write_whole

# The name that type checkers know; `typing` is dear, as are `pathlib` and `contextlib`, which
# functions import that a start does not come by.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path

# Entries a kind; the ones used longest ago go first.
_KEPT = 256
# A file that is still not whole after so long was left by a process that was killed.
_LEFT_SECONDS = 3600


def touch(path: Path | str) -> None:
    """Say that an entry was used."""
    try:
        os.utime(path)
    except OSError:
        return


def read(kind: str, name: str) -> bytes | None:
    """The content stored under `name`, or None."""
    file = open_entry(kind, name)
    if file is None:
        return None
    with file:
        return file.readall()


def open_entry(kind: str, name: str) -> FileIO | None:
    """The file stored under `name`, open for reading, or None; for who needs parts of it."""
    path = directory(kind) / name
    try:
        file = FileIO(path)
    except OSError:
        return None
    touch(path)
    return file


def write(kind: str, name: str, content: bytes, *, durable: bool = True) -> Path:
    """Store `content` under `name`; a reader or a second writer sees all of it or nothing.

    Where the cache takes nothing more it is stored for this process alone.

    Without `durable` that does not hold when the machine loses power meanwhile, and writing
    is faster: for content with a checksum of its own.
    """
    try:
        return _write(directory(kind), name, content, durable)
    except OSError:  # a full disk, a quota
        return _write(_made(_temporary() / kind), name, content, False)


def _write(folder: Path, name: str, content: bytes, durable: bool) -> Path:
    write_whole(folder / name, content, mode=0o600, durable=durable)
    prune(folder, _KEPT)
    return folder / name


def write_if_possible(kind: str, name: str, content: bytes, *, durable: bool = True) -> None:
    """Store what is only a help: a full disk is no reason to fail. `durable` as of `write`."""
    try:
        _write(directory(kind), name, content, durable)
    except OSError:
        return


def directory(kind: str) -> Path:
    """The directory for one kind of content ("objects", "vmlinux/…"), made when missing."""
    from contextlib import suppress
    from pathlib import Path

    place = root()
    if place is not None:
        with suppress(OSError):  # a full disk
            return _made(Path(place, kind))
    return _made(_temporary() / kind)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def lasts() -> bool:
    """Whether a later process will find what this one stores."""
    return root() is not None


def root() -> str | None:
    """The directory that later processes find what is stored in; None where there is none that
    is safe."""
    place = readable_root()
    return place if place in _writable else None


def readable_root() -> str | None:
    """The same, or the one that an earlier process has filled, where nothing more can be stored:
    in a container whose image is read-only."""
    return _private_root(*_places())


def prune(folder: Path, keep: int) -> None:
    """Leave the `keep` entries used last; other processes may be doing the same."""
    from contextlib import suppress
    from pathlib import Path

    with suppress(OSError):
        found = list(os.scandir(folder))
        entries = [entry for entry in found if not entry.name.startswith(".")]
        for entry in found:
            if entry.name.startswith(".") and entry.stat().st_mtime < time.time() - _LEFT_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
        if len(entries) <= keep:
            return
        entries.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: len(entries) - keep]:
            if entry.is_dir(follow_symlinks=False):
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _places() -> tuple[str, str]:
    """The directory that is for osmia alone and the one with it in it; "" where there is none."""
    named = os.environ.get("OSMIA_CACHE")
    if named is not None:
        return "" if named == "off" else named, ""
    base, home = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "")
    if base.startswith("/"):
        return f"{base}/osmia", ""
    return "", home


#: By what the environment variables say.
_private_roots: dict[tuple[str, str], str | None] = {}
#: Those of them that something can be stored in.
_writable: set[str | None] = set()


def _private_root(named: str, home: str) -> str | None:
    """osmia's cache directory, if it is safe: the one that is named, or that in `home`."""
    asked = (named, home)
    if asked not in _private_roots:
        _private_roots[asked] = _checked_root(named, home)
    return _private_roots[asked]


def _checked_root(named: str, home: str) -> str | None:
    if named.startswith("/"):
        place = named
    elif home.startswith("/") and os.path.isdir(home):  # noqa: PTH112
        place = f"{home}/.cache/osmia"
    else:
        return None
    try:
        if not os.path.isdir(place):  # noqa: PTH112
            from pathlib import Path

            Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = is_private(place)
    except OSError:
        usable = False
    if not usable:
        return None
    if os.access(place, os.W_OK):
        _writable.add(place)
    else:
        _writable.discard(place)
    return place


_made_temporary: list[Path] = []


def _temporary() -> Path:
    """A directory of this process alone, removed when it ends."""
    if _made_temporary:
        return _made_temporary[0]
    import tempfile
    from pathlib import Path

    folder = tempfile.mkdtemp(prefix="osmia-")
    atexit.register(_remove, folder, os.getpid())
    _made_temporary.append(Path(folder))
    return _made_temporary[0]


def _remove(folder: str, owner: int) -> None:
    # A forked child inherits the exit handler, but not the directory.
    if os.getpid() == owner:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def is_private(folder: Path | str) -> bool:
    """Whether only this user and root can change what `folder` or a parent of it names."""
    user = os.geteuid()
    place = resolved = os.path.realpath(folder, strict=True)
    if os.stat(resolved).st_uid != user:  # noqa: PTH116
        return False
    while True:
        status = os.stat(place)  # noqa: PTH116
        writable_by_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = status.st_mode & stat.S_ISVTX and place != resolved
        if status.st_uid not in (0, user) or (writable_by_others and not sticky):
            return False
        if place == "/":
            return True
        place = os.path.dirname(place)  # noqa: PTH120
