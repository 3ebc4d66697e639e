"""Jump tables in ELF files: as clang 22 writes them, as osmia does, and made to break both."""

from __future__ import annotations

import contextlib
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia import toolchain
from osmia.elf import (
    R_BPF_64_64,
    R_BPF_64_ABS64,
    Binding,
    ElfFile,
    ElfWriter,
    SectionFlag,
    SectionType,
    SymbolType,
)
from osmia.errors import ObjectFormatError, OsmiaError, RelocationError
from osmia.formats.elf_writer import write_object
from osmia.formats.listing import list_function
from osmia.isa import assemble
from osmia.object import Function, JumpTable, Object, Relocation, RelocationKind
from osmia.object.jump_targets import jump_targets

SOURCE = Path(__file__).with_name("jump_tables.bpf.c")
CODE = SectionFlag.ALLOC | SectionFlag.EXECINSTR


@pytest.fixture(scope="module")
def compiled() -> bytes:
    return toolchain.compile(SOURCE, cpu="v4", compiler="zig").data


@pytest.fixture(scope="module")
def obj(compiled: bytes) -> Object:
    return osmia.open(compiled)


def words(elf: ElfFile, section: str, start: int, size: int) -> tuple[int, ...]:
    found = elf.section(section)
    assert found is not None
    return struct.unpack_from(f"<{size // 8}Q", found.data, start)


def test_tables_have_what_the_file_says(compiled: bytes, obj: Object) -> None:
    elf = ElfFile.parse(compiled)
    symbols = {symbol.name: symbol for symbol in elf.symbols}
    named = [table for table in obj.jump_tables.values() if table.name.startswith("BPF.JT.")]
    assert len(named) == 5
    for table in named:
        symbol, function = symbols[table.name], symbols[table.function]
        assert symbol.type is SymbolType.OBJECT
        entries = words(elf, ".jumptables", symbol.value, symbol.size)
        assert table.targets == tuple((entry - function.value) // 8 for entry in entries)
    functions = [table.function for table in named]
    assert sorted(functions) == [
        "arithmetic",
        "local_labels",
        "machine",
        "two_switches",
        "two_switches",
    ]


def test_a_static_array_of_labels_is_a_jump_table(compiled: bytes, obj: Object) -> None:
    elf = ElfFile.parse(compiled)
    symbols = {symbol.name: symbol for symbol in elf.symbols}
    (table,) = (t for t in obj.jump_tables.values() if t.function == "static_labels")
    symbol = symbols[table.name]
    assert elf.sections[symbol.section].name == ".rodata"
    start = symbols["static_labels"].value
    entries = words(elf, ".rodata", symbol.value, symbol.size)
    assert table.targets == tuple((entry - start) // 8 for entry in entries)
    (reference,) = obj.functions["static_labels"].relocations
    assert reference.kind is RelocationKind.JUMP_TABLE
    assert (reference.target, reference.addend) == (table.name, 0)


def test_every_jump_has_its_own_table(obj: Object) -> None:
    first, second = (t for t in obj.jump_tables.values() if t.function == "two_switches")
    jumps = jump_targets(obj, obj.functions["two_switches"])
    assert list(jumps.values()) == [
        tuple(sorted(set(first.targets))),
        tuple(sorted(set(second.targets))),
    ]


def test_without_indirect_jumps_there_are_no_tables() -> None:
    older = osmia.compile(SOURCE, cpu="v3", compiler="zig")
    assert not older.jump_tables
    assert 0x0D not in b"".join(function.code[0::8] for function in older.functions.values())


def test_what_is_written_is_read_back(obj: Object) -> None:
    written = write_object(obj)
    again = osmia.open(written)
    assert again.jump_tables == obj.jump_tables
    for name, function in obj.functions.items():
        assert again.functions[name].relocations == function.relocations
        assert jump_targets(again, again.functions[name]) == jump_targets(obj, function)
    elf = ElfFile.parse(written)
    section = elf.section(".jumptables")
    assert section is not None
    for symbol in elf.symbols:
        if symbol.section == section.index:
            assert (symbol.type, symbol.binding) == (SymbolType.OBJECT, Binding.GLOBAL)
            table = obj.jump_tables[symbol.name]
            entries = words(elf, ".jumptables", symbol.value, symbol.size)
            start = next(s.value for s in elf.symbols if s.name == table.function)
            assert entries == tuple(start + 8 * target for target in table.targets)


def test_what_is_not_there_is_not_written(obj: Object) -> None:
    lost = obj.copy()
    del lost.jump_tables["BPF.JT.0.0"]
    with pytest.raises(RelocationError, match=r"no jump table 'BPF\.JT\.0\.0'"):
        write_object(lost)
    lost.jump_tables["BPF.JT.0.0"] = JumpTable("BPF.JT.0.0", "nobody", (0,))
    with pytest.raises(RelocationError, match="for function 'nobody'"):
        write_object(lost)


def test_a_listing_names_tables_and_targets(obj: Object) -> None:
    texts = [each.text for each in list_function(obj, "machine")]
    assert any(text.endswith("= jump_table[BPF.JT.5.0]") for text in texts)
    (jump,) = (text for text in texts if text.startswith("gotox"))
    (targets,) = jump_targets(obj, obj.functions["machine"]).values()
    assert jump.partition(" ; ")[2] == ", ".join(map(str, targets))
    assert assemble(jump) == assemble(jump.partition(" ;")[0])


def test_of_many_targets_a_listing_has_the_first() -> None:
    code = assemble("r2 = 0 ll\nr2 = *(u64 *)(r2 +0)\ngotox r2\n" + "exit\n" * 99)
    relocations = (Relocation(0, RelocationKind.JUMP_TABLE, "many"),)
    many = JumpTable("many", "entry", tuple(range(4, 103)))
    entry = Function("entry", ".text", code, relocations)
    made = Object("o", functions={"entry": entry}, jump_tables={"many": many})
    (jump,) = (each.text for each in list_function(made, "entry") if "gotox" in each.text)
    assert jump == "gotox r2 ; " + ", ".join(map(str, range(4, 36))) + ", … (99 in all)"
    assert assemble(jump) == assemble("gotox r2")


# Files made by hand.

ENTRY = """
    r2 = 0 ll
    r2 += r1
    r2 = *(u64 *)(r2 +0)
    gotox r2
    r0 = 0 ll
    exit
"""
OTHER = "r0 = 1\nexit"
LENGTH = len(assemble(ENTRY)) // 8


class Made:
    """A file of two functions, `entry` and `other`, and a table that the first refers to."""

    def __init__(self, entries: bytes, imm: int = 0, second_imm: int = 0) -> None:
        code = bytearray(assemble(ENTRY) + assemble(OTHER))
        struct.pack_into("<i", code, 4, imm)
        struct.pack_into("<i", code, 44, second_imm)
        self.elf = ElfWriter()
        self.code = self.elf.add_section(".text", SectionType.PROGBITS, CODE, code)
        self.table = self.elf.add_section(".jumptables", SectionType.PROGBITS, 0, entries)
        self.section = self.elf.add_symbol(
            "", binding=Binding.LOCAL, type=SymbolType.SECTION, section=self.code
        )
        for name, start, size in (("entry", 0, LENGTH), ("other", LENGTH, 2)):
            kind = SymbolType.FUNC
            self.elf.add_symbol(name, 8 * start, 8 * size, type=kind, section=self.code)

    def refer(self, value: int, size: int, name: str = "jt", at: int = 0) -> None:
        table = self.elf.add_symbol(name, value, size, type=SymbolType.OBJECT, section=self.table)
        self.elf.add_relocation(self.code, at, table, R_BPF_64_64)

    def open(self) -> Object:
        return osmia.open(self.elf.to_bytes())


def table_of(*slots: int) -> bytes:
    return struct.pack(f"<{len(slots)}Q", *(8 * slot for slot in slots))


def test_a_table_is_what_its_symbol_covers() -> None:
    made = Made(table_of(99, 5, 7, 5, 99), imm=8)
    made.refer(8, 24)
    obj = made.open()
    assert obj.jump_tables == {"jt": JumpTable("jt", "entry", (5, 7, 5))}
    (reference,) = obj.functions["entry"].relocations
    assert (reference.target, reference.addend) == ("jt", 8)
    (text, *_) = (each.text for each in list_function(obj, "entry"))
    assert text == "r2 = jump_table[jt][1]"
    assert osmia.open(write_object(obj)).functions["entry"].relocations == (reference,)


def test_relocations_of_a_table_are_applied() -> None:
    made = Made(table_of(5, 7))
    made.refer(0, 16)
    for entry in (0, 8):
        made.elf.add_relocation(made.table, entry, made.section, R_BPF_64_ABS64)
    assert made.open().jump_tables["jt"].targets == (5, 7)
    elsewhere = Made(table_of(5, 7))
    elsewhere.refer(0, 16)
    data = elsewhere.elf.add_symbol("data", section=elsewhere.table)
    elsewhere.elf.add_relocation(elsewhere.table, 8, data, R_BPF_64_ABS64)
    with pytest.raises(ObjectFormatError, match="entry 1 of jump table 'jt'"):
        elsewhere.open()


@pytest.mark.parametrize(
    ("entries", "value", "size", "imm", "message"),
    [
        (table_of(5, 7), 4, 8, 0, "no whole number of 8-byte entries"),
        (table_of(5, 7), 0, 12, 0, "no whole number of 8-byte entries"),
        (table_of(5, 7), 0, 0, 0, "no whole number of 8-byte entries"),
        (table_of(5, 7), 8, 16, 0, "no whole number of 8-byte entries within '.jumptables'"),
        (table_of(5, 7), 1 << 63, 1 << 63, 0, "no whole number of 8-byte entries"),
        (table_of(5, 7), 0, 16, 4, "no entry of jump table 'jt' begins at its byte 4"),
        (table_of(5, 7), 0, 16, 16, "no entry of jump table 'jt' begins at its byte 16"),
        (table_of(5, 7), 0, 16, -8, "no entry of jump table 'jt' begins at its byte -8"),
        (table_of(5, LENGTH), 0, 16, 0, "entry 1 of jump table 'jt' is 0x40, where no instr"),
        (table_of(5, LENGTH + 2), 0, 16, 0, "entry 1 of jump table 'jt' is 0x50"),
        (table_of(6, 5), 0, 16, 0, "entry 0 of jump table 'jt' is 0x30"),
        (struct.pack("<Q", 41), 0, 8, 0, "entry 0 of jump table 'jt' is 0x29"),
        (struct.pack("<Q", (1 << 64) - 8), 0, 8, 0, "entry 0 of jump table 'jt' is 0xffff"),
    ],
)
def test_lying_tables_are_refused(
    entries: bytes, value: int, size: int, imm: int, message: str
) -> None:
    made = Made(entries, imm=imm)
    made.refer(value, size)
    with pytest.raises(ObjectFormatError, match=message):
        made.open()


def test_a_table_serves_one_function_of_a_section() -> None:
    code = bytearray(assemble(ENTRY) + assemble(ENTRY))
    kind = SymbolType.FUNC

    def twins(at: int) -> Object:
        made = Made(table_of(5, 7))
        made.refer(0, 16)
        other = made.elf.add_section("other", SectionType.PROGBITS, CODE, code)
        made.elf.add_symbol("twin", 0, 8 * LENGTH, type=kind, section=other)
        made.elf.add_symbol("next", 8 * LENGTH, 8 * LENGTH, type=kind, section=other)
        table = made.elf.add_symbol("same", 0, 16, type=SymbolType.OBJECT, section=made.table)
        made.elf.add_relocation(other, at, table, R_BPF_64_64)
        return made.open()

    assert list(twins(0).jump_tables.values()) == [
        JumpTable("jt", "entry", (5, 7)),
        JumpTable("same", "twin", (5, 7)),
    ]
    with pytest.raises(ObjectFormatError, match=r"'same' is 0x28.*of function 'next' begins"):
        twins(8 * LENGTH)


def test_a_table_without_a_symbol_of_its_own_is_refused() -> None:
    made = Made(table_of(5, 7))
    kind, local = SymbolType.SECTION, Binding.LOCAL
    section = made.elf.add_symbol("", binding=local, type=kind, section=made.table)
    made.elf.add_relocation(made.code, 0, section, R_BPF_64_64)
    with pytest.raises(ObjectFormatError, match="no whole number of 8-byte entries"):
        made.open()


def test_two_names_of_one_table_are_one_table() -> None:
    made = Made(table_of(5, 7))
    made.refer(0, 16, "jt")
    made.refer(0, 16, "alias", at=40)
    obj = made.open()
    assert [r.target for r in obj.functions["entry"].relocations] == ["jt", "jt"]
    assert list(obj.jump_tables) == ["jt"]


def test_tables_of_one_name_are_two_tables() -> None:
    made = Made(table_of(5, 7, 7))
    made.refer(0, 16, "jt")
    made.refer(16, 8, "jt", at=40)
    tables = made.open().jump_tables
    assert {name: table.targets for name, table in tables.items()} == {"jt": (5, 7), "jt.1": (7,)}


def test_tables_upon_tables_are_not_read() -> None:
    count = 2000
    code = assemble("r1 = 0 ll\n" * count + "exit")
    elf = ElfWriter()
    text = elf.add_section(".text", SectionType.PROGBITS, CODE, code)
    elf.add_symbol("entry", 0, len(code), type=SymbolType.FUNC, section=text)
    entries = elf.add_section(".jumptables", SectionType.PROGBITS, 0, bytes(8 * count))
    for number in range(count - 1):
        table = elf.add_symbol(
            f"jt{number}", 0, 8 * (count - number), type=SymbolType.OBJECT, section=entries
        )
        elf.add_relocation(text, 16 * number, table, R_BPF_64_64)
    with pytest.raises(ObjectFormatError, match="more entries than the file has bytes"):
        osmia.open(elf.to_bytes())


def test_other_arrays_with_relocations_are_data() -> None:
    """Addresses of functions, and labels beside numbers, are no jump tables."""
    made = Made(table_of(5), second_imm=8)
    symbol = SymbolType.OBJECT
    data = made.elf.add_section(
        ".rodata", SectionType.PROGBITS, SectionFlag.ALLOC, table_of(8, 5, 0)
    )
    made.elf.add_symbol("functions", 0, 8, type=symbol, section=data)
    made.elf.add_symbol("mixed", 8, 16, type=symbol, section=data)
    start = made.elf.add_symbol("", binding=Binding.LOCAL, type=SymbolType.SECTION, section=data)
    for place in (0, 8):
        made.elf.add_relocation(data, place, made.section, R_BPF_64_ABS64)
    for place in (0, 40):
        made.elf.add_relocation(made.code, place, start, R_BPF_64_64)
    obj = made.open()
    assert not obj.jump_tables
    for reference in obj.functions["entry"].relocations:
        assert (reference.kind, reference.target) == (RelocationKind.DATA, ".rodata")


def test_any_change_of_a_file_is_survived(compiled: bytes) -> None:
    """Where things are and how many of them: any number there opens or is refused."""
    elf = ElfFile.parse(compiled)
    names = (".jumptables", ".symtab", ".rel.text", ".relsyscall", ".rel.rodata", ".rodata")
    sections = [section for name in names if (section := elf.section(name)) is not None]
    assert len(sections) == len(names)
    headers = range(len(compiled) - 64 * len(elf.sections), len(compiled))
    places = [*headers, *(n for s in sections for n in range(s.offset, s.offset + s.size))]
    seed = random.Random(7)
    opened = 0
    for _ in range(1500):
        broken = bytearray(compiled)
        for place in seed.sample(places, seed.choice((1, 1, 2, 5))):
            broken[place] = seed.choice((0, 1, 7, 8, 0x18, 0x7F, 0x80, 0xFF, seed.randrange(256)))
        with contextlib.suppress(OsmiaError):
            changed = osmia.open(bytes(broken))
            for function in changed.functions.values():
                jump_targets(changed, function)
            with contextlib.suppress(OsmiaError, ValueError):
                write_object(changed)
            opened += 1
    assert opened > 100


def test_a_copy_has_tables_of_its_own(obj: Object) -> None:
    copied = obj.copy()
    name = next(iter(copied.jump_tables))
    copied.jump_tables[name] = replace(copied.jump_tables[name], targets=(0,))
    assert obj.jump_tables[name].targets != (0,)


def test_big_endian_tables_are_the_same(obj: Object) -> None:
    other = osmia.compile(SOURCE, cpu="v4", compiler="zig", target="bpfeb")
    assert other.byteorder == "big"
    assert other.jump_tables == obj.jump_tables
    again = osmia.open(write_object(other))
    assert again.jump_tables == obj.jump_tables
    for name, function in again.functions.items():
        assert jump_targets(again, function) == jump_targets(obj, obj.functions[name])
