"""Where records of loads are kept, and under which key: whatever changes a load is in it.

A record that holds for any kernel lies under a digest of the file's bytes, the name it is opened
by, osmia itself and the machine; one that has answers from the kernel's types under that and the
kernel's build id. A directory or file that others could write to is not read.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from _blake2 import blake2b

from osmia import __version__, cache
from osmia.prepared.record import LARGEST, Record, packed, unpacked

_KIND = "prepared"
_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib is dear
#: What records of loads depend on in a checkout, where no installer has listed the files.
_SOURCES = ("btf", "btf/core", "elf", "formats", "object", "passes", "prepared", "kernel/load")
_NOTES = "/sys/kernel/notes"
_TYPES = "/sys/kernel/btf/vmlinux"
_GNU_BUILD_ID = 3

_known: dict[str, str] = {}


def find(data: bytes, name: str) -> Record | None:
    """The record of loads of the file with these bytes, opened by this name; None: there is none
    that holds here."""
    if not cache.lasts():
        return None
    key = _key(data, name)
    return _read(key) or ((kernel := kernel_identity()) and _read(f"{key}-{kernel}")) or None


def has(data: bytes, name: str) -> bool:
    """Whether there is a file for it, as cheaply as that can be told."""
    key = _key(data, name)
    places = (_place(key), _place(f"{key}-{kernel_identity()}"))
    return any(map(os.path.exists, places))


def keep(data: bytes, name: str, record: Record, *, of_kernel: bool) -> bool:
    """Keep the record, for this kernel alone or for any; whether that can be done."""
    kernel = kernel_identity() if of_kernel else ""
    if not cache.lasts() or (of_kernel and not kernel):
        return False
    key = f"{_key(data, name)}-{kernel}" if of_kernel else _key(data, name)
    content = packed(record, key)
    if len(content) > LARGEST:
        return False
    cache.write_if_possible(_KIND, key, content, durable=False)  # it has a checksum
    return True


def _read(key: str) -> Record | None:
    """What is kept under a key. A broken file goes, so that the next load replaces it."""
    path = _place(key)
    data = _contents(path)
    if data is None:
        return None
    try:
        record = unpacked(data, key)
    except ValueError:  # a BrokenRecordError, and names that are no text
        _remove(path)
        return None
    cache.touch(path)
    return record


def _place(key: str) -> str:
    return f"{cache.root()}/{_KIND}/{key}"


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def _contents(path: str) -> bytes | None:
    """The bytes of a file that only this user can change, in a folder that only they can."""
    try:
        if not _is_own(os.stat(os.path.dirname(path))):  # noqa: PTH116, PTH120
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_own(status) or status.st_size > LARGEST:
            return None
        return _read_all(descriptor, status.st_size)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    while len(data) < size and (further := os.read(descriptor, size - len(data))):
        data += further
    return data


def _key(data: bytes, name: str) -> str:
    about = blake2b(data, digest_size=32).digest() + name.encode("utf-8", "surrogatepass")
    about += _identity().encode()
    return blake2b(about, digest_size=20).hexdigest()


def _identity() -> str:
    """Of osmia and the machine, in this process."""
    if "identity" not in _known:
        machine = f"{sys.byteorder} {os.uname().machine} {os.sysconf('SC_PAGE_SIZE')}"
        _known["identity"] = f"{__version__} {_sources()} {machine}"
    return _known["identity"]


def _sources() -> str:
    """A digest of osmia's code: of the installer's list, which has the contents' digests, or of
    the sizes and times of the files that make records."""
    try:
        with open(f"{_PACKAGE}-{__version__}.dist-info/RECORD", "rb", buffering=0) as file:  # noqa: PTH123
            return blake2b(file.read(), digest_size=16).hexdigest()
    except OSError:
        pass
    seen = []
    for folder in _SOURCES:
        with os.scandir(f"{_PACKAGE}/{folder}") as entries:
            for each in entries:
                if each.name.endswith(".py"):
                    status = each.stat()
                    seen.append(f"{folder}/{each.name} {status.st_size} {int(status.st_mtime)}")
    return blake2b("\n".join(sorted(seen)).encode(), digest_size=16).hexdigest()


def kernel_identity() -> str:
    """The running kernel's build id in hexadecimal, which its types are part of; "" where it has
    none, or no types, or other types than its own are mounted in their place."""
    if "kernel" not in _known:
        try:
            own = os.stat(_TYPES).st_dev == os.stat(_NOTES).st_dev  # noqa: PTH116
        except OSError:
            own = False
        _known["kernel"] = _build_id() if own else ""
    return _known["kernel"]


def _build_id() -> str:
    """From the kernel's ELF notes: sizes of name and contents, type, both padded to 4 bytes."""
    try:
        with open(_NOTES, "rb", buffering=0) as file:  # noqa: PTH123
            notes = file.read()
    except OSError:
        return ""
    at = 0
    while at + 12 <= len(notes):
        name, size, kind = struct.unpack_from("=III", notes, at)
        contents = at + 12 + (name + 3 & ~3)
        if kind == _GNU_BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
            return notes[contents : contents + size].hex()
        at = contents + (size + 3 & ~3)
    return ""
