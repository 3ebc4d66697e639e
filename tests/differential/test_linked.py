"""Objects that osmia links, beside what `bpftool gen object` makes of the same files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import osmia

from .linking import Group, by_bpftool, group_names, read_group
from .peers import PeerError, why_no_newer_bpftool
from .seen import Seen, SeenMap, SeenProgram

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(bool(why_no_newer_bpftool()), reason="needs bpftool 7.8"),
]

#: Group: what bpftool makes of it instead, and why osmia does otherwise. "refused": it links
#: nothing; "unreadable": libbpf cannot open what it wrote.
DIFFERENT = {
    "extern_maps": (
        "unreadable",
        "libbpf's BTF tells a wrong place of a map that was extern first",
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
    linked = link(read_group(name), tmp_path)
    difference, _ = DIFFERENT.get(name, ("", ""))
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
        alike = (
            theirs == mine and references(linked.theirs).items() >= references(linked.mine).items()
        )
        assert alike == (not difference)
        assert seen(by_osmia, linked.theirs, "theirs-by-osmia") == theirs
