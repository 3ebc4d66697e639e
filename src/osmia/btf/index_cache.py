"""The index of the kernel's BTF, kept on disk: the next process need not walk 130,000 types.

An index is where each type's record starts, as far as somebody walked (see `partial_index`),
where those of some kinds may be and the offsets of their names (see `record_search`), and the
strings that hold a flavour. It is found under the sizes of the types and strings that it was
made of and their identity: the kernel's build id, which its linker made of all that is in it.
Without one the checksums take its place, in 2 ms.

Reading is safe. The cache's directory belongs to this user, and nobody else can write there
or above. A file that was cut off or damaged fails its length or its checksum and counts as
missing. Even then the reader takes no record on trust: each must lie inside the types, have
the length that its kind has, and end where the next starts, or it is an ObjectFormatError and
the file goes. What is left is a file that this very user forged to leave types out; who can do
that can change this process too.

Writers replace files whole. A file has at most 4 bytes a type, 8 for those of the kinds looked
for, and the flavoured strings, and those of the kernels used last are kept.
"""

from __future__ import annotations

import contextlib
import struct
from array import array
from functools import cached_property
from io import RawIOBase
from zlib import crc32

from osmia import cache
from osmia.btf.names import NameColumn
from osmia.btf.record_search import KindColumn
from osmia.btf.strings import StringSection
from osmia.named_tuples import NamedTuple

_INDEXES = "btf/indexes"
_KEPT = 4
#: In the host's byte order, like all that follows it: another host's file is none.
_MAGIC = 0x4F53_4D49
_VERSION = 2
#: Magic number, version, number of parts, checksum of the rest. The parts' numbers and sizes in
#: bytes follow, then the parts.
_HEADER = struct.Struct("=IIII")
_PART = struct.Struct("=II")
#: The parts: positions; flavoured strings; by kind, where its records may be, and their names.
_POSITIONS, _FLAVOURED, _PLACES, _NAMES = 0, 1, 0x100, 0x200
_MOST_PARTS = 64


class KeptIndex(NamedTuple):
    """An index as it is kept, numbers in words; `flavoured` is None if nobody asked."""

    positions: array[int]
    flavoured: list[str] | None
    columns: dict[int, KindColumn]


class IndexFile:
    """The file for the index of one BTF: of its type section's words and its strings.

    `identity` is a name that no other content ever has, "" when there is none.
    """

    def __init__(self, words: memoryview, strings: StringSection, identity: str = "") -> None:
        self._words = words
        self._strings = strings
        self._identity = identity

    @cached_property
    def name(self) -> str:
        """The file's name, which only this content has."""
        content = self._identity or f"{crc32(self._words):08x}{crc32(self._strings.view()):08x}"
        return f"{content}-{self._words.nbytes:x}-{len(self._strings):x}"

    def load(self) -> KeptIndex | None:
        """The index that an earlier process kept; None when there is none that is whole."""
        if not cache.lasts():
            return None
        file = cache.open_entry(_INDEXES, self.name)
        if file is None:
            return None
        with file, contextlib.suppress(OSError):
            return self._read(file)
        return None

    def _read(self, file: RawIOBase) -> KeptIndex | None:
        header = file.read(_HEADER.size) or b""
        if len(header) != _HEADER.size:
            return None
        magic, version, count, checksum = _HEADER.unpack(header)
        if (magic, version) != (_MAGIC, _VERSION) or count > _MOST_PARTS:
            return None
        table = file.read(count * _PART.size) or b""
        if len(table) != count * _PART.size:
            return None
        sizes = dict(_PART.iter_unpack(table))
        if max(sizes.values(), default=0) > self._words.nbytes + len(self._strings):
            return None
        parts = {}
        found = crc32(table)
        for number, size in sizes.items():
            part = _read_part(file, number, size)
            if part is None:
                return None
            parts[number] = part
            found = crc32(part, found)
        return None if found != checksum or file.read(1) else _unpacked(parts)

    def keep(self, index: KeptIndex) -> None:
        """Keep an index for later processes, where that is possible."""
        if not cache.lasts():
            return
        parts = _packed(index)
        table = b"".join(_PART.pack(number, part.nbytes) for number, part in parts.items())
        checksum = crc32(table)
        for part in parts.values():
            checksum = crc32(part, checksum)
        header = _HEADER.pack(_MAGIC, _VERSION, len(parts), checksum)
        content = b"".join((header, table, *parts.values()))
        with contextlib.suppress(OSError):
            path = cache.write(_INDEXES, self.name, content, durable=False)
            cache.prune(path.parent, _KEPT)

    def discard(self) -> None:
        """Remove the file, which does not fit what it is named for."""
        with contextlib.suppress(OSError):
            (cache.directory(_INDEXES) / self.name).unlink(missing_ok=True)


def _packed(index: KeptIndex) -> dict[int, memoryview]:
    """The parts of a file. Of what grows a copy: it could not while there is a view of it."""
    parts = {_POSITIONS: memoryview(index.positions.tobytes())}
    if index.flavoured is not None:
        strings = "\0".join(index.flavoured)
        parts[_FLAVOURED] = memoryview(strings.encode("utf-8", "surrogateescape"))
    for kind, column in index.columns.items():
        parts[_PLACES | kind] = memoryview(column.places)
        parts[_NAMES | kind] = memoryview(column.names.column)
    return parts


def _read_part(file: RawIOBase, number: int, size: int) -> bytes | array[int] | None:
    """The next part; None where it is cut off. Numbers are read to where they stay."""
    if number == _POSITIONS or number & _PLACES:
        numbers = array("I", [0]) * (size // 4)
        return numbers if size % 4 == 0 and file.readinto(numbers) == size else None
    part = file.read(size) or b""
    return part if len(part) == size else None


def _unpacked(parts: dict[int, bytes | array[int]]) -> KeptIndex | None:
    """The index in a file's parts; None where they do not belong together."""
    positions, flavoured = parts.get(_POSITIONS), parts.get(_FLAVOURED)
    columns = {}
    for number, places in parts.items():
        if number & _PLACES and isinstance(places, array):
            names = parts.get(number ^ _PLACES ^ _NAMES)
            if not isinstance(names, bytes) or len(names) != 4 * len(places):
                return None
            columns[number ^ _PLACES] = KindColumn(places, NameColumn(names))
    if not isinstance(positions, array):
        return None
    names_with = None
    if isinstance(flavoured, bytes):
        text = flavoured.decode("utf-8", "surrogateescape")
        names_with = text.split("\0") if text else []
    return KeptIndex(positions, names_with, columns)
