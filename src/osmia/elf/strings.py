"""ELF string tables: names by offset, at a cost that the table's size bounds."""

from __future__ import annotations

from osmia.errors import ObjectFormatError

# Names may share bytes: "bar" is the tail of "foobar". Honest tables do that a little;
# a hostile one lets every symbol name a different tail of one huge string, which is
# quadratic in memory. So the bytes that different offsets may give in all are bounded.
_SHARING_LIMIT = 16
_FREE_BYTES = 64 * 1024


class StringTable:
    """The names in `data`; `file` and `offset` (of the section, in bytes) are for errors."""

    def __init__(self, data: bytes, *, file: str, offset: int) -> None:
        self._data = data
        self._file = file
        self._offset = offset
        self._names: dict[int, str] = {0: ""} if not data or data[0] == 0 else {}
        self._budget = _SHARING_LIMIT * len(data) + _FREE_BYTES

    def __getitem__(self, offset: int) -> str:
        """The name at `offset`; `ObjectFormatError` if it is not inside or has no end."""
        name = self._names.get(offset)
        if name is None:
            name = self._names[offset] = self._read(offset)
        return name

    def _read(self, offset: int) -> str:
        if offset >= len(self._data):
            raise self._error("a name is past the end of the string table", offset)
        end = self._data.find(b"\0", offset)
        if end < 0:
            raise self._error("a name in the string table does not end", offset)
        self._budget -= end - offset
        if self._budget < 0:
            raise self._error("the names in the string table overlap too much", offset)
        # Names are bytes to ELF; what is not UTF-8 survives the round trip to the writer.
        return self._data[offset:end].decode("utf-8", "surrogateescape")

    def _error(self, message: str, offset: int) -> ObjectFormatError:
        return ObjectFormatError(message, file=self._file, offset=self._offset + offset)
