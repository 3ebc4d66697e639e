"""Open a BPF object file, whatever its dialect."""

from __future__ import annotations

import importlib
import os
import sys
import warnings

from osmia.arguments import names_wrong_arguments
from osmia.btf import Kind
from osmia.elf import ElfFile
from osmia.errors import LegacyObjectWarning, OsmiaWarning
from osmia.formats import libbpf
from osmia.object.model import Object, Pinning
from osmia.object.strict_btf import check_types
from osmia.object.uapi import ProgramType

DIALECTS = ("libbpf", "iproute2")
#: How many of the objects read last are remembered, and up to which size of the file and of
#: its data, in bytes.
_REMEMBERED_OBJECTS = 16
_REMEMBERED_SIZE = 1 << 20


@names_wrong_arguments
def open_object(
    source: str | os.PathLike[str] | bytes | bytearray,
    *,
    name: str = "",
    dialect: str | None = None,
    program_type: ProgramType | None = None,
    strict_btf: bool = False,
) -> Object:
    """`osmia.open`, whose docstring says what the arguments are, for who wants the file read now:
    no kept load takes its place."""
    if isinstance(source, bytes | bytearray):
        data, path, name = bytes(source), "", name or "object"
    else:
        path = os.fspath(source)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half of what Path takes
            data = file.read()
    return read_elf(
        data,
        path,
        name,
        dialect=dialect,
        program_type=program_type,
        strict_btf=strict_btf,
    )


def read_elf(
    data: bytes,
    path: str,
    name: str,
    *,
    dialect: str | None = None,
    program_type: ProgramType | None = None,
    strict_btf: bool = False,
) -> Object:
    """The Object of an ELF file's bytes; `path` is where it is from, for messages."""
    if dialect not in (None, *DIALECTS):
        raise ValueError(f"dialect is one of {', '.join(map(repr, DIALECTS))}, not {dialect!r}")
    read = _read if len(data) > _REMEMBERED_SIZE else _read_once
    obj = read(data, path, name, dialect, program_type)
    kind = LegacyObjectWarning if obj.dialect == "iproute2" else OsmiaWarning
    for remark in obj.remarks:
        warnings.warn(f"{path or obj.name}: {remark}", kind, stacklevel=_frames_of_ours())
    if strict_btf:
        check_types(obj)
    return obj


def _frames_of_ours() -> int:
    """How far up the caller of osmia is: warnings are about what it does."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("osmia."):
        level, frame = level + 1, frame.f_back
    return level


def _read(
    data: bytes, path: str, name: str, dialect: str | None, program_type: ProgramType | None
) -> Object:
    elf = ElfFile.parse(data, path or name)
    if dialect == "iproute2" or (dialect is None and libbpf.has_older_maps(elf)):
        from osmia.formats import iproute2

        obj = iproute2.read_object(elf, path, name, program_type)
    else:
        obj = libbpf.read_object(elf, path, name)
    if Pinning.OBJECT in [each.pinning for each in obj.maps.values()]:
        import hashlib  # brings OpenSSL along, 3 ms

        obj.pin_digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if _has_tags(obj):
        from osmia.object.declaration_tags import apply_tags

        obj = apply_tags(obj)
    return obj


def _has_tags(obj: Object) -> bool:
    return obj.btf is not None and bool(obj.btf.ids_of_kind(Kind.DECL_TAG))


def _further_tags() -> int:
    """How many declaration tags libraries have registered: what they do is seen each time."""
    return _further("osmia.object.declaration_tags")


def extended() -> bool:
    """Whether a library has registered what objects may say beyond osmia's own."""
    return bool(_further_tags() or _further("osmia.object.map_attributes"))


def _further(registry: str) -> int:
    """How much libraries have added to what a module has; nothing where nobody imported it."""
    if registry not in sys.modules:
        return 0
    added: int = importlib.import_module(registry).further()  # another thread may be importing it
    return added


class Remembered:
    """An Object as it was read, of which copies were given out, and from what."""

    __slots__ = ("data", "name", "object", "seen")

    def __init__(self, obj: Object, data: bytes, name: str) -> None:
        self.object = obj
        self.data = data
        self.name = name  # the one given, "" for that of the file
        self.seen: set[str] = set()  # by who keeps loads of these engines


#: What was read last, by all that was asked: known by its bytes, so never out of date.
_remembered: dict[tuple[object, ...], Remembered] = {}


def remembers(data: bytes, path: str, name: str) -> bool:
    """Whether a file that is opened without more options gives a copy of what was read before."""
    return (data, path, name, None, None, _further_tags()) in _remembered


def as_read(obj: Object, engine: str) -> Remembered | None:
    """From what `obj` was read, where it says what it said then; only of those read last,
    without more options, and not `seen` yet by who keeps an engine's loads."""
    first = next(iter(obj.functions.values()), None)
    # A list: other threads open files meanwhile.
    for (*_, dialect, program_type, _further), each in list(_remembered.items()):
        if dialect is not None or program_type is not None or engine in each.seen:
            continue
        # Copies have the same functions, which nobody can change: cheap, and mostly enough.
        if first is next(iter(each.object.functions.values()), None):
            return each if each.object == obj else None
    return None


def _read_once(
    data: bytes, path: str, name: str, dialect: str | None, program_type: ProgramType | None
) -> Object:
    """`_read`; who opens a file again (a test suite, a supervisor, one object for many
    interfaces) gets a copy of what was read the first time.

    Attributes of maps beyond libbpf's and declaration tags of libraries are for functions that
    want to see them each time, and large zeroed sections are made faster than copied.
    """
    key = (data, path, name, dialect, program_type, _further_tags())
    known = _remembered.get(key)
    if known is not None:
        return known.object.copy()
    found = _read(data, path, name, dialect, program_type)
    size = sum(len(section.contents) for section in found.data_sections.values())
    seen_each_time = any(each.attributes for each in found.maps.values()) or (
        _further_tags() and _has_tags(found)
    )
    if size <= _REMEMBERED_SIZE and not seen_each_time:
        _remembered[key] = Remembered(found.copy(), data, name)
        for oldest in list(_remembered)[:-_REMEMBERED_OBJECTS]:
            _remembered.pop(oldest, None)
    return found
