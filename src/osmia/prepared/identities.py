"""What kept loads depend on beside their files: osmia itself, the machine, the kernel, its modules.

Each is a word that is another one when what it stands for is another.
"""

from __future__ import annotations

import os
import sys

from osmia import __version__
from osmia.build_ids import kernel_build_id
from osmia.prepared.record import blake2b

_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib is dear
#: What records of loads depend on in a checkout, where no installer has listed the files.
_SOURCES = ("btf", "btf/core", "elf", "formats", "object", "passes", "prepared")
#: The same beside it, by engine.
_ENGINES = {"kernel": ("kernel/load",), "vm": ("vm", "vm/maps", "vm/helpers")}
_TYPES = "/sys/kernel/btf"
_BOOT = "/proc/sys/kernel/random/boot_id"

_CODE = (".py", ".pyc", ".so", ".dylib", ".dll")

_known: dict[str, str] = {}
_folders: dict[str, str] = {}


def own_identity(engine: str = "kernel") -> str:
    """Of osmia, its engine and the machine, in this process; "" where osmia's files are in an
    archive, or frozen into a program, and nobody lists them."""
    if engine not in _known:
        machine = f"{sys.byteorder} {os.uname().machine} {os.sysconf('SC_PAGE_SIZE')}"
        sources = _sources(engine)
        _known[engine] = f"{engine} {__version__} {sources} {machine}" if sources else ""
    return _known[engine]


def _sources(engine: str) -> str:
    """A digest of osmia's code: of the installer's list, which has the contents' digests, or of
    the sizes and times of the files that make records; "" without files."""
    try:
        with open(f"{_PACKAGE}-{__version__}.dist-info/RECORD", "rb", buffering=0) as file:  # noqa: PTH123
            return blake2b(file.read(), digest_size=16).hexdigest()
    except OSError:
        pass
    try:
        seen = [files_in(f"{_PACKAGE}/{each}") for each in (*_SOURCES, *_ENGINES[engine])]
    except OSError:
        return ""
    return blake2b("\n".join(seen).encode(), digest_size=16).hexdigest()


def files_in(folder: str) -> str:
    """The code in a folder, a line a file, with sizes and times as they are when this process asks
    first; in seconds, since images of containers know no others. OSError where there is none."""
    if folder not in _folders:
        seen = []
        with os.scandir(folder) as entries:
            for each in entries:
                if each.name.endswith(_CODE):
                    status = each.stat()
                    seen.append(f"{each.path} {status.st_size} {int(status.st_mtime)}")
        _folders[folder] = "\n".join(sorted(seen))
    return _folders[folder]


def modules_identity() -> str:
    """The kernel's, this boot's, and that of the modules that are loaded now: each has another
    inode when it is loaded again. "" where that is not told, as for the kernel."""
    kernel = kernel_build_id()
    try:
        with open(_BOOT, "rb", buffering=0) as file:  # noqa: PTH123
            about = file.read()
        with os.scandir(_TYPES) as entries:
            modules = sorted(f"{each.name} {each.inode()}" for each in entries)
    except OSError:
        return ""
    about += "\n".join(modules).encode()
    return f"{kernel}-{blake2b(about, digest_size=16).hexdigest()}" if kernel else ""
