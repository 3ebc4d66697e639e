"""Functions by signature in loaded programs, libraries, files, objects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import osmia
from osmia.btf import BTF
from osmia.errors import ObjectFormatError, OsmiaWarning, SignatureError
from osmia.kernel import finding
from osmia.kernel.sys.btf_objects import btf_from_id

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct osmia_found { int length; };
__u64 calls;
static __attribute__((noinline)) int osmia_found_inside(struct osmia_found *f) {
    return f->length + (int)calls;
}
__attribute__((noinline)) int osmia_found_global(struct xdp_md *ctx, int number) {
    struct osmia_found f = { number };
    calls++;
    return ctx ? osmia_found_inside(&f) : 0;
}
SEC("xdp") int osmia_found_first(struct xdp_md *ctx) { return osmia_found_global(ctx, 1); }
SEC("xdp") int osmia_found_second(struct xdp_md *ctx) { return osmia_found_global(ctx, 2); }
__attribute__((weak)) int osmia_found_weak(void) { return calls; }
"""


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return osmia.compile(SOURCE)


@pytest.fixture(scope="module")
def file(obj: osmia.Object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("found") / "found.bpf.o"
    obj.save(path)
    return path


def test_functions_of_a_file(file: Path) -> None:
    found = osmia.find("int osmia_found*(…)", file)
    assert {(each.name, each.linkage, each.is_program) for each in found} == {
        ("osmia_found_inside", "static", False),
        ("osmia_found_global", "global", False),
        ("osmia_found_first", "global", True),
        ("osmia_found_second", "global", True),
        ("osmia_found_weak", "weak", False),
    }
    (one,) = osmia.find("int (struct osmia_found *)", file)
    assert one.signature == "int osmia_found_inside(struct osmia_found *f)"
    assert (one.linkage, one.file, one.place) == ("static", str(file), str(file))


def test_objects_several_places_and_raw_types(
    obj: osmia.Object, file: Path, tmp_path: Path
) -> None:
    assert obj.btf is not None
    raw = tmp_path / "types"
    raw.write_bytes(obj.btf.to_bytes())
    found = osmia.find("int (struct osmia_found *)", [obj, file, raw])
    assert [each.file for each in found] == [obj.path or obj.name, str(file), str(raw)]
    assert {each.linkage for each in found} == {"static"}
    with obj.load("vm") as bpf:
        (one,) = osmia.find("int osmia_found_weak(void)", bpf)
        assert (one.file, one.linkage) == (bpf.name, "weak")


def test_functions_of_the_kernel() -> None:
    named = osmia.find("bpf_prog_put", "/sys/kernel/btf/vmlinux")
    assert [each.signature for each in named] == ["void bpf_prog_put(struct bpf_prog *prog)"]


def test_what_is_no_signature_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="column 6"):
        osmia.find("int (", tmp_path)
    with pytest.raises(OSError):
        osmia.find("int (…)", tmp_path / "nothing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ObjectFormatError):
        osmia.find("int (…)", tmp_path / "text")


@pytest.mark.kernel
def test_loaded_programs_and_their_functions(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        mine = {each.id: each for each in bpf.programs.values()}
        every = osmia.find("int osmia_found…(struct xdp_md *, …)", "kernel")
        found = [each for each in every if each.program_id in mine]
        assert {(each.program_id, each.name, each.is_program) for each in found} == {
            (mine_id, name, is_program)
            for mine_id, program in mine.items()
            for name, is_program in ((program.name, True), ("osmia_found_global", False))
        }
        for each in found:
            program = mine[each.program_id]
            assert (each.tag, each.program) == (program.info.tag, program.name[:15])
            assert each.place == f"program {program.id} ({program.name[:15]})"
        inside = osmia.find("int (struct osmia_found *)", "kernel")
        assert {each.program_id for each in inside} >= mine.keys()
        assert {each.linkage for each in inside} == {"static"}


@pytest.mark.kernel
def test_each_types_of_the_kernel_are_read_once(
    obj: osmia.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[int] = Counter()

    def counted(identifier: int) -> BTF:
        read[identifier] += 1
        return btf_from_id(identifier)

    monkeypatch.setattr(finding, "btf_from_id", counted)
    with obj.load() as bpf:
        found = osmia.find("int osmia_found_global(…)", "kernel")
        ids = {each.id for each in bpf.programs.values()}
        assert ids <= {each.program_id for each in found}
        assert read[bpf.programs["osmia_found_first"].info.btf_id] == 1
    assert set(read.values()) == {1}


@pytest.mark.kernel
def test_published_libraries(obj: osmia.Object, bpffs: Path) -> None:
    root = bpffs / "libraries"
    assert osmia.find("osmia_found*", "libraries", root=root) == []
    with obj.load() as bpf:
        osmia.publish(bpf, "found", root=root)
        osmia.publish(bpf, "found", root=root)
        broken = osmia.publish(bpf, "broken", root=root)
    (broken.path / "object").unlink()
    with pytest.warns(OsmiaWarning, match=r"library 'broken': .*ENOENT"):
        (one,) = osmia.find("int osmia_found_global(…)", ["libraries"], root=root)
    assert (one.library, one.version, one.linkage) == ("found", 2, "global")
    assert one.place == "library found, version 2"
    with osmia.library("found", root=root) as lib:
        assert len(osmia.find("osmia_found…", lib)) == 5
