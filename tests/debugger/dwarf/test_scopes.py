"""Debug information of files: what is told, and files that lie."""

from __future__ import annotations

import builtins
import random
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from osmia.debugger.dwarf import scopes, sections
from osmia.debugger.dwarf.c_types import DwarfTypes
from osmia.debugger.dwarf.scopes import Dwarf, ScopeKind
from osmia.debugger.variables import DebugInformation
from osmia.elf import ElfFile
from osmia.errors import MissingPackageError, ObjectFormatError, OsmiaError
from osmia.formats.open import read_elf

from ..variables_program import SOURCE, compiled


@pytest.fixture(scope="module")
def data() -> bytes:
    return compiled()


def test_functions_of_all_sections_have_their_scopes(data: bytes) -> None:
    dwarf = Dwarf(data, "prog.o")
    assert sorted(dwarf.functions) == ["prog", "summed"]
    inlined = [each for each in dwarf.all_scopes("prog") if each.kind is ScopeKind.INLINED]
    assert [each.name for each in inlined] == ["twice", "scaled"]
    twice = inlined[0]
    assert "twice(int number)" in SOURCE.splitlines()[twice.declared.line - 1]
    assert dwarf.functions["prog"].scope.holds(dwarf.functions["prog"].start)


def test_an_object_without_dwarf_has_no_functions() -> None:
    from osmia.toolchain import compile as compile_file

    assert Dwarf(compile_file(SOURCE).data).functions == {}


def test_without_pyelftools_the_error_names_the_extra(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("elftools"):
            raise ImportError(name)
        return real(name, *args, **options)

    for name in [each for each in sys.modules if each.startswith("elftools")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"osmia\[debug\]"):
        Dwarf(data)
    information = DebugInformation(read_elf(data, "", "prog"), [("prog.o", data)])
    assert "osmia[debug]" in information.remarks[0]


def test_more_than_the_bounds_is_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "MOST_ENTRIES", 100)
    with pytest.raises(ObjectFormatError, match="more than 100 entries"):
        Dwarf(data)
    monkeypatch.setattr(scopes, "MOST_ENTRIES", 1 << 20)
    monkeypatch.setattr(scopes, "MOST_DEPTH", 2)
    with pytest.raises(ObjectFormatError, match="nested too deeply"):
        Dwarf(data)
    monkeypatch.setattr(sections, "MOST_BYTES", 100)
    with pytest.raises(ObjectFormatError, match="more than 100 bytes"):
        Dwarf(data)


def test_compressed_sections_are_refused() -> None:
    with pytest.raises(ObjectFormatError, match="compile without -gz"):
        Dwarf(compiled(flags=["-gz=zlib"], compiler="clang-19"))


def _everything(data: bytes) -> None:
    """All that a debugger would ask of a file."""
    dwarf = Dwarf(data, "prog.o")
    types = DwarfTypes(dwarf)
    information = DebugInformation(read_elf(data, "", "prog"), [("prog.o", data)])
    for key, found in dwarf.functions.items():
        for slot in range(0, len(found.code) // 8, 3):
            for level in range(len(information.levels(key, slot))):
                for variable in information.variables(key, slot, _Frame(), level):
                    _ = variable.text, variable.address, variable.missing
                    _ = [each.text for each in variable.members(0, 10)]
        for scope in dwarf.all_scopes(key):
            for entry in scope.variables:
                _ = types.of(entry.declaration).name


class _Frame:
    registers: Sequence[int | None] = tuple(range(1 << 17, (1 << 17) + 11))

    def read(self, address: int, size: int) -> bytes:
        return bytes(size)

    def write(self, address: int, data: bytes) -> None: ...

    def write_register(self, register: int, value: int) -> None: ...

    def data_address(self, section: str, offset: int) -> int | None:
        return None


def _debug_ranges(data: bytes) -> Mapping[str, tuple[int, int]]:
    return {
        each.name: (each.offset, each.size)
        for each in ElfFile.parse(data).sections
        if ".debug" in each.name and each.size
    }


@pytest.mark.parametrize("seed", range(60))
def test_damaged_debug_information_is_one_error_or_nothing(data: bytes, seed: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 3, 40))):
        offset, size = chance.choice(list(_debug_ranges(data).values()))
        damaged[offset + chance.randrange(size)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
    with suppress(OsmiaError):
        _everything(bytes(damaged))


def test_a_type_that_has_itself_is_one_error() -> None:
    source = "struct loop { int a; int b; } v; int f(void) { return v.a; }\n"
    data = bytearray(compiled(source + "struct other { struct loop inner; } w;\n"))
    dwarf = Dwarf(bytes(data))
    entry = next(
        each
        for each in _entries(dwarf)
        if each.tag == "DW_TAG_structure_type" and dwarf.text(each) == "loop"
    )
    member = next(each for each in dwarf.children(entry))
    offset, _ = _debug_ranges(bytes(data))[".debug_info"]
    attribute = member.attributes["DW_AT_type"]
    struct.pack_into("<I", data, offset + attribute.offset, entry.offset - entry.cu.cu_offset)
    again = Dwarf(bytes(data))
    looped = next(each for each in _entries(again) if each.offset == entry.offset)
    with pytest.raises(ObjectFormatError, match="has itself"):
        DwarfTypes(again).type(looped)


def _entries(dwarf: Dwarf) -> list[Any]:
    return [each for unit in dwarf.info.iter_CUs() for each in unit.iter_DIEs()]
