"""Where records of loads are kept, and under which key: whatever changes a load is in it.

A record that holds for any kernel lies under a digest of the file's bytes, the name it is opened
by, osmia itself and the machine; one that has answers from the kernel's types under that and the
kernel's build id; one for which modules were searched, too, under that and what is loaded. A
directory or file that others could write to is not read.
"""

from __future__ import annotations

import os
import stat

from osmia import cache
from osmia.build_ids import kernel_build_id
from osmia.prepared.identities import modules_identity, own_identity
from osmia.prepared.record import LARGEST, blake2b, unpacked

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    #: Reads a record of some kind from a file's bytes, that was kept under this key.
    Unpack = Callable[[bytes, str], Any]
    Pack = Callable[[Any, str], bytes]

_KIND = "prepared"
#: What a record may hold for beside the file, osmia and the machine.
ANY_KERNEL, THIS_KERNEL, THIS_BOOT = "any kernel", "this kernel", "this boot and its modules"


def called(name: str, path: str) -> str:
    """How keys tell by which name a file is opened: one that is given, or the file's own, of
    which the Object's is only the beginning."""
    return f"given {name}" if name else f"file {path.rpartition('/')[2]}"


def find(
    data: bytes, name: str, engine: str = "kernel", unpack: Unpack = unpacked
) -> tuple[Any, str] | None:
    """The record of loads by an engine of the file with these bytes, opened by this name (see
    `called`), and the identity of the modules with which alone it holds, or "". None: there is
    none here."""
    if cache.readable_root() is None or not own_identity(engine):
        return None
    for each, modules in _keys(data, name, engine):
        record = _read(each, unpack)
        if record is not None:
            return record, modules
    return None


def has(data: bytes, name: str, engine: str = "kernel") -> bool:
    """Whether there is a file for it, as cheaply as that can be told."""
    if cache.readable_root() is None or not own_identity(engine):
        return False
    return any(_is_taken(_place(each)) for each, _ in _keys(data, name, engine))


def keep(
    data: bytes,
    name: str,
    pack: Pack,
    record: Any,
    holds_for: str,
    modules: str = "",
    engine: str = "kernel",
) -> bool:
    """Keep the record of loads by an engine for what it holds for; whether that can be done.
    `modules` is the identity that they had when they were asked."""
    key, kernel = _key(data, name, engine), kernel_build_id()
    if not (cache.lasts() and own_identity(engine)) or (holds_for != ANY_KERNEL and not kernel):
        return False
    if holds_for == THIS_KERNEL:
        key = f"{key}-{kernel}"
    elif holds_for == THIS_BOOT:
        if modules != modules_identity():  # one came or went meanwhile
            return False
        key = f"{key}-{modules}"
    content = pack(record, key)
    if len(content) > LARGEST:
        return False
    path = _place(key)
    if not _is_taken(path):
        if not _may_be_private(path):
            return False
        _remove(path)  # a link would be followed, a pipe waited for
    cache.write_if_possible(_KIND, key, content, durable=False)  # it has a checksum
    return _is_taken(path)


def _keys(data: bytes, name: str, engine: str) -> Iterator[tuple[str, str]]:
    """All that a record may be kept under, made as they are asked for, and the identity of modules
    that is in it."""
    key = _key(data, name, engine)
    yield key, ""
    if kernel := kernel_build_id():
        yield f"{key}-{kernel}", ""
    if modules := modules_identity():
        yield f"{key}-{modules}", modules


def _read(key: str, unpack: Unpack) -> Any:
    """What is kept under a key. A broken file goes, so that the next load replaces it."""
    path = _place(key)
    data = _contents(path)
    if data is None:
        return None
    try:
        record = unpack(data, key)
    except ValueError:  # a BrokenRecordError, and names that are no text
        _remove(path)
        return None
    cache.touch(path)
    return record


def _place(key: str) -> str:
    return f"{cache.readable_root()}/{_KIND}/{key}"


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def _is_taken(path: str) -> bool:
    """Whether what has this name is what loads would read, as far as its looks tell."""
    try:
        return _is_private(path) and _is_own_file(os.lstat(path))
    except OSError:
        return False


def _is_private(path: str) -> bool:
    """Whether only this user can change what is in the file's folder."""
    return _is_own(os.stat(os.path.dirname(path)))  # noqa: PTH116, PTH120


def _may_be_private(path: str) -> bool:
    """The same, of a folder that need not be there yet."""
    try:
        return _is_private(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _contents(path: str) -> bytes | None:
    """The bytes of a file that only this user can change, in a folder that only they can."""
    try:
        if not _is_private(path):
            return None
        # A pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not _is_own_file(status):
            return None
        return _read_all(descriptor, status.st_size)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and _is_own(status) and status.st_size <= LARGEST


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    while len(data) < size and (further := os.read(descriptor, size - len(data))):
        data += further
    return data


def _key(data: bytes, name: str, engine: str) -> str:
    about = blake2b(data, digest_size=32).digest() + name.encode("utf-8", "surrogatepass")
    about += own_identity(engine).encode()
    return blake2b(about, digest_size=20).hexdigest()
