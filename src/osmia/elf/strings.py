"""ELF string tables: names by offset, at a cost that the table's size bounds."""

from __future__ import annotations

from osmia.errors import ObjectFormatError

# Names may share bytes: "bar" is the tail of "foobar". Honest tables do that a little;
# a hostile one lets every symbol name a different tail of one huge string, which is
# quadratic in memory. So the bytes that different offsets may give in all are bounded.
_SHARING_LIMIT = 16
_FREE_BYTES = 64 * 1024


class StringTable(dict[int, str]):
    """The names in `data` by their offsets, read when they are first asked for.

    `file` and `offset` (of the section, in bytes) are for errors: `ObjectFormatError` for a
    name that is not inside or has no end.
    """

    __slots__ = ("_budget", "_data", "_file", "_offset")

    def __init__(self, data: bytes, *, file: str, offset: int) -> None:
        super().__init__({0: ""} if not data or data[0] == 0 else {})
        self._data = data
        self._file = file
        self._offset = offset
        self._budget = _SHARING_LIMIT * len(data) + _FREE_BYTES

    def __missing__(self, offset: int) -> str:
        data = self._data
        end = data.find(b"\0", offset)
        if end < 0:
            if offset >= len(data):
                raise self._error("a name is past the end of the string table", offset)
            raise self._error("a name in the string table does not end", offset)
        self._budget = left = self._budget - end + offset
        if left < 0:
            raise self._error("the names in the string table overlap too much", offset)
        # Names are bytes to ELF; what is not UTF-8 survives the round trip to the writer.
        name = self[offset] = str(data[offset:end], "utf-8", "surrogateescape")
        return name

    def _error(self, message: str, offset: int) -> ObjectFormatError:
        return ObjectFormatError(message, file=self._file, offset=self._offset + offset)
