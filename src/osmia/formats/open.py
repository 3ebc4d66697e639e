"""Open a BPF object file, whatever its dialect."""

from __future__ import annotations

import os
from pathlib import Path

from osmia.elf import ElfFile
from osmia.formats.libbpf import read_object
from osmia.object.model import Object


def open_object(source: str | os.PathLike[str] | bytes | bytearray, *, name: str = "") -> Object:
    """Read a compiled BPF object: a path, or the bytes of an ELF file.

    `name` names internal maps (default: the file's name up to its first dot). Needs no
    kernel and no privileges. Raises ObjectFormatError for a file that is no BPF object
    or contradicts itself, OSError for one that cannot be read.
    """
    if isinstance(source, bytes | bytearray):
        return read_object(ElfFile.parse(bytes(source), name or "object"), "", name or "object")
    path = os.fspath(source)
    return read_object(ElfFile.parse(Path(path).read_bytes(), path), path, name)
