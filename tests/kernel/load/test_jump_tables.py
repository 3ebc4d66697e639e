"""Jump tables at load: what this kernel says, and what one of 6.19 would be given.

No kernel here has BPF_MAP_TYPE_INSN_ARRAY, so a stand-in takes the calls: it keeps the new
maps as plain arrays of the same shape, checks what 6.19 checks (kernel/bpf/bpf_insn_array.c)
and loads an empty program instead of one that jumps.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes import Structure
from pathlib import Path

import pytest

import osmia
from osmia import toolchain
from osmia.elf import ElfFile
from osmia.engine.maps import InstructionArrayMap, Map
from osmia.errors import BpfPermissionError, KernelError, NotSupportedError
from osmia.formats.listing import list_code
from osmia.isa import assemble
from osmia.kernel.load.jump_tables import VALUE, create_tables
from osmia.kernel.maps import KernelMap, read_info
from osmia.kernel.probes import features
from osmia.kernel.sys import attributes, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.syscall import Command
from osmia.object import MapType, Object, RelocationKind
from osmia.passes.layout import lay_out

pytestmark = pytest.mark.kernel

SOURCE = Path(__file__).parents[2] / "formats" / "jump_tables.bpf.c"
EMPTY = assemble("r0 = 0\nexit")
LD_IMM64, MAP_VALUE = 0x18, 2


@pytest.fixture(scope="module")
def compiled() -> bytes:
    return toolchain.compile(SOURCE, cpu="v4", compiler="zig").data


@pytest.fixture(scope="module")
def obj(compiled: bytes) -> Object:
    return osmia.open(compiled)


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def is_map(fd: int) -> bool:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink()) == "anon_inode:bpf-map"
    except OSError:
        return False


class Newer:
    """A stand-in for Linux 6.19 in front of this kernel."""

    def __init__(self) -> None:
        self._attempt = syscall._attempt
        self.created: list[dict[str, int | bytes]] = []
        self.arrays: set[int] = set()
        self.frozen: set[int] = set()
        self.programs: dict[str, bytes] = {}
        self.tables: dict[str, dict[int, list[tuple[int, ...]]]] = {}
        self.fail_at: Command | None = None

    def attempt(self, command: int, attribute: Structure) -> int:
        if command == self.fail_at:
            return -errno.ENOMEM
        match attribute:
            case attributes.MapCreate() if attribute.map_type == MapType.INSN_ARRAY:
                return self._create(attribute)
            case attributes.ProgLoad():
                return self._load(attribute)
            case attributes.MapElement() if command == Command.MAP_FREEZE:
                self.frozen.add(attribute.map_fd)
        return self._attempt(command, attribute)

    def _create(self, attribute: attributes.MapCreate) -> int:
        shape = {field[0]: getattr(attribute, field[0]) for field in attribute._fields_}
        self.created.append({name: value for name, value in shape.items() if value})
        wrong = attribute.key_size != 4 or attribute.value_size != 16 or attribute.map_flags
        if wrong or not attribute.max_entries:
            return -errno.EINVAL
        attribute.map_type = MapType.ARRAY
        fd = self._attempt(Command.MAP_CREATE, attribute)
        self.arrays.add(fd)
        return fd

    def _load(self, attribute: attributes.ProgLoad) -> int:
        code = ctypes.string_at(attribute.insns, 8 * attribute.insn_cnt)
        name = attribute.prog_name.decode()
        used = {fd for fd in _values_used(code) if fd in self.arrays}
        self.programs[name] = code
        self.tables[name] = {fd: self._contents(fd) for fd in used}
        for fd, values in self.tables[name].items():
            assert fd in self.frozen
            for offset, *rest in values:
                # valid_offsets() of the kernel
                assert rest == [0, 0, 0]
                assert offset < attribute.insn_cnt
                assert offset == 0 or code[8 * (offset - 1)] != LD_IMM64
        self.arrays -= used  # one program alone may use an array
        attribute.insns = ctypes.cast(ctypes.c_char_p(EMPTY), ctypes.c_void_p).value or 0
        attribute.insn_cnt = len(EMPTY) // 8
        attribute.func_info_cnt = attribute.line_info_cnt = 0
        attribute.func_info = attribute.line_info = 0
        return self._attempt(Command.PROG_LOAD, attribute)

    @staticmethod
    def _contents(fd: int) -> list[tuple[int, ...]]:
        call = syscall.ElementCall(fd, 4, VALUE.size)
        values = []
        for index in range(read_info(fd).max_entries):
            call.key.raw = struct.pack("=I", index)
            assert call(Command.MAP_LOOKUP_ELEM) == 0
            values.append(VALUE.unpack(call.value.raw))
        return values


def _values_used(code: bytes) -> Iterator[int]:
    for at in range(0, len(code), 8):
        if code[at] == LD_IMM64 and code[at + 1] >> 4 == MAP_VALUE:
            yield struct.unpack_from("=i", code, at + 4)[0]


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Newer:
    kernel = Newer()
    monkeypatch.setattr(syscall, "_attempt", kernel.attempt)
    return kernel


def test_a_kernel_runs_them_or_says_since_when_there_are_any(obj: Object) -> None:
    if features.has_map_type(MapType.INSN_ARRAY):
        with obj.load() as jumps, osmia.compile(SOURCE, compiler="zig").load() as branches:
            for kind in range(256):
                context = struct.pack("<QQ", kind * 0x123457, kind)
                results = [b.programs["everything"].run(ctx=context) for b in (jumps, branches)]
                assert results[0].retval == results[1].retval
        return
    before = descriptors()
    with pytest.raises(NotSupportedError, match=r"needs Linux 6\.19 or newer") as caught:
        obj.load()
    assert caught.value.since == "6.19"
    told = str(caught.value)
    assert "function 'two_switches' has jump table 'BPF.JT.1.0'" in told
    assert "-mcpu=v3" in told
    assert descriptors() == before


def test_programs_that_do_not_jump_load_anywhere(obj: Object) -> None:
    quiet = obj.copy()
    quiet.set_autoload("everything", load=False)
    quiet.set_autoload("two_switches", load=False)
    with quiet.load() as bpf:
        assert bpf.programs["plain"].run(ctx=bytes(16)).retval == 1


def test_each_program_gets_a_frozen_map_for_each_table(obj: Object, newer: Newer) -> None:
    with obj.load():
        pass
    assert newer.created == [
        {
            "map_type": 34,
            "key_size": 4,
            "value_size": 16,
            "max_entries": entries,
            "map_name": b".jumptables",
        }
        # two_switches: two of its own and that of arithmetic; everything: four functions'.
        for entries in (18, 14, 19, 19, 4, 4, 4)
    ]
    assert {name: len(tables) for name, tables in newer.tables.items()} == {
        "two_switches": 3,
        "everything": 4,
        "plain": 0,
    }


@pytest.mark.parametrize("name", ["two_switches", "everything", "plain"])
def test_the_code_is_what_libbpf_would_send(
    obj: Object, compiled: bytes, newer: Newer, name: str
) -> None:
    """Descriptors at the loads, and targets by libbpf's own sum: an entry of the section as
    an instruction number, less the function's in its section, plus where it was appended."""
    with obj.load() as bpf:
        data_fd = bpf._sections[".bss"].fd.fileno()
    sent, tables = newer.programs[name], newer.tables[name]
    layout = lay_out(obj, name)
    starts = {function: slot for slot, function in layout.functions}
    elf = ElfFile.parse(compiled)
    symbols = {symbol.name: symbol for symbol in elf.symbols}
    expected = bytearray(layout.code)
    seen: dict[str, int] = {}
    for relocation in layout.relocations:
        at = relocation.offset
        (fd,) = struct.unpack_from("=i", sent, at + 4)
        if relocation.kind is RelocationKind.DATA:
            assert fd == data_fd
        else:
            assert relocation.kind is RelocationKind.JUMP_TABLE
            assert seen.setdefault(relocation.target, fd) == fd
        expected[at + 1] |= MAP_VALUE << 4
        struct.pack_into("=i", expected, at + 4, fd)
        struct.pack_into("=i", expected, at + 12, relocation.addend)
    assert sent == bytes(expected)
    assert sorted(seen.values()) == sorted(tables)
    for target, fd in seen.items():
        symbol = symbols[target]
        function = obj.jump_tables[target].function
        words = struct.unpack_from(
            f"<{symbol.size // 8}Q", elf.sections[symbol.section].data, symbol.value
        )
        begin = symbols[function].value // 8
        assert [offset for offset, *_ in tables[fd]] == [
            word // 8 - begin + starts[function] for word in words
        ]


def test_targets_are_the_same_instructions_as_in_the_file(obj: Object, newer: Newer) -> None:
    """Subprograms are appended: the numbers change, the instructions do not."""
    with obj.load():
        pass
    sent = newer.programs["everything"]
    layout = lay_out(obj, "everything")
    moved = 0
    for slot, name in layout.functions:
        for table in obj.jump_tables.values():
            if table.function != name:
                continue
            code = obj.functions[name].code
            offsets = [slot + target for target in table.targets]
            assert tuple(offsets) in {
                tuple(offset for offset, *_ in values)
                for values in newer.tables["everything"].values()
            }
            for target, offset in zip(table.targets, offsets, strict=True):
                assert sent[8 * offset] == code[8 * target]
                moved += offset != target
    assert moved


@pytest.mark.parametrize(
    "command", [Command.MAP_UPDATE_ELEM, Command.MAP_FREEZE, Command.PROG_LOAD]
)
def test_what_was_made_is_closed_when_something_fails(newer: Newer, command: Command) -> None:
    source = SOURCE.read_text().replace("__u64 steps;", "static const __u64 steps = 5;")
    source = source.replace("steps++; ", "")
    plain = osmia.compile(source, cpu="v4", compiler="zig", name="jump_tables.bpf.c")
    before = descriptors()
    newer.fail_at = command
    with pytest.raises((KernelError, osmia.VerifierError)):
        plain.load()
    assert descriptors() == before


def test_tables_of_what_is_loaded_are_not_held_open(obj: Object, newer: Newer) -> None:
    with obj.load() as bpf:
        sections = [section.fd.fileno() for section in bpf._sections.values()]
        held = [int(path.name) for path in descriptors() if is_map(int(path.name))]
        names = [read_info(fd).name for fd in held]
        assert sorted(set(names)) == ["object.bss", "object.rodata"]
        assert set(sections) <= set(held)


def test_a_table_can_be_looked_at(obj: Object, newer: Newer) -> None:
    """Through the class that a kernel's instruction arrays get, by the stand-in's arrays."""
    assert Map.class_for(MapType.INSN_ARRAY) is InstructionArrayMap
    with ExitStack() as descriptors:
        made = create_tables(obj, lay_out(obj, "everything"), descriptors)
        (table,) = (t for t in obj.jump_tables.values() if t.function == "machine")
        fd = FileDescriptor(os.dup(made[table.name]), "copy")
        raw = KernelMap(fd, read_info(fd.fileno()), "copy")
        with InstructionArrayMap(raw) as held:
            slots = [VALUE.unpack(value)[0] for value in held.values()]
            (start,) = (s for s, name in lay_out(obj, "everything").functions if name == "machine")
            assert slots == [start + target for target in table.targets]
            with pytest.raises(BpfPermissionError):
                held[0] = bytes(VALUE.size)


def test_the_sent_code_reads_as_it_was_meant(obj: Object, newer: Newer) -> None:
    with obj.load():
        pass
    texts = [
        each.text
        for each in list_code(
            newer.programs["two_switches"],
            "little",
            functions={},
            lines={},
            symbol=lambda _at, _insn: None,
        )
    ]
    loads = [text for text in texts if "map[fd:" in text]
    assert len(loads) == 4  # three tables and .bss
    assert sum(text.startswith("gotox r") for text in texts) == 3
