"""What an object on a host is made of: entries after an upgrade, links and their pins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osmia import NotSupportedError, OsmiaError
from osmia.fleet.installed import Installed, _hashable
from osmia.fleet.wishes import Attachment, Canary, Wish
from osmia.object import Object
from osmia.records import replace

from .conftest import compiled

pytestmark = pytest.mark.slow

KEY, VALUE = (7, 1), {"packets": 3, "bytes": 4}
ENTRIES = {"flows": {KEY: VALUE}}


@pytest.fixture(scope="module")
def other() -> Object:
    return compiled("XDP_TX")


def _upgraded(limit: Object, other: Object) -> tuple[Wish, Wish]:
    wish = Wish("limit", limit, limit.digest)
    return wish, replace(wish, generation=3, obj=other, digest=other.digest, entries=ENTRIES)


@pytest.mark.kernel
def test_a_host_that_missed_updates_has_them_with_the_upgrade_that_follows(
    tmp_path: Path, limit: Object, other: Object
) -> None:
    wish, upgraded = _upgraded(limit, other)
    installed = Installed(wish, tmp_path)
    installed.apply(wish)
    installed.apply(upgraded)
    assert installed.loaded.maps["flows"][KEY] == VALUE
    installed.close(keep_pins=False)


@pytest.mark.kernel
def test_entries_that_came_with_an_upgrade_go_with_it(
    tmp_path: Path, limit: Object, other: Object
) -> None:
    wish, upgraded = _upgraded(limit, other)
    installed = Installed(wish, tmp_path)
    installed.apply(wish)

    def refuse(loaded: Any) -> None:
        assert loaded.maps["flows"][KEY] == VALUE
        raise OsmiaError("not this one")

    with pytest.raises(OsmiaError, match="not this one"):
        installed.upgrade(upgraded, refuse)
    assert KEY not in installed.loaded.maps["flows"]
    installed.upgrade(upgraded)
    assert installed.loaded.maps["flows"][KEY] == VALUE
    installed.roll_back()
    assert KEY not in installed.loaded.maps["flows"]
    installed.close(keep_pins=False)


def test_entries_of_a_map_that_the_new_object_lacks_are_wanted_no_more(limit: Object) -> None:
    less = limit.copy()
    del less.maps["drops"]
    wish = Wish("limit", limit, limit.digest, entries={**ENTRIES, "drops": {1: 2}})
    assert wish.having(less, less.digest).entries == ENTRIES
    canary = replace(wish, canary=Canary(less, less.digest, frozenset({"a"})))
    assert canary.at("a").entries == ENTRIES
    assert canary.at("b").entries == wish.entries


class FakeLink:
    """A link that the kernel cannot update; a pin is a file with its name in it."""

    def __init__(self, name: str, *, pins: bool = True) -> None:
        self.name, self.pins, self.detached = name, pins, False
        self._pinned: list[Path] = []

    def disown(self) -> FakeLink:
        return self

    def update(self, program: Any) -> None:
        raise NotSupportedError("the kernel cannot update links of this kind")

    def pin(self, path: Path) -> None:
        if not self.pins:
            raise OsmiaError("no room for a pin")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.name)
        self._pinned.append(path)

    def unpin(self) -> None:
        while self._pinned:
            self._pinned.pop().unlink(missing_ok=True)

    def detach(self) -> None:
        self.detached = True
        self.unpin()

    def close(self) -> None: ...


class FakeLoaded:
    """An object whose one program attaches as a link of that name, or not at all."""

    def __init__(self, link: FakeLink | None) -> None:
        self.programs, self.link = {"traced": self}, link

    def attach(self) -> FakeLink:
        if self.link is None:
            raise OsmiaError("not attached")
        return self.link


@pytest.fixture
def moving(tmp_path: Path) -> tuple[Installed, FakeLink, Path]:
    """What is attached by a pinned link that cannot be updated."""
    installed: Any = Installed.__new__(Installed)
    installed.pins = tmp_path
    key = _hashable(Attachment("traced")), ""
    old, place = FakeLink("old"), installed._place(*key)
    old.pin(place)
    installed.links, installed.loaded = {key: old}, FakeLoaded(old)
    return installed, old, place


def test_a_link_in_the_place_of_one_that_cannot_be_updated_is_pinned_as_that_was(
    moving: tuple[Any, FakeLink, Path],
) -> None:
    installed, old, place = moving
    installed._move_links(FakeLoaded(FakeLink("new")))
    assert place.read_text() == "new"
    assert old.detached


@pytest.mark.parametrize("new", [None, FakeLink("new", pins=False)])
def test_a_link_that_nothing_takes_the_place_of_stays_pinned(
    moving: tuple[Any, FakeLink, Path], new: FakeLink | None
) -> None:
    installed, old, place = moving
    with pytest.raises(OsmiaError):
        installed._move_links(FakeLoaded(new))
    assert place.read_text() == "old"
    assert not old.detached
    assert list(installed.links.values()) == [old]
    assert new is None or new.detached
