"""Pins: names that stay in their directory, directories made and removed, bpffs found."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine.maps import KeyedMap, Map
from osmia.errors import KernelError, NotSupportedError, OsmiaError
from osmia.kernel.inventory import holders
from osmia.kernel.links import KernelLink
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import mounts, pin_sets, pins
from osmia.object.uapi import MapType


@pytest.mark.parametrize("name", ["flows", "my.map", "..flows", "a" * 255, "é" * 127])
def test_file_names_are_safe(name: str) -> None:
    assert pins.safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "/etc", "a\0b", "a" * 256, "é" * 128]
)
def test_names_that_leave_the_directory_are_refused(name: str) -> None:
    with pytest.raises(pins.PinNameError, match="the pin name") as caught:
        pins.safe_name(name)
    assert isinstance(caught.value, OsmiaError)


def new_map(name: str = "flows") -> KeyedMap:
    made = Map.create(MapType.HASH, key_size=4, value_size=8, max_entries=8, name=name)
    assert isinstance(made, KeyedMap)
    return made


@pytest.mark.kernel
def test_a_pinned_map_can_be_opened_again(bpffs: Path) -> None:
    with new_map() as flows:
        flows[1] = 10
        flows.pin(bpffs / "flows")
        identifier = flows.id
    with Map.from_pin(bpffs / "flows") as again:
        assert isinstance(again, KeyedMap)
        assert again.id == identifier
        assert again[1] == 10
        again.unpin(bpffs / "flows")
    assert not (bpffs / "flows").exists()


@pytest.mark.kernel
def test_missing_directories_are_made_private(bpffs: Path) -> None:
    with new_map() as flows:
        flows.pin(bpffs / "a" / "b" / "flows")
    for directory in (bpffs / "a", bpffs / "a" / "b"):
        assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.kernel
def test_a_failed_pin_leaves_no_directories(bpffs: Path) -> None:
    with new_map() as flows, pytest.raises(KernelError, match=r"pin map 'flows' to"):
        flows.pin(bpffs / "a" / "b" / "dots.are.refused.here")
    assert not (bpffs / "a").exists()


@pytest.mark.kernel
def test_when_one_of_several_cannot_be_pinned_none_is(bpffs: Path) -> None:
    with new_map() as flows:
        places = [bpffs / "new/first", bpffs / "new/deep/second", bpffs / "other/with.dot"]
        with pytest.raises(KernelError, match=r"with\.dot"):
            pin_sets.pin_all((flows.fileno(), place, "map") for place in places)
    assert not list(bpffs.iterdir())


@pytest.mark.kernel
def test_a_second_pin_of_the_same_name_is_refused(bpffs: Path) -> None:
    with new_map() as flows:
        flows.pin(bpffs / "flows")
        with pytest.raises(KernelError, match="EEXIST"):
            flows.pin(bpffs / "flows")


@pytest.mark.kernel
def test_pinning_elsewhere_says_that_it_is_no_bpffs(tmp_path: Path) -> None:
    with new_map() as flows:
        for path in (tmp_path / "flows", tmp_path / "deep" / "flows"):
            with pytest.raises(KernelError, match="is not in a bpffs"):
                flows.pin(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.kernel
def test_unpinning_removes_pins_only(bpffs: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="ENOENT"):
        pins.unpin(bpffs / "nothing")
    precious = tmp_path / "precious"
    precious.touch()
    with pytest.raises(KernelError, match="not in a bpffs"):
        pins.unpin(precious)
    assert precious.exists()


@pytest.mark.kernel
def test_opening_what_is_no_map_says_so(bpffs: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"open pin .*nothing.*ENOENT"):
        Map.from_pin(bpffs / "nothing")
    precious = tmp_path / "precious"
    precious.touch()
    with pytest.raises(KernelError, match="outside of any bpffs"):
        Map.from_pin(precious)


@pytest.mark.kernel
def test_the_bpffs_is_found(bpffs: Path) -> None:
    assert pins.find_bpffs() in pins.bpffs_mounts()
    assert pins.is_on_bpffs(bpffs / "not" / "there")
    assert not pins.is_on_bpffs("/proc")


def test_without_a_bpffs_the_error_says_how_to_mount_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "bpffs_mounts", list)
    with pytest.raises(NotSupportedError, match="mount -t bpf bpf /sys/fs/bpf"):
        pins.find_bpffs()


def test_mount_points_with_spaces_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (
        "25 1 0:22 / /sys rw - sysfs sysfs rw\n"
        "31 25 0:27 / /sys/fs/bpf rw shared:9 - bpf bpf rw\n"
        "32 25 0:28 / /mnt/my\\040bpf rw - bpf none rw\n"
    )
    monkeypatch.setattr(mounts, "text_of", lambda _path: table)
    assert pins.bpffs_mounts() == [Path("/sys/fs/bpf"), Path("/mnt/my bpf")]


@pytest.mark.kernel
def test_mounting_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"mount a bpffs on .*ENOENT"):
        pins.mount_bpffs(tmp_path / "nothing")
    pins.mount_bpffs(tmp_path)
    try:
        assert pins.is_on_bpffs(tmp_path)
        with new_map() as flows:
            flows.pin(tmp_path / "flows")
        (tmp_path / "flows").unlink()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.kernel
def test_a_bpffs_on_top_of_another_is_one_place(tmp_path: Path) -> None:
    with ExitStack() as mounted:
        for _ in range(2):
            pins.mount_bpffs(tmp_path)
            mounted.callback(lambda: subprocess.run(["umount", tmp_path], check=True))
        assert pins.bpffs_mounts().count(tmp_path) == 1
        with new_map() as flows:
            flows.pin(tmp_path / "flows")
            assert holders.pinned()["map", flows.id] == [tmp_path / "flows"]


KINDS = {"map": "a map", "program": "a program", "link": "a link"}
PINNED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, int);
         __type(value, long); __uint(pinning, LIBBPF_PIN_BY_NAME); } state SEC(".maps");
SEC("raw_tp/sched_process_exit") int p(void *c) {
    int k = 0;
    return bpf_map_lookup_elem(&state, &k) != 0;
}
"""


@pytest.fixture
def pinned(bpffs: Path) -> Iterator[dict[str, Path]]:
    """A pin of each kind."""
    paths = {kind: bpffs / kind for kind in KINDS}
    with osmia.compile(PINNED).load(pin_root=bpffs / "maps") as bpf:
        bpf.maps["state"].pin(paths["map"])
        bpf.programs["p"].pin(paths["program"])
        with bpf.programs["p"].attach() as link:
            link.pin(paths["link"])
            yield paths


@pytest.mark.kernel
@pytest.mark.parametrize("found", KINDS)
def test_a_pin_of_another_kind_is_refused_by_name(found: str, pinned: dict[str, Path]) -> None:
    opened: dict[str, Callable[[Path], Any]] = {
        "map": Map.from_pin,
        "program": KernelProgram.from_pin,
        "link": KernelLink.from_pin,
    }
    for kind, opens in opened.items():
        if kind == found:
            opens(pinned[found]).close()
        else:
            with pytest.raises(KernelError, match=f"'.*/{found}' as a {kind}: .*it is a {found}, "):
                opens(pinned[found])


@pytest.mark.kernel
@pytest.mark.parametrize("found", ["program", "link"])
def test_a_load_does_not_take_another_kind_for_its_map(found: str, pinned: dict[str, Path]) -> None:
    root = pinned[found].parent / "other"
    root.mkdir()
    pinned[found].rename(root / "state")
    with pytest.raises(KernelError, match=f"it is a {found}, not a map"):
        osmia.compile(PINNED).load(pin_root=root)
    (root / "state").rename(pinned[found])
    root.rmdir()


@pytest.mark.kernel
def test_a_link_that_was_opened_by_its_pin_can_be_unpinned(pinned: dict[str, Path]) -> None:
    with KernelLink.from_pin(pinned["link"]) as link:
        assert link.pin_paths == (pinned["link"],)
        link.unpin()
        assert not pinned["link"].exists()
        assert not link.pin_paths


@pytest.mark.kernel
def test_what_is_no_pin_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(KernelError, match=r"it is a file outside of any bpffs, no pin"):
        osmia.Map.from_pin(file)
    with pytest.raises(KernelError, match=r"it is a directory, no pin"):
        osmia.Program.from_pin(tmp_path)
    with pytest.raises(KernelError, match=r"No such file"):
        osmia.Map.from_pin(tmp_path / "missing")
