"""Objects that osmia links, beside what `bpftool gen object` makes of the same files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import osmia

from .generated import generated_group
from .linking import Group, by_bpftool, group_names, read_group
from .peers import PeerError, why_no_newer_bpftool
from .seen import Seen, SeenMap, SeenProgram

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(bool(why_no_newer_bpftool()), reason="needs bpftool 7.8"),
]

#: Group: what bpftool makes of it instead, and why osmia does otherwise. "refused": it links
#: nothing; "unreadable": libbpf cannot open what it wrote; "untyped": the kernel refuses the
#: types of what it wrote, and libbpf loads it without.
DIFFERENT = {
    "extern_maps": (
        "unreadable",
        "libbpf's BTF tells a wrong place of a map that was extern first",
    ),
    "extern_variables": (
        "untyped",
        "libbpf's BTF tells a wrong place of a variable in a section of"
        " its own that was extern first",
    ),
    "static_pointers": ("refused", "libbpf moves no addresses of static variables in data"),
    "strong_extern": ("refused", "libbpf takes strong and weak in some orders only"),
    "weak_maps": ("unreadable", "libbpf's BTF tells a wrong place of a map that was weak first"),
}

PEERS = ["libbpf", "newer bpftool"]


def without_types(seen: Seen) -> tuple[dict[str, SeenProgram], list[SeenMap]]:
    """What has to be equal however types are numbered: tags, instructions, maps, contents."""
    programs = {
        name: replace(each, btf=b"", functions=b"", lines=b"")
        for name, each in seen.programs.items()
    }
    maps = [replace(m, key_type=bool(m.key_type), value_type=bool(m.value_type))
            for m in seen.maps or []]  # fmt: skip
    return programs, sorted(maps, key=repr)


def untyped(seen: tuple[dict[str, SeenProgram], list[SeenMap]]) -> Any:
    """The same of what was loaded without types at all."""
    maps = [replace(m, has_btf=False, key_type=False, value_type=False) for m in seen[1]]
    return seen[0], sorted(maps, key=repr)


def references(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What each function names, and where: the tags do not tell places in data apart."""
    obj = osmia.open(path)
    return {
        key: [(r.offset, r.kind, r.target, r.addend) for r in function.relocations]
        for key, function in obj.functions.items()
    }


@dataclass(frozen=True)
class Linked:
    """The same objects, linked by both; the files have one name, since maps are called after it."""

    mine: Path
    theirs: Path
    refused: str


def link(group: Group, directory: Path) -> Linked:
    for each in ("objects", "mine", "theirs"):
        (directory / each).mkdir()
    objects = group.objects(directory / "objects")
    mine, theirs = directory / "mine/linked.bpf.o", directory / "theirs/linked.bpf.o"
    osmia.link(objects, name="linked").save(mine)
    return Linked(mine, theirs, by_bpftool(objects, theirs))


@pytest.mark.filterwarnings("ignore:.*fills in no such address:osmia.OsmiaWarning")
@pytest.mark.parametrize("name", group_names())
def test_the_kernel_sees_the_same(
    name: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Seen],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    compare(link(read_group(name), tmp_path), DIFFERENT.get(name, ("",))[0], peers, by_osmia, bpffs)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seed"), [(2, 1), (2, 2), (3, 3), (4, 4), (5, 5), (8, 6),
                                             (8, 7), (13, 8), (25, 9), (50, 10)])  # fmt: skip
def test_the_kernel_sees_the_same_of_groups_made_by_chance(
    count: int,
    seed: int,
    peers: dict[str, Any],
    by_osmia: Callable[..., Seen],
    bpffs: Path,
    tmp_path: Path,
) -> None:
    compare(link(generated_group(count, seed), tmp_path), "", peers, by_osmia, bpffs)


def compare(
    linked: Linked,
    difference: str,
    peers: dict[str, Any],
    by_osmia: Callable[..., Seen],
    bpffs: Path,
) -> None:
    """Load what both linked, by osmia and by libbpf, and hold it side by side."""
    assert bool(linked.refused) == (difference == "refused"), linked.refused

    def seen(load: Callable[..., Seen], path: Path, where: str) -> Any:
        (bpffs / where).mkdir()
        return without_types(load(path, bpffs / where))

    mine = seen(by_osmia, linked.mine, "mine-by-osmia")
    assert mine[0], "the group loads nothing"
    for peer in PEERS:
        assert seen(peers[peer].see, linked.mine, f"mine-by-{peer}") == mine, peer
    if difference == "unreadable":
        with pytest.raises(PeerError):
            seen(peers["newer bpftool"].see, linked.theirs, "theirs-by-bpftool")
    elif not linked.refused:
        theirs = seen(peers["newer bpftool"].see, linked.theirs, "theirs-by-bpftool")
        alike = references(linked.theirs).items() >= references(linked.mine).items()
        assert alike and (theirs == mine) == (not difference)
        assert not difference or theirs == untyped(mine)
        assert seen(by_osmia, linked.theirs, "theirs-by-osmia") == mine


@pytest.mark.parametrize("name", group_names())
def test_llvm_reads_it_without_a_warning(name: str, tmp_path: Path) -> None:
    mine = link(read_group(name), tmp_path).mine
    for command in (["llvm-readelf", "--all"], ["llvm-objdump", "--all-headers", "-d", "-r", "-t"]):
        read = subprocess.run([*command, mine], capture_output=True, text=True, check=True)
        assert read.stdout and not read.stderr


@pytest.mark.filterwarnings("ignore:.*fills in no such address:osmia.OsmiaWarning")
@pytest.mark.parametrize("name", [each for each in group_names() if each not in DIFFERENT])
def test_what_is_linked_links_on(
    name: str, by_osmia: Callable[..., Seen], bpffs: Path, tmp_path: Path
) -> None:
    """The first half linked by osmia, then with the rest: by osmia, and by bpftool."""
    group = read_group(name)
    whole = link(group, tmp_path).mine
    first, *rest = group.objects(tmp_path)
    half, again = tmp_path / "half.bpf.o", tmp_path / "again"
    osmia.link([first], allow_undefined=True).save(half)
    again.mkdir()
    osmia.link([half, *rest], name="linked").save(again / "linked.bpf.o")
    (bpffs / "whole").mkdir()
    expected = without_types(by_osmia(whole, bpffs / "whole"))
    (bpffs / "again").mkdir()
    assert without_types(by_osmia(again / "linked.bpf.o", bpffs / "again")) == expected
    assert by_bpftool([half, *rest], again / "linked.bpf.o") == ""
    (bpffs / "bpftool").mkdir()
    assert without_types(by_osmia(again / "linked.bpf.o", bpffs / "bpftool")) == expected


@pytest.mark.parametrize("name", group_names())
def test_types_are_as_few_as_bpftool_s(name: str, tmp_path: Path) -> None:
    linked = link(read_group(name), tmp_path)
    if linked.refused:
        pytest.skip("bpftool links nothing")
    mine, theirs = (osmia.open(path).btf for path in (linked.mine, linked.theirs))
    assert mine is not None and theirs is not None and len(mine) <= len(theirs)
