"""What kept loads depend on beside their files: osmia itself, the machine, the kernel, its modules.

Each is a word that is another one when what it stands for is another.
"""

from __future__ import annotations

import os
import struct
import sys

from osmia import __version__
from osmia.prepared.record import blake2b

_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib is dear
#: What records of loads depend on in a checkout, where no installer has listed the files.
_SOURCES = ("btf", "btf/core", "elf", "formats", "object", "passes", "prepared", "kernel/load")
_NOTES = "/sys/kernel/notes"
_TYPES = "/sys/kernel/btf"
_BOOT = "/proc/sys/kernel/random/boot_id"
_GNU_BUILD_ID = 3

_known: dict[str, str] = {}


def own_identity() -> str:
    """Of osmia and the machine, in this process; "" where osmia's files are in an archive, or
    frozen into a program, and nobody lists them."""
    if "identity" not in _known:
        machine = f"{sys.byteorder} {os.uname().machine} {os.sysconf('SC_PAGE_SIZE')}"
        sources = _sources()
        _known["identity"] = f"{__version__} {sources} {machine}" if sources else ""
    return _known["identity"]


def _sources() -> str:
    """A digest of osmia's code: of the installer's list, which has the contents' digests, or of
    the sizes and times of the files that make records; "" without files."""
    try:
        with open(f"{_PACKAGE}-{__version__}.dist-info/RECORD", "rb", buffering=0) as file:  # noqa: PTH123
            return blake2b(file.read(), digest_size=16).hexdigest()
    except OSError:
        pass
    seen = []
    try:
        for folder in _SOURCES:
            with os.scandir(f"{_PACKAGE}/{folder}") as entries:
                for each in entries:
                    if each.name.endswith((".py", ".pyc")):
                        status = each.stat()
                        seen.append(f"{folder}/{each.name} {status.st_size} {int(status.st_mtime)}")
    except OSError:
        return ""
    return blake2b("\n".join(sorted(seen)).encode(), digest_size=16).hexdigest()


def kernel_identity() -> str:
    """The running kernel's build id in hexadecimal, which its types are part of; "" where it has
    none, or no types, or other types than its own are mounted in their place."""
    if "kernel" not in _known:
        try:
            own = os.stat(f"{_TYPES}/vmlinux").st_dev == os.stat(_NOTES).st_dev  # noqa: PTH116
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


def modules_identity() -> str:
    """The kernel's, this boot's, and that of the modules that are loaded now: each has another
    inode when it is loaded again. "" where that is not told, as for the kernel."""
    kernel = kernel_identity()
    try:
        with open(_BOOT, "rb", buffering=0) as file:  # noqa: PTH123
            about = file.read()
        with os.scandir(_TYPES) as entries:
            modules = sorted(f"{each.name} {each.inode()}" for each in entries)
    except OSError:
        return ""
    about += "\n".join(modules).encode()
    return f"{kernel}-{blake2b(about, digest_size=16).hexdigest()}" if kernel else ""
