"""Static probes (USDT) in programs and libraries: the notes in `.note.stapsdt`.

Whoever marks a place in a program (`DTRACE_PROBE` and the like of <sys/sdt.h>) leaves
a nop there and a note: its address, that of a section `.stapsdt.base` as the linker saw it
(so that a later shift of the whole file can be told), that of a counter to hold up while
somebody listens, and three strings: provider, name, arguments. The format is SystemTap's
(https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from osmia.elf.format import SectionType
from osmia.elf.model import Section
from osmia.elf.reader import ElfFile
from osmia.errors import ObjectFormatError
from osmia.records import dataclass

_SECTION = ".note.stapsdt"
_BASE_SECTION = ".stapsdt.base"
_OWNER = b"stapsdt\0"
_NOTE_TYPE = 3
_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class StaticProbe:
    """A place in code that its author marked. A mark that was inlined has several.

    `address` is in the loaded image, before it is moved anywhere; `offset` the same place
    in the file; `semaphore` the file offset of the counter, 0 when there is none.
    `arguments` say where the compiler keeps each: "-4@%edi 8@$1".
    """

    provider: str
    name: str
    arguments: str
    address: int
    offset: int
    semaphore: int


def static_probes(elf: ElfFile) -> Iterator[StaticProbe]:
    """All probes of a program or library, in the order of their notes; none is no error.

    Raises ObjectFormatError for notes that are broken or name places outside of the file.
    """
    base = elf.section(_BASE_SECTION)
    end = 0
    for section in sorted(elf.sections, key=lambda each: each.offset):
        if section.name == _SECTION and section.type == SectionType.NOTE:
            if section.offset < end:  # no file reads the same notes twice
                raise _error(elf, "sections of static probes overlap", section.offset)
            end = section.offset + section.size
            for offset, description in _notes(elf, section):
                yield _probe(elf, base, section.offset + offset, description)


def _notes(elf: ElfFile, section: Section) -> Iterator[tuple[int, bytes]]:
    """Offset within the section and description of each note that is a probe's."""
    header = struct.Struct(_order(elf) + "3I")
    data, position = section.data, 0
    while position < len(data):
        if len(data) - position < header.size:
            raise _error(elf, "truncated note", section.offset + position)
        name_size, size, kind = header.unpack_from(data, position)
        name = position + header.size
        description = name + _aligned(name_size)
        end = description + size
        if end > len(data):
            raise _error(elf, "note that ends beyond its section", section.offset + position)
        if kind == _NOTE_TYPE and data[name : name + name_size] == _OWNER:
            yield position, bytes(data[description:end])
        position = description + _aligned(size)


def _probe(elf: ElfFile, base: Section | None, where: int, description: bytes) -> StaticProbe:
    addresses = struct.Struct(f"{_order(elf)}{_ADDRESSES}{'Q' if elf.is_64_bit else 'I'}")
    texts = description[addresses.size :].split(b"\0")
    if len(description) < addresses.size or len(texts) < 4:
        raise _error(elf, "static probe without addresses and three strings", where)
    address, noted_base, semaphore = addresses.unpack_from(description)
    provider, name, arguments = (text.decode("utf-8", "surrogateescape") for text in texts[:3])
    shift = base.address - noted_base if base is not None and noted_base else 0
    address += shift
    offset = elf.file_offset(address)
    counter = elf.file_offset(semaphore + shift) if semaphore else 0
    if offset is None or counter is None:
        what = "place" if offset is None else "semaphore"
        raise _error(elf, f"static probe {provider}:{name}: its {what} is not in the file", where)
    return StaticProbe(provider, name, arguments, address, offset, counter)


def _order(elf: ElfFile) -> str:
    return "<" if elf.byteorder == "little" else ">"


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def _error(elf: ElfFile, message: str, offset: int) -> ObjectFormatError:
    return ObjectFormatError(message, file=elf.name or None, offset=offset)
