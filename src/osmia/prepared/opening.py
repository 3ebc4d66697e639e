"""`osmia.open`: a file whose load is kept is not read before something else is asked of it."""

from __future__ import annotations

import os
import sys

from osmia.on_demand import imported
from osmia.prepared import store
from osmia.prepared.unread import Held, unread

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.object.model import Object
    from osmia.object.uapi import ProgramType

#: Importing it takes longer than a kept load.
_READER = "osmia.formats.open"
_IMAGES = "osmia.images.opening"


def open_object(
    source: str | os.PathLike[str] | bytes | bytearray,
    *,
    name: str = "",
    dialect: str | None = None,
    program_type: ProgramType | None = None,
    strict_btf: bool = False,
) -> Object:
    """Read a compiled BPF object: a path, the bytes of an ELF file, or the name of an image,
    "oci://host/name:tag@sha256:…" (`osmia.images`).

    `name` names internal maps (default: the file's name up to its first dot). `dialect` is
    "libbpf" (maps in `.maps`) or "iproute2" (maps in `maps`); None finds out. In iproute2's
    a program has the type of what it is attached to: `program_type` says it for all whose
    section does not tell. With `strict_btf` maps without key and value types and functions
    without type information are errors.

    Needs no kernel and no privileges. Raises ObjectFormatError for a file that is no BPF
    object or contradicts itself, OSError for one that cannot be read. A file that this user has
    loaded before is only read when more than `load` is asked of the Object (`osmia.prepared`).
    """
    if isinstance(source, str) and source.startswith("oci://"):
        opened: Object = imported(_IMAGES).open_image(
            source, name, dialect=dialect, program_type=program_type, strict_btf=strict_btf
        )
        return opened
    plain = dialect is None and program_type is None and not strict_btf and isinstance(name, str)
    given = _given(source, name) if plain else None
    made: Object
    if given is None:
        made = _reader().open_object(
            source, name=name, dialect=dialect, program_type=program_type, strict_btf=strict_btf
        )
        return made
    return object_of(*given)


def object_of(data: bytes, path: str, name: str) -> Object:
    """The Object of a file's bytes, which are not read where its load is kept. `path` and `name`
    are what `osmia.formats.open.read_elf` takes."""
    held = _held(data, path, name) if _may_be_kept(data, path, name) else None
    made: Object = unread(held) if held is not None else _reader().read_elf(data, path, name)
    return made


def _held(data: bytes, path: str, name: str) -> Held | None:
    """What is kept of loads of a file: the kernel engine's record, which is read at once; of the
    userspace engine's only that there is one."""
    called = store.called(name, path)
    found = store.find(data, called)
    if found is not None:
        return Held(data, path, name, *found)
    return Held(data, path, name, None) if store.has(data, called, "vm") else None


def _given(source: Any, name: str) -> tuple[bytes, str, str] | None:
    """The bytes, path and name that `read_elf` takes; None for what its caller shall refuse."""
    if isinstance(source, bytes):
        return source, "", name or "object"
    try:
        path = os.fspath(source)
        if not isinstance(path, str):
            return None
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half of what Path takes
            return file.read(), path, name
    except (TypeError, ValueError):  # no path, or none that there can be
        return None


def _may_be_kept(data: bytes, path: str, name: str) -> bool:
    """Whether it is worth looking: this process has not read the file just now, and no library
    has registered what objects may say beyond osmia's own, which would have to be seen."""
    if _READER not in sys.modules:
        return True
    reader = _reader()
    return not (reader.extended() or reader.remembers(data, path, name))


def _reader() -> Any:
    return imported(_READER)  # waits for a thread that is just importing it
