"""`.BTF.ext`: functions, source lines and CO-RE records of a BPF object's code.

Source: Documentation/bpf/btf.rst, "BTF.ext". Records are grouped by ELF section;
instruction offsets are in bytes into the section.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.btf.layout import (
    MAGIC,
    VERSION,
    ByteOrder,
    detect_byteorder,
    native_words,
    struct_order,
)
from osmia.btf.reader import BTF
from osmia.errors import ObjectFormatError
from osmia.kept_values import kept_value
from osmia.named_tuples import NamedTuple

_HEADER_WITHOUT_CORE = 24
_HEADER = 32
_COLUMN_BITS = 10
LINE_SIZE = 16  # bytes: struct bpf_line_info as the kernel takes it


class FunctionInfo(NamedTuple):
    """A function starts at `offset`; `type_id` is its `Func`."""

    offset: int
    type_id: int


class LineInfo(NamedTuple):
    """The code from `offset` on comes from this line; `text` is the line itself."""

    offset: int
    file: str
    text: str
    line: int
    column: int


class CoreInfo(NamedTuple):
    """A CO-RE record: `access` ("0:1:2") into `type_id`, `kind` an enum bpf_core_relo_kind."""

    offset: int
    type_id: int
    access: str
    kind: int


class BTFExt:
    """The contents of a `.BTF.ext` section, each of its three parts parsed when asked for.

    Raises ObjectFormatError, here or when a part is first read.
    """

    def __init__(self, data: bytes | bytearray | memoryview, btf: BTF) -> None:
        self._data = memoryview(data)
        self._btf = btf
        self._order = struct_order(self._check_magic())
        self._parts = self._parse_header()

    def _check_magic(self) -> ByteOrder:
        if len(self._data) < _HEADER_WITHOUT_CORE:
            raise self._error(f".BTF.ext of {len(self._data)} bytes is too short", 0)
        byteorder = detect_byteorder(self._data, self._btf.name)
        if byteorder != self._btf.byteorder:
            raise self._error(".BTF.ext and .BTF differ in byte order", 0)
        return byteorder

    def _parse_header(self) -> dict[str, tuple[int, int]]:
        version, _flags, size = struct.unpack_from(self._order + "BBI", self._data, 2)
        if version != VERSION:
            raise self._error(f".BTF.ext version {version} is not known", 2)
        if not _HEADER_WITHOUT_CORE <= size <= len(self._data):
            raise self._error(f".BTF.ext header length {size} is impossible", 4)
        parts = {}
        names = ("functions", "lines", "core") if size >= _HEADER else ("functions", "lines")
        for number, name in enumerate(names):
            start, length = struct.unpack_from(self._order + "II", self._data, 8 + 8 * number)
            if size + start + length > len(self._data):
                raise self._error(f".BTF.ext {name} reach past the end", 8 + 8 * number)
            parts[name] = (size + start, size + start + length)
        return parts

    def _error(self, message: str, offset: int) -> ObjectFormatError:
        return ObjectFormatError(message, file=self._btf.name, offset=offset)

    @kept_value
    def functions(self) -> dict[str, list[FunctionInfo]]:
        """Where functions start, by section."""
        return {
            section: [FunctionInfo._make(record) for record in records]
            for section, records in self._sections("functions", 2).items()
        }

    @kept_value
    def function_ids(self) -> dict[str, dict[int, int]]:
        """The same as `Func`s by offset, by section; of several at one place the first."""
        found: dict[str, dict[int, int]] = {}
        for section, size, words in self._chunks("functions", 2):
            ids = found.setdefault(section, {})
            for offset, type_id in zip(
                words[0::size].tolist(), words[1::size].tolist(), strict=True
            ):
                ids.setdefault(offset, type_id)
        return found

    @kept_value
    def line_words(self) -> dict[str, array[int]]:
        """Source lines by section as the kernel takes them: four words a line, in the host's
        order: offset, file and text (string offsets), line and column packed."""
        found: dict[str, array[int]] = {}
        for section, size, stored in self._chunks("lines", 4):
            words = array("I", stored.tobytes())
            if size > 4:  # a later version's records, with more behind these four
                for field in range(size - 1, 3, -1):
                    del words[field :: field + 1]
            if section in found:
                found[section].extend(words)
            else:
                found[section] = words
        return found

    @kept_value
    def lines(self) -> dict[str, list[LineInfo]]:
        """Source lines by section."""
        string = self._btf.string
        mask = (1 << _COLUMN_BITS) - 1
        return {
            section: [
                LineInfo(offset, string(file), string(text), where >> _COLUMN_BITS, where & mask)
                for offset, file, text, where in zip(
                    words[0::4], words[1::4], words[2::4], words[3::4], strict=True
                )
            ]
            for section, words in self.line_words.items()
        }

    @kept_value
    def core(self) -> dict[str, list[CoreInfo]]:
        """CO-RE records by section."""
        string = self._btf.string
        return {
            section: [
                CoreInfo(offset, type_id, string(access), kind)
                for offset, type_id, access, kind in records
            ]
            for section, records in self._sections("core", 4).items()
        }

    def _sections(self, part: str, fields: int) -> dict[str, list[tuple[int, ...]]]:
        """Each section's records, the first `fields` words of each."""
        found: dict[str, list[tuple[int, ...]]] = {}
        for section, size, words in self._chunks(part, fields):
            columns = [words[field::size].tolist() for field in range(fields)]
            found.setdefault(section, []).extend(zip(*columns, strict=True))
        return found

    def _chunks(self, part: str, fields: int) -> Iterator[tuple[str, int, memoryview]]:
        """(section, words a record, words of all records in the host's order) of one part; a
        section may be there again."""
        start, end = self._parts.get(part, (0, 0))
        if start == end:
            return
        if (end - start) % 4:
            raise self._cut_off(part, end)
        words = native_words(self._data[start:end], self._btf.byteorder)
        size, odd = divmod(words[0], 4)
        if size < fields or odd:
            problem = f".BTF.ext {part} of {words[0]} bytes each are not possible"
            raise self._error(problem, start)
        position, count = 1, len(words)
        while position < count:
            if position + 2 > count:
                raise self._cut_off(part, end)
            name, records = words[position], words[position + 1]
            first, position = position + 2, position + 2 + records * size
            if not records or position > count:
                problem = f".BTF.ext {part}: a section of {records} records"
                raise self._error(problem, start + 4 * first - 4)
            yield self._btf.string(name), size, words[first:position]

    def _cut_off(self, part: str, end: int) -> ObjectFormatError:
        return self._error(f".BTF.ext {part} are cut off", end)


@names_wrong_arguments
def build_btf_ext(
    *,
    functions: Mapping[str, Sequence[FunctionInfo]],
    lines: Mapping[str, Sequence[LineInfo] | bytes],
    core: Mapping[str, Sequence[CoreInfo]],
    add_string: Callable[[str], int],
    byteorder: ByteOrder = "little",
) -> bytes:
    """The bytes of a `.BTF.ext` section.

    `add_string` gives the offset of a string in the `.BTF` that goes with it, usually
    `BTFBuilder.add_string`. Lines may be packed already, as struct bpf_line_info with offsets in
    bytes and strings in that `.BTF`. Line numbers and columns that do not fit are cut to their
    largest value (22 and 10 bits).
    """
    order = struct_order(byteorder)

    def part(fields: int, sections: Mapping[str, Sequence[tuple[int, ...]] | bytes]) -> bytes:
        filled = {name: records for name, records in sections.items() if records}
        if not filled:
            return b""
        record = struct.Struct(f"{order}{fields}I")
        pieces = [struct.pack(order + "I", record.size)]
        for name, records in filled.items():
            if isinstance(records, bytes):
                count = len(records) // record.size
                packed: Iterable[bytes] = (records,)
            else:
                count, packed = len(records), (record.pack(*entry) for entry in records)
            pieces.append(struct.pack(order + "II", add_string(name), count))
            pieces.extend(packed)
        return b"".join(pieces)

    parts = (
        part(2, functions),
        part(
            4,
            {
                name: found
                if isinstance(found, bytes)
                else [_pack_line(e, add_string) for e in found]
                for name, found in lines.items()
            },
        ),
        part(
            4,
            {
                name: [(e.offset, e.type_id, add_string(e.access), e.kind) for e in found]
                for name, found in core.items()
            },
        ),
    )
    header = [_HEADER]
    offset = 0
    for contents in parts:
        header += [offset, len(contents)]
        offset += len(contents)
    return struct.pack(order + "HBB7I", MAGIC, VERSION, 0, *header) + b"".join(parts)


def _pack_line(line: LineInfo, add_string: Callable[[str], int]) -> tuple[int, int, int, int]:
    column = min(line.column, (1 << _COLUMN_BITS) - 1)
    number = min(line.line, (1 << 32 - _COLUMN_BITS) - 1)
    file, text = add_string(line.file), add_string(line.text)
    return line.offset, file, text, number << _COLUMN_BITS | column
