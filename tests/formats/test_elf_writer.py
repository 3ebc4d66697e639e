"""The ELF back end: what is opened and written is the same when it is opened again."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia import toolchain
from osmia.elf import ElfFile
from osmia.errors import OsmiaWarning, RelocationError
from osmia.formats.elf_writer import write_object
from osmia.object import DataKind, DataSection, Object, OtherSymbol

ALIGNED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char narrow[3] SEC(".data.narrow") = "ab";
long wide[8] __attribute__((aligned(64))) SEC(".data.wide") = {1};
int zeros[4] __attribute__((aligned(32)));
SEC("xdp") int entry(void *ctx) { return narrow[1] + wide[1] + zeros[1]; }
char _license[] SEC("license") = "GPL";
"""


def alignments(data: bytes) -> dict[str, int]:
    """What the section headers say."""
    wanted = (".data", ".bss", ".rodata", "license")
    return {s.name: s.alignment for s in ElfFile.parse(data).sections if s.name.startswith(wanted)}


def test_sections_keep_their_alignments() -> None:
    """A linker that joins the file with others goes by them."""
    obj = osmia.compile(ALIGNED)
    written = write_object(obj)
    assert alignments(written) == {".data.narrow": 1, ".data.wide": 64, ".bss": 32, "license": 1}
    assert {s.name: s.alignment for s in osmia.open(written).data_sections.values()} == {
        s.name: s.alignment for s in obj.data_sections.values()
    }


@pytest.mark.parametrize("kind", [DataKind.DATA, DataKind.BSS])
def test_an_alignment_is_written_whatever_the_section_holds(kind: DataKind) -> None:
    section = DataSection(f".{kind.value}", kind, bytearray(8), alignment=4096)
    written = write_object(Object("aligned", data_sections={section.name: section}))
    assert alignments(written) == {section.name: 4096}


def test_a_linker_joins_written_objects_by_their_alignments(tmp_path: Path) -> None:
    """bpftool puts the second file's section where its alignment lets it be."""
    for name, start in (("one", "narrow"), ("two", "other")):
        source = (
            ALIGNED.replace("narrow", start).replace("entry", name).replace(".other", ".narrow")
        )
        source = source.replace("_license", f"_license_{name}")
        for variable in ("wide", "zeros"):
            source = source.replace(f"{variable}[", f"{variable}_{name}[")
        (tmp_path / f"{name}.o").write_bytes(write_object(osmia.compile(source)))
    command = ["bpftool", "gen", "object", "all.o", "one.o", "two.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    sections = osmia.open(tmp_path / "all.o").data_sections
    assert sections[".data.wide"].variables["wide_two"].offset == 64
    assert sections[".bss"].variables["zeros_two"].offset == 32
    assert sections[".data.narrow"].variables["other"].offset == 3


POINTING = Path(__file__).with_name("pointers.bpf.c")


def test_an_object_saves_itself(tmp_path: Path) -> None:
    obj = osmia.compile(POINTING)
    obj.data["table"] = (1, 2, 3, 4)
    obj.save(tmp_path / "saved.bpf.o")
    obj.save(str(tmp_path / "saved.bpf.o"))  # over what is there
    again = osmia.open(tmp_path / "saved.bpf.o")
    assert (again.digest, again.name) == (obj.digest, "saved")
    assert (tmp_path / "saved.bpf.o").read_bytes() == obj.to_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["saved.bpf.o"]


def test_a_file_that_cannot_be_written_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.bpf.o"
    path.write_bytes(b"kept")
    obj = osmia.compile(POINTING)
    del obj.functions["twice"]
    with pytest.raises(RelocationError, match="there is no function 'twice'"):
        obj.save(path)
    assert path.read_bytes() == b"kept"
    with pytest.raises(OSError):
        osmia.compile(POINTING).save(tmp_path / "missing" / "file.o")


def test_maps_whose_declarations_still_hold_keep_their_types() -> None:
    obj = osmia.compile(POINTING)
    assert obj.btf is not None
    unchanged = osmia.open(obj.to_bytes())
    assert unchanged.btf is not None and unchanged.btf.to_bytes() == obj.btf.to_bytes()
    obj.maps["counts"] = replace(obj.maps["counts"], max_entries=77)
    changed = osmia.open(obj.to_bytes())
    assert changed.maps["counts"].max_entries == 77
    assert changed.btf is not None and len(changed.btf) > len(obj.btf)


@pytest.mark.kernel
def test_bpftool_loads_what_was_saved(tmp_path: Path, bpffs: Path) -> None:
    osmia.compile(POINTING).save(tmp_path / "saved.bpf.o")
    words = ("prog", "loadall", tmp_path / "saved.bpf.o", bpffs / "programs")
    subprocess.run(["bpftool", *map(str, words)], check=True, capture_output=True)
    with (
        osmia.Program.from_pin(bpffs / "programs" / "look") as program,
        pytest.warns(OsmiaWarning),
        osmia.compile(POINTING).load() as bpf,
    ):
        assert bpf.programs["look"].info.tag == program.info.tag


LOADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { int (*priority)[5]; int (*XDP_PASS)[1]; } run_config SEC(".run_config");
static int hidden_one __attribute__((used, aligned(16))) SEC(".other_loader") = 7;
SEC("xdp") int entry(struct xdp_md *ctx) { return 2; }
char _license[] SEC("license") = "GPL";
"""


def test_sections_of_other_loaders_are_kept_as_they_are() -> None:
    data = toolchain.compile(LOADERS).data
    obj = osmia.open(data)
    assert set(obj.other_sections) == {".run_config", ".other_loader"}
    assert ".run_config" not in obj.data_sections
    other = obj.other_sections[".other_loader"]
    assert (other.contents, other.alignment) == (b"\7\0\0\0", 16)
    assert other.symbols == (OtherSymbol("hidden_one", 0, 4, static=True),)
    before, after = ElfFile.parse(data), ElfFile.parse(write_object(obj))
    for name in obj.other_sections:
        old, new = before.section(name), after.section(name)
        assert old and new
        assert bytes(old.data) == bytes(new.data)
        assert (old.flags, old.alignment) == (new.flags, new.alignment)
    assert osmia.open(write_object(obj)).other_sections == obj.other_sections


@pytest.mark.kernel
def test_they_are_nothing_to_a_load() -> None:
    with osmia.compile(LOADERS).load() as bpf:
        assert not bpf.maps
        assert "run_config" not in bpf.data
