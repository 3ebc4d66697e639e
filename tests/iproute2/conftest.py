"""Objects in iproute2's dialect: written word by word, as old compilers did, or compiled."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from osmia import isa
from osmia.elf import (
    R_BPF_64_32,
    R_BPF_64_64,
    Binding,
    ElfWriter,
    SectionFlag,
    SectionType,
    SymbolHandle,
    SymbolType,
)
from osmia.kernel.rtnetlink import qdisc_marks
from osmia.kernel.sys import pins

CODE = SectionFlag.ALLOC | SectionFlag.EXECINSTR
DATA = SectionFlag.ALLOC | SectionFlag.WRITE

HASH, ARRAY, PROG_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS = 1, 2, 3, 12, 13


def entry(
    kind: int = ARRAY,
    key: int = 4,
    value: int = 8,
    entries: int = 1,
    *,
    flags: int = 0,
    id: int = 0,  # noqa: A002
    pinning: int = 0,
    inner_id: int = 0,
    inner_idx: int = 0,
) -> tuple[int, ...]:
    """The words of a struct bpf_elf_map."""
    return (kind, key, value, entries, flags, id, pinning, inner_id, inner_idx & 0xFFFFFFFF)


@dataclass
class LegacyFile:
    """A file as old compilers wrote them: no BTF, symbols without types or sizes.

    `programs` are assembly texts by section; `references` tells, by section, which map or
    section is named at which slot.
    """

    maps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    words: int = 9
    functions: bool = True
    trailing: bytes = b""
    machine: int = 247
    byteorder: str = "little"

    def to_bytes(self) -> bytes:
        writer = ElfWriter(machine=self.machine, byteorder=self.byteorder)
        writer.add_section("license", SectionType.PROGBITS, DATA, b"GPL\0")
        handles: dict[str, SymbolHandle] = {}
        sections = {}
        for section, text in self.programs.items():
            code = isa.assemble(text, self.byteorder)  # type: ignore[arg-type]
            index = writer.add_section(section, SectionType.PROGBITS, CODE, code, alignment=8)
            sections[section] = index
            handles[section] = writer.add_symbol(
                "", binding=Binding.LOCAL, type=SymbolType.SECTION, section=index
            )
            if self.functions and section != ".text":
                name = "f_" + "".join(c if c.isalnum() else "_" for c in section)
                writer.add_symbol(name, type=SymbolType.FUNC, section=index)
        if self.maps or self.trailing:
            self._add_maps(writer, handles)
        for section, references in self.references.items():
            for slot, name in references.items():
                kind = R_BPF_64_32 if name in sections else R_BPF_64_64
                writer.add_relocation(sections[section], 8 * slot, handles[name], kind)
        return writer.to_bytes()

    def _add_maps(self, writer: ElfWriter, handles: dict[str, SymbolHandle]) -> None:
        order = "<" if self.byteorder == "little" else ">"
        packed = b"".join(
            struct.pack(f"{order}{self.words}I", *[*words, 0, 0, 0][: self.words])
            for words in self.maps.values()
        )
        index = writer.add_section("maps", SectionType.PROGBITS, DATA, packed + self.trailing)
        for number, name in enumerate(self.maps):
            handles[name] = writer.add_symbol(name, 4 * self.words * number, section=index)


HEADER = """
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};
#define MAP(name) struct bpf_elf_map name SEC("maps")
#define PIN_OBJECT_NS 1
#define PIN_GLOBAL_NS 2
#define ANNOTATE(name, K, V)                                  \\
    struct ____btf_map_##name { K key; V value; };            \\
    struct ____btf_map_##name                                 \\
        __attribute__((section(".maps." #name), used)) ____btf_map_##name = {}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture
def tc_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bpffs of this test's own, which tc and osmia use by $TC_BPF_MNT."""
    place = tmp_path / "bpf"
    place.mkdir()
    pins.mount_bpffs(place)
    monkeypatch.setenv("TC_BPF_MNT", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def pinned(root: Path) -> list[str]:
    """The pins under a bpffs, as paths from its root; links are not followed."""
    found = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".debug"]
    return sorted(str(path.relative_to(root)) for path in found)


CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def veth() -> Iterator[str]:
    """A veth device "left" with its peer "right", in a namespace that this thread is in."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert _libc.unshare(CLONE_NEWNET) == 0
        try:
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
            for command in (
                "link add left type veth peer name right",
                "link set lo up",
                "link set left up",
                "link set right up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            yield "left"
        finally:
            assert _libc.setns(home, CLONE_NEWNET) == 0
    finally:
        os.close(home)


@pytest.fixture
def legacy() -> type[LegacyFile]:
    return LegacyFile


@pytest.fixture
def words() -> Callable[..., tuple[int, ...]]:
    return entry


@pytest.fixture
def header() -> str:
    return HEADER


@pytest.fixture
def pins_under() -> Callable[[Path], list[str]]:
    return pinned


@pytest.fixture(autouse=True)
def marks_of_qdiscs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of qdiscs is remembered for the test alone."""
    monkeypatch.setattr(qdisc_marks, "DIRECTORY", str(tmp_path / "qdiscs"))
