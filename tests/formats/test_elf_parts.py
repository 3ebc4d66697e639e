"""The section that tells what a linked object was linked from: written, read, broken."""

from __future__ import annotations

import pytest

from osmia.elf import ElfFile, ElfWriter
from osmia.errors import ObjectFormatError
from osmia.formats.elf_parts import read_parts, write_parts
from osmia.formats.libbpf import PARTS_SECTION
from osmia.object import Object
from osmia.object.model import Function
from osmia.object.parts import Part


def with_section(contents: bytes) -> ElfFile:
    elf = ElfWriter()
    elf.add_section(PARTS_SECTION, data=contents)
    return ElfFile.parse(elf.to_bytes(), "x.o")


def an_object() -> Object:
    return Object("x", functions={key: Function(key, ".text", b"") for key in ("f", "b.c:f")})


def test_what_is_written_is_read() -> None:
    parts = {"a": Part({"f": "f"}), "b": Part({"f": "b.c:f"}, {}, {})}
    assert read_parts(with_section(write_parts(parts)), an_object()) == parts


def test_what_the_object_lacks_is_left_out() -> None:
    parts = {"a": Part({"f": "f", "gone": "gone"}, {"x": "y"}, {"m": "m"})}
    assert read_parts(with_section(write_parts(parts)), an_object()) == {"a": Part({"f": "f"})}


@pytest.mark.parametrize(
    "contents", [b"p", b"p\0", b"p\0a\0", b"p\0a\0\0x", b"f\0f\0\0", b"p\0a\0\0q\0f\0\0"]
)
def test_other_contents_are_an_error(contents: bytes) -> None:
    with pytest.raises(ObjectFormatError, match=r"x\.o: section '\.debug_osmia_parts'"):
        read_parts(with_section(contents), an_object())


def test_no_name_has_nul_in_it() -> None:
    with pytest.raises(ValueError, match="NUL"):
        write_parts({"a\0b": Part()})
