"""The index of the kernel's BTF, kept on disk: the next process need not walk 130,000 types.

An index is where each type's record starts, the name offsets of all types in one column,
and the strings that hold a flavour. It is found under the checksums and sizes of the types
and strings that it was made of, whatever release or build id a kernel claims: an index of
other types is never taken for theirs. The checksums take 2 ms, so a second file remembers
them as long as the machine runs, under a name for what the kernel cannot change until then.

Reading is safe. The cache's directory belongs to this user, and nobody else can write there
or above. A file that was cut off or damaged fails its length or its checksum and counts as
missing. Even then the reader takes no record on trust: each must lie inside the types, have
the length that its kind has, end where the next starts, and bear the name that the column
says, or it is an ObjectFormatError and the file goes. What is left is a file that this very
user forged to leave types out; who can do that can change this process too.

Writers replace files whole. A file has at most 8 bytes a type and the flavoured strings, and
those of the kernels used last are kept.
"""

from __future__ import annotations

import contextlib
import re
import struct
from functools import cached_property
from io import RawIOBase
from zlib import crc32

from osmia import cache
from osmia.btf.layout import RECORD_WORDS
from osmia.btf.strings import StringSection
from osmia.named_tuples import NamedTuple

_INDEXES = "btf/indexes"
_KEPT = 4
#: From a BTF's identity to the name of its index.
_IDENTITIES = "btf/identities"
_IDENTITIES_KEPT = 32
#: In the host's byte order, like all that follows it: another host's file is none.
_MAGIC = 0x4F53_4D49
_VERSION = 1
#: Magic number, version, number of types, size of the flavoured strings, checksum of the rest.
_HEADER = struct.Struct("=IIIII")


class KeptIndex(NamedTuple):
    """An index as it was kept; `positions` in words, `column` 4 bytes a type in host order."""

    positions: memoryview
    column: bytes
    flavoured: list[str]


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
        remembered = self._remembered_name()
        if remembered:
            return remembered
        checksums = f"{crc32(self._words):08x}{crc32(self._strings.view()):08x}"
        name = f"{checksums}-{self._sizes}"
        if self._identity and cache.lasts():
            with contextlib.suppress(OSError):
                path = cache.write(_IDENTITIES, self._identity, name.encode(), durable=False)
                cache.prune(path.parent, _IDENTITIES_KEPT)
        return name

    @property
    def _sizes(self) -> str:
        return f"{self._words.nbytes:x}-{len(self._strings):x}"

    def _remembered_name(self) -> str:
        if not self._identity or not cache.lasts():
            return ""
        name = (cache.read(_IDENTITIES, self._identity) or b"").decode("ascii", "replace")
        whole = re.fullmatch(r"[0-9a-f]{16}-(.+)", name)
        return name if whole is not None and whole[1] == self._sizes else ""

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
        header = file.read(_HEADER.size)
        if header is None or len(header) != _HEADER.size:
            return None
        magic, version, count, flavoured, checksum = _HEADER.unpack(header)
        if (magic, version) != (_MAGIC, _VERSION):
            return None
        if count > len(self._words) // RECORD_WORDS or flavoured > len(self._strings):
            return None
        # Each part is read into its own memory: 500 kB less to copy.
        parts = [file.read(size) or b"" for size in (4 * count, 4 * count, flavoured + 1)]
        positions, column, strings = parts
        if (len(positions), len(column), len(strings)) != (4 * count, 4 * count, flavoured):
            return None
        if crc32(strings, crc32(column, crc32(positions))) != checksum:
            return None
        text = strings.decode("utf-8", "surrogateescape")
        names = text.split("\0") if text else []
        return KeptIndex(memoryview(positions).cast("I"), column, names)

    def keep(self, positions: memoryview, column: bytes, flavoured: list[str]) -> None:
        """Keep an index for later processes, where that is possible."""
        if not cache.lasts():
            return
        strings = "\0".join(flavoured).encode("utf-8", "surrogateescape")
        body = b"".join((positions, column, strings))
        header = _HEADER.pack(_MAGIC, _VERSION, len(positions), len(strings), crc32(body))
        with contextlib.suppress(OSError):
            path = cache.write(_INDEXES, self.name, header + body, durable=False)
            cache.prune(path.parent, _KEPT)

    def discard(self) -> None:
        """Remove the file, which does not fit what it is named for."""
        with contextlib.suppress(OSError):
            (cache.directory(_INDEXES) / self.name).unlink(missing_ok=True)
