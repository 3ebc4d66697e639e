"""Build ids: what a linker made of all that is in a file, in a note of ELF.

Notes: sizes of name and contents, type; then both, each padded to 4 bytes (gABI, "Note Section").
"""

from __future__ import annotations

import os
import struct

_NT_GNU_BUILD_ID = 3
_LONGEST = 64
_NOTES = "/sys/kernel/notes"
_TYPES = "/sys/kernel/btf/vmlinux"

_known: dict[str, str] = {}


def build_id_of(notes: bytes | memoryview, order: str = "=") -> str:
    """The build id among a file's notes, in hexadecimal; "" where there is none. `order` is the
    file's byte order as `struct` says it."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(f"{order}III", notes, at)
        name = at + 12
        start = name + (name_size + 3 & ~3)
        at = start + (size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and bytes(notes[name : name + name_size]) == b"GNU\0":
            identifier = bytes(notes[start : start + size])
            return identifier.hex() if 2 < len(identifier) <= _LONGEST else ""
    return ""


def kernel_build_id() -> str:
    """The running kernel's, which its types are part of; "" where it has none, or no types, or
    where other types than its own are mounted in their place."""
    if "kernel" not in _known:
        _known["kernel"] = _read()
    return _known["kernel"]


def _read() -> str:
    try:
        if os.stat(_TYPES).st_dev != os.stat(_NOTES).st_dev:  # noqa: PTH116 - pathlib is dear
            return ""
        with open(_NOTES, "rb", buffering=0) as file:  # noqa: PTH123
            return build_id_of(file.read())
    except OSError:
        return ""
