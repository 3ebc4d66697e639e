"""Several pins: all or none, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.engine.maps import Map
from osmia.errors import KernelError
from osmia.kernel.sys import pin_sets
from osmia.object.uapi import MapType

from ...killed import killed_everywhere

pytestmark = pytest.mark.kernel
NAMES = ("one", "two", "three")


@pytest.fixture
def maps() -> Iterator[dict[str, Map]]:
    made: dict[str, Map] = {
        name: Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1, name=name)
        for name in NAMES
    }
    yield made
    for each in made.values():
        each.close()


def things(maps: dict[str, Map], directory: Path) -> list[pin_sets.Pin]:
    return [(each.fileno(), directory / name, f"map {name}") for name, each in maps.items()]


def entries(directory: Path) -> set[str]:
    return set(os.listdir(directory)) if directory.exists() else set()  # noqa: PTH208


def is_pinned(path: Path, what: Map) -> bool:
    with Map.from_pin(path) as opened:
        return bool(opened.id == what.id)


def pin_again(maps: dict[str, Map], directory: Path) -> None:
    """Pin; who finds all of them there has what he wants."""
    try:
        pin_sets.pin_all(things(maps, directory))
    except KernelError as error:
        assert error.errno == errno.EEXIST
    assert all(is_pinned(directory / name, each) for name, each in maps.items())


@pytest.mark.slow
@pytest.mark.parametrize("below", ["new", "new/deep"])
def test_killed_while_pinning_in_a_new_directory_there_are_all_or_none(
    bpffs: Path, maps: dict[str, Map], below: str
) -> None:
    directory = bpffs / below
    seen = set()
    for _ in killed_everywhere(lambda: pin_sets.pin_all(things(maps, directory))):
        found = entries(directory)
        assert found in (set(), set(NAMES))
        assert (bpffs / "new").exists() == bool(found)
        seen.add(len(found))
        pin_again(maps, directory)
        assert entries(directory) == set(NAMES)
        assert entries(bpffs) == {"new"}
        pin_sets.unpin_all(path for _, path, _ in things(maps, directory))
        if below != "new":
            (bpffs / "new").rmdir()
        assert not entries(bpffs)
    assert seen == {0, len(NAMES)}


@pytest.mark.slow
@pytest.mark.parametrize("goes_on", ["pin", "unpin"])
def test_killed_while_pinning_beside_others_the_next_one_ends_it(
    bpffs: Path, maps: dict[str, Map], goes_on: str
) -> None:
    seen = set()
    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as other:
        other.pin(bpffs / "other")
        for _ in killed_everywhere(lambda: pin_sets.pin_all(things(maps, bpffs))):
            seen.add(len(entries(bpffs) & set(NAMES)))
            if goes_on == "pin":
                pin_again(maps, bpffs)
                assert entries(bpffs) == {"other", *NAMES}
            pin_sets.unpin_all(path for _, path, _ in things(maps, bpffs))
            assert entries(bpffs) == {"other"}
        assert is_pinned(bpffs / "other", other)
    assert seen == {0, 1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize("goes_on", ["pin", "unpin"])
def test_killed_while_unpinning_the_next_one_ends_it(
    bpffs: Path, maps: dict[str, Map], goes_on: str
) -> None:
    directory = bpffs / "all"
    wanted = things(maps, directory)
    pin_sets.pin_all(wanted)
    for _ in killed_everywhere(lambda: pin_sets.unpin_all(path for _, path, _ in wanted)):
        if goes_on == "unpin":
            pin_sets.unpin_all(path for _, path, _ in wanted)
            assert not entries(bpffs)
        pin_again(maps, directory)
        assert entries(directory) == set(NAMES)
        assert entries(bpffs) == {"all"}


@pytest.mark.slow
def test_killed_while_pinning_in_two_directories_there_are_all_or_none(
    bpffs: Path, maps: dict[str, Map]
) -> None:
    places = {"one": bpffs / "a" / "programs", "two": bpffs / "a" / "maps", "three": bpffs / "a"}
    wanted = [(maps[name].fileno(), place / name, name) for name, place in places.items()]
    for _ in killed_everywhere(lambda: pin_sets.pin_all(wanted)):
        found = [path.exists() for _, path, _ in wanted]
        assert all(found) or not any(found)
        pin_sets.unpin_all(path for _, path, _ in wanted)
        assert not entries(bpffs)


def test_what_is_in_no_bpffs_stays(tmp_path: Path, maps: dict[str, Map]) -> None:
    (tmp_path / "empty").mkdir()
    pin_sets.unpin_all([tmp_path / "empty" / "one", tmp_path / "not" / "there"])
    assert entries(tmp_path) == {"empty"}
    with pytest.raises(KernelError, match="is not in a bpffs"):
        pin_sets.pin_all(things(maps, tmp_path))
    assert entries(tmp_path) == {"empty"}


def test_a_failure_leaves_what_was_there(bpffs: Path, maps: dict[str, Map]) -> None:
    maps["one"].pin(bpffs / "there" / "two")
    for directory in (bpffs / "there", bpffs):
        wanted = [*things(maps, directory), (maps["one"].fileno(), bpffs / "x.dot", "map one")]
        with pytest.raises(KernelError, match=r"EEXIST|names in a bpffs have no dots"):
            pin_sets.pin_all(wanted)
        assert (entries(bpffs), entries(bpffs / "there")) == ({"there"}, {"two"})


def test_two_that_pin_at_once_wait_for_each_other(
    bpffs: Path, maps: dict[str, Map], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pin_sets, "_PATIENCE", 0.05)
    with pin_sets._lock(bpffs) as held:
        assert held
        with pytest.raises(KernelError, match=r"EBUSY.*somebody else does"):
            pin_sets.pin_all(things(maps, bpffs))
    pin_sets.pin_all(things(maps, bpffs))


def test_what_others_left_is_no_journal_of_ours(bpffs: Path, maps: dict[str, Map]) -> None:
    maps["one"].pin(bpffs / "osmia_undone_1" / "two")
    os.chown(bpffs / "osmia_undone_1", 4711, 4711)
    pin_sets.pin_all(things(maps, bpffs))
    assert entries(bpffs) == {"osmia_undone_1", *NAMES}
