"""BTF's string section: NUL-terminated strings, named by their offset, searched as bytes."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osmia.errors import ObjectFormatError

if TYPE_CHECKING:
    from osmia.btf.reader import BTF

#: What is most likely wrong where a BTF without base has names that are not in it.
SPLIT = "types on top of others (split BTF): name the base"

# Names may share bytes: "int" is the end of "print". Writers do that a little; a hostile one
# lets each name be another end of one huge string, which is quadratic in memory. So the bytes
# that all names may have together are bounded.
_SHARING_LIMIT = 16
_FREE_BYTES = 64 * 1024


class StringSection:
    """The strings in `data[start:end]`; all offsets here are from the section's start.

    Strings of a file that is mapped are searched where they are: copying the kernel's 2 MB
    into new memory takes longer than a hundred searches.
    """

    __slots__ = ("_budget", "_end", "_source", "_start")

    def __init__(
        self, data: bytes | bytearray | memoryview | mmap.mmap, start: int, end: int
    ) -> None:
        self._source: bytes | mmap.mmap
        if isinstance(data, mmap.mmap):
            self._source, self._start, self._end = data, start, end
        else:
            self._source, self._start, self._end = bytes(data[start:end]), 0, end - start
        self._budget = _SHARING_LIMIT * len(self) + _FREE_BYTES

    def __len__(self) -> int:
        """The size in bytes."""
        return self._end - self._start

    def at(self, offset: int) -> str:
        """The string at `offset`; bytes that are no UTF-8 become surrogates.

        Callers keep what they get: OverflowError when strings overlap so much that all of
        them together are many times as long as the section. IndexError for one outside.
        """
        first, last, source = self._start, self._end, self._source
        start = first + offset
        if not first <= start < last:
            raise IndexError(f"{offset} lies outside the strings")
        end = source.find(b"\0", start, last)
        self._budget = left = self._budget - end + start
        if left < 0:
            raise OverflowError("the strings overlap too much")
        return str(source[start:end], "utf-8", "surrogateescape")

    def find(self, pattern: bytes, start: int = 0) -> int:
        """Where `pattern` stands, from `start` on; -1 when nowhere."""
        position = self._source.find(pattern, self._start + start, self._end)
        return position - self._start if position >= 0 else -1

    def startswith(self, pattern: bytes) -> bool:
        """Whether the section starts with these bytes."""
        return self._source[self._start : min(self._start + len(pattern), self._end)] == pattern

    def is_terminated(self) -> bool:
        """Whether the last string ends in NUL."""
        return self._start < self._end and self._source[self._end - 1 : self._end] == b"\0"

    def offsets_of(self, name: bytes, *, unique: bool) -> list[int]:
        """Every offset at which `name` stands as a NUL-terminated string.

        That includes the ends of longer strings: a writer may store "print" and let "int"
        begin in the middle of it. With `unique`, no writer did, nor stored a name twice:
        the first whole string is the only one.
        """
        if unique:
            position = self.find(b"\0" + name + b"\0")
            return [position + 1] if position >= 0 else []
        return list(self._each(name + b"\0"))

    def _each(self, pattern: bytes) -> Iterator[int]:
        position = self.find(pattern)
        while position >= 0:
            yield position
            position = self.find(pattern, position + 1)

    def containing(self, part: bytes) -> list[str]:
        """The strings in which `part` stands, each once. ValueError for no part of one."""
        if not part or b"\0" in part:
            raise ValueError(f"part={part!r:.80}: some bytes of a string are needed")
        found = []
        position = self.find(part)
        while position >= 0:
            start = self._source.rfind(b"\0", self._start, self._start + position) + 1
            found.append(self.at(max(start - self._start, 0)))
            position = self.find(part, self.find(b"\0", position))
        return found

    def view(self) -> memoryview:
        """The section's bytes, not copied."""
        return memoryview(self._source)[self._start : self._end]


class StringsRead(dict[int, str]):
    """Strings by their offsets in a BTF called `name`, read when they are first asked for.

    Those of `base` come before the section's. ObjectFormatError for one outside.
    """

    __slots__ = ("_at", "_base", "_first", "_name")

    def __init__(self, section: StringSection, base: BTF | None, name: str) -> None:
        super().__init__()
        self._at = section.at
        self._base = base
        self._first = base.string_size if base is not None else 0
        self._name = name

    def __missing__(self, offset: int) -> str:
        try:
            text = self._at(offset - self._first)
        except IndexError:
            text = self._of_base(offset)
        except OverflowError as error:
            raise ObjectFormatError(f"BTF: {error}", file=self._name) from None
        self[offset] = text
        return text

    def _of_base(self, offset: int) -> str:
        if offset < self._first and self._base is not None:
            return self._base.string(offset)
        problem = f"string offset {offset} lies outside the strings"
        problem += f", unless these are {SPLIT}" if self._base is None else ""
        raise ObjectFormatError(problem, file=self._name)
