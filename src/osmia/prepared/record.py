"""The record of a load: a packed format of its own, in the host's byte order.

    magic, version, size of the body, BLAKE2b over key and body (16 bytes); the body:
    head, a row a map, a row a program

A row is its numbers, 8 bytes each, with the lengths of its byte strings behind them, then those
strings. A record is found under a key (`osmia.prepared.store`), which its checksum includes: a
file under another name is none.
"""

from __future__ import annotations

import struct

from osmia.named_tuples import NamedTuple

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from hashlib import blake2b as blake2b
    from typing import Any
else:
    try:
        from _blake2 import blake2b  # hashlib brings OpenSSL along, 3 ms
    except ImportError:  # a Python that was built without its own
        from hashlib import blake2b as blake2b

_MAGIC = b"osmP"
_VERSION = 1
_HEADER = struct.Struct("=4sIQ16s")
#: An instruction's place in the code, and the number of the map whose descriptor it takes.
FIXUP = struct.Struct("=II")
#: A map's number, an index in it, and the number of the map or program that is stored there.
SLOT = struct.Struct("=IIII")
BOUND = struct.Struct("=I")
#: Bytes of a record, and things in it. Larger objects are loaded in the ordinary way.
LARGEST = 64 << 20
_MOST = 1 << 16

# What a map is to its object.
MAP, TEMPLATE, SECTION = range(3)
# What becomes of a section's initial contents.
ZEROED, WRITTEN, FROZEN = range(3)


class BrokenRecordError(ValueError):
    """Bytes that are no record of this version, or not of this key."""


class MapRow(NamedTuple):
    """A map as BPF_MAP_CREATE takes it. `inner`: the number of its template, or -1."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    key_type_id: int
    value_type_id: int
    numa_node: int
    map_extra: int
    inner: int
    role: int
    contents_are: int
    name: bytes
    key: bytes  # of the map or section in the object
    contents: bytes


class ProgramRow(NamedTuple):
    """A program as BPF_PROG_LOAD takes it. `fixups` are FIXUPs, `bound` BOUNDs: the numbers of
    maps that live as long as it does."""

    type: int
    expected_attach_type: int
    flags: int
    kernel_version: int
    attach_btf_id: int
    name: bytes
    code: bytes
    func_info: bytes
    line_info: bytes
    fixups: bytes
    bound: bytes


class Record(NamedTuple):
    """All of a load. `slots` are SLOTs whose third number is 1 for programs, 0 for maps."""

    name: str
    license: str
    btf: bytes
    slots: bytes
    maps: tuple[MapRow, ...]
    programs: tuple[ProgramRow, ...]


_MAP_NUMBERS, _MAP_STRINGS = 12, 3
_PROGRAM_NUMBERS, _PROGRAM_STRINGS = 5, 6
_HEAD_NUMBERS, _HEAD_STRINGS = 2, 4


def packed(record: Record, key: str) -> bytes:
    """The bytes of the file."""
    head = (
        len(record.maps),
        len(record.programs),
        encoded(record.name),
        encoded(record.license),
        record.btf,
        record.slots,
    )
    rows = [row_of(head, _HEAD_NUMBERS)]
    rows += [row_of(each, _MAP_NUMBERS) for each in record.maps]
    rows += [row_of(each, _PROGRAM_NUMBERS) for each in record.programs]
    return sealed(b"".join(rows), key)


def sealed(body: bytes, key: str) -> bytes:
    """The bytes of a file with these rows."""
    return _HEADER.pack(_MAGIC, _VERSION, len(body), _checksum(key, body)) + body


def unsealed(data: bytes, key: str) -> Rows:
    """The rows in a file. BrokenRecordError for what `sealed` did not make under this key."""
    if len(data) < _HEADER.size:
        raise BrokenRecordError("cut off")
    magic, version, size, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if (magic, version, size) != (_MAGIC, _VERSION, len(body)) or size > LARGEST:
        raise BrokenRecordError("no record of this version and size")
    if _checksum(key, body) != checksum:
        raise BrokenRecordError("damaged, or of another key")
    return Rows(body)


def unpacked(data: bytes, key: str) -> Record:
    """The record in a file. BrokenRecordError for what `packed` did not make under this key."""
    rows = unsealed(data, key)
    maps, programs, name, license_text, btf, slots = rows.take(_HEAD_NUMBERS, _HEAD_STRINGS)
    check_counts(maps, programs)
    record = Record(
        text(name),
        text(license_text),
        btf,
        slots,
        tuple(MapRow(*rows.take(_MAP_NUMBERS, _MAP_STRINGS)) for _ in range(maps)),
        tuple(ProgramRow(*rows.take(_PROGRAM_NUMBERS, _PROGRAM_STRINGS)) for _ in range(programs)),
    )
    rows.end()
    check(record)
    return record


def check_counts(*counts: int) -> None:
    """See that there can be so many rows. BrokenRecordError where not."""
    if not all(0 <= each <= _MOST for each in counts):
        raise BrokenRecordError("too many rows")


def _checksum(key: str, body: bytes) -> bytes:
    whole = blake2b(key.encode()).digest()  # BLAKE2 takes 64 bytes of a key, and they are longer
    return blake2b(body, digest_size=16, key=whole).digest()


def row_of(values: tuple[int | bytes, ...], numbers: int) -> bytes:
    """A row: so many numbers, and the strings behind them."""
    strings = [each for each in values[numbers:] if isinstance(each, bytes)]
    shape = f"={len(values)}q"
    return struct.pack(shape, *values[:numbers], *map(len, strings)) + b"".join(strings)


class Rows:
    """Reads row after row; what does not fit is a BrokenRecordError."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, numbers: int, strings: int) -> tuple[Any, ...]:
        """The values of the next row."""
        shape = f"={numbers + strings}q"
        try:
            values = struct.unpack_from(shape, self._body, self._at)
        except struct.error:
            raise BrokenRecordError("cut off") from None
        at = self._at + 8 * len(values)
        row: list[int | bytes] = list(values[:numbers])
        for length in values[numbers:]:
            if not 0 <= length <= len(self._body) - at:
                raise BrokenRecordError("cut off")
            row.append(self._body[at : at + length])
            at += length
        self._at = at
        return tuple(row)

    def end(self) -> None:
        """See that nothing is left."""
        if self._at != len(self._body):
            raise BrokenRecordError("more than a record")


def encoded(name: str) -> bytes:
    """A name as rows have it; file names may hold bytes that are no text."""
    return name.encode("utf-8", "surrogatepass")


def text(name: bytes) -> str:
    """A name of a row."""
    return name.decode("utf-8", "surrogatepass")


def check(record: Record) -> None:
    """See that what refers to maps and programs finds them, and all numbers fit their fields.
    BrokenRecordError where not."""
    maps, programs = len(record.maps), len(record.programs)
    for number, row in enumerate(record.maps):
        _demand(-1 <= row.inner < number)
        _demand(row.inner < 0 or record.maps[row.inner].role == TEMPLATE)
        _demand(not any(each >> 32 for each in (*row[:8], row.role, row.contents_are)))
        _demand(not row.map_extra >> 63)
        _demand(row.role != SECTION or len(row.contents) == row.value_size)
    for program in record.programs:
        _demand(not any(each >> 32 for each in program[:5]) and not len(program.code) % 8)
        _demand(not len(program.func_info) % 8 and not len(program.line_info) % 16)
        _demand(not len(program.fixups) % FIXUP.size and not len(program.bound) % BOUND.size)
        for offset, number in FIXUP.iter_unpack(program.fixups):
            _demand(not offset % 8 and offset + 16 <= len(program.code) and number < maps)
        _demand(all(number < maps for (number,) in BOUND.iter_unpack(program.bound)))
    _demand(not len(record.slots) % SLOT.size)
    for number, _, is_program, target in SLOT.iter_unpack(record.slots):
        _demand(number < maps and is_program < 2 and target < (programs if is_program else maps))


def _demand(holds: bool) -> None:
    if not holds:
        raise BrokenRecordError("its parts do not fit each other")
