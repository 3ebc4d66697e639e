"""What an agent makes of what it hears, and of a scheduler that it does not hear."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from osmia import OsmiaError
from osmia.fleet import keeping, kept_wishes
from osmia.fleet.installed import Installed
from osmia.fleet.keeping import Keeping
from osmia.fleet.ledger import Told
from osmia.fleet.wishes import Wish
from osmia.object import Object
from osmia.records import replace

from .conftest import compiled

pytestmark = pytest.mark.slow


class Ledger:
    """A ledger that knows one object, or cannot be reached."""

    def __init__(self, told: Told) -> None:
        self.told, self.cut = told, False

    async def ask(self, method: str, **given: Any) -> Any:
        if self.cut:
            raise ConnectionError("the cable is out")
        return {"limit": self.told} if method == "told" else (self.told, None)


@pytest.mark.kernel
def test_an_upgrade_on_trial_goes_back_when_the_scheduler_is_not_heard(
    tmp_path: Path, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Told(1, wanted=True))
    kept = Keeping("host", tmp_path, ledger.ask)
    wish = Wish("limit", limit, limit.digest)
    new = compiled("XDP_TX")
    trial = replace(wish, generation=2, obj=new, digest=new.digest, data={"limit": 3})

    async def keep() -> None:
        await kept.apply(wish)
        await kept.look("address")
        ledger.told = Told(1, wanted=True, turn=2)
        await kept.try_upgrade(trial, (), ())
        await kept.look("address")
        assert (kept.status()["limit"]["digest"], kept.errors) == (new.digest, {})
        ledger.cut = True
        await kept.look("address")
        status = kept.status()["limit"]
        assert status["digest"] == new.digest
        assert status["trial_since"] is not None
        assert status["error"] == "ConnectionError: the cable is out"
        monkeypatch.setattr(keeping, "LEASE", 0.0)
        await kept.look("address")
        status = kept.status()["limit"]
        assert (status["digest"], status["trial_since"]) == (limit.digest, None)
        assert kept.find("limit").loaded.data["limit"] == 1000000
        ledger.cut, ledger.told = False, Told(1, wanted=True)
        await kept.look("address")
        assert kept.errors == {}
        await kept.close()

    asyncio.run(keep())


def test_a_load_that_nobody_finished_goes_when_the_scheduler_is_not_heard(
    tmp_path: Path, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Told(0, wanted=False, turn=1))
    kept = Keeping("host", tmp_path, ledger.ask)
    monkeypatch.setattr(keeping, "LEASE", 0.0)

    async def keep() -> None:
        await kept.apply(Wish("limit", limit, limit.digest, engine="vm"))
        await kept.look("address")
        assert list(kept.installed) == ["limit"]
        ledger.cut = True
        await kept.look("address")
        assert kept.installed == {}

    asyncio.run(keep())


def test_an_answer_that_comes_behind_later_news_does_not_hide_them(tmp_path: Path) -> None:
    async def ask(method: str, **given: Any) -> Any:
        kept.hear("limit", Told(5, wanted=False))
        old = (3, False, 4)
        return {"limit": old, "other": (1, False, 0)} if method == "told" else (old, None)

    kept = Keeping("host", tmp_path, ask)

    async def look() -> None:
        assert await kept._ask_for("limit") == Told(3, wanted=False, turn=4)
        assert kept._told["limit"] == Told(5, wanted=False)
        await kept._look_at_all("address")

    asyncio.run(look())
    assert kept._told == {"limit": Told(5, wanted=False), "other": Told(1, wanted=False)}


def test_what_nobody_finished_goes_also_when_no_object_at_all_is_heard_of(
    tmp_path: Path, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Told(0, wanted=False, turn=1))
    kept = Keeping("host", tmp_path, ledger.ask)
    monkeypatch.setattr(keeping, "LEASE", 0.0)
    monkeypatch.setattr(keeping, "LOOK", 0.0)  # all are asked for each time

    async def keep() -> None:
        await kept.apply(Wish("limit", limit, limit.digest, engine="vm"))
        await kept.look("address")
        ledger.cut = True
        with pytest.raises(ConnectionError):
            await kept.look("address")
        assert kept.installed == {}

    asyncio.run(keep())


class Slow(Installed):
    """Takes what time it is given."""

    begun, go_on = threading.Event(), threading.Event()

    def apply(self, wish: Wish) -> dict[str, list[str]]:
        self.begun.set()
        assert self.go_on.wait(10)
        return super().apply(wish)


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_agent_that_ends_gives_up_what_is_being_loaded(
    tmp_path: Path, limit: Object, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    monkeypatch.setattr(keeping, "Installed", Slow)
    Slow.begun.clear()
    Slow.go_on.clear()
    kept = Keeping("host", tmp_path, Ledger(Told(1, wanted=True)).ask)

    async def end() -> None:
        wish = Wish("limit", limit, limit.digest, engine="vm")
        loading = asyncio.create_task(kept.apply(wish))
        await asyncio.to_thread(Slow.begun.wait, 10)
        if cancelled:  # as the task is that keeps up with what is wanted
            loading.cancel()
        closing = asyncio.create_task(kept.close())
        await asyncio.sleep(0.01)
        Slow.go_on.set()
        await asyncio.wait({loading, closing})
        assert loading.cancelled() == cancelled
        assert kept.installed == {}

    asyncio.run(end())


class Pinned(dict[int, bytes]):
    """A map that holds a pickle."""

    max_entries = 1

    def __init__(self, content: bytes) -> None:
        super().__init__({0: len(content).to_bytes(8, "little") + content})

    def __enter__(self) -> Pinned:
        return self

    def __exit__(self, *_: object) -> None: ...


def _kept(pins: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of wishes that are given back where that is what a map holds."""
    monkeypatch.setattr("osmia.engine.maps.Map.from_pin", lambda path: Pinned(content))
    place = pins / "limit"
    place.mkdir(exist_ok=True)
    (place / "wish").touch()
    return [each.name for each in kept_wishes.all_kept(pins)]


def test_a_wish_that_another_version_kept_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = b"cosmia.fleet.gone\nWish\n."  # ModuleNotFoundError
    assert _kept(tmp_path, gone, monkeypatch) == []


def test_a_wish_where_others_could_put_one_is_none(
    tmp_path: Path, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pickle.dumps(Wish("limit", limit, limit.digest))
    assert _kept(tmp_path, content, monkeypatch) == ["limit"]
    for directory in (tmp_path / "limit", tmp_path):
        directory.chmod(0o1777)
        assert _kept(tmp_path, content, monkeypatch) == []
        directory.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
        assert _kept(tmp_path, content, monkeypatch) == []


def test_an_object_that_is_loaded_again_is_another_one(tmp_path: Path, limit: Object) -> None:
    kept = Keeping("host", tmp_path, Ledger(Told(1, wanted=True)).ask)
    wish = Wish("limit", limit, limit.digest, engine="vm")

    async def load_again() -> None:
        await kept.apply(wish)
        assert kept.objects() == {("limit", 1)}
        await kept.apply(replace(wish, generation=3, first=3))  # the host was away meanwhile
        assert kept.objects() == {("limit", 3)}
        await kept.close()

    asyncio.run(load_again())


@pytest.mark.parametrize("name", ["", "..", "../other"])
def test_a_name_that_is_no_directory_of_its_own_removes_and_makes_none(
    tmp_path: Path, limit: Object, name: str
) -> None:
    pins = tmp_path / "fleet"
    for each in (pins / "limit", tmp_path / "other"):
        each.mkdir(parents=True)
    kept = Keeping("host", pins, Ledger(Told(1, wanted=False)).ask)
    with pytest.raises(OsmiaError, match="is no name"):
        asyncio.run(kept.drop(name, 9))
    with pytest.raises(OsmiaError, match="is no name"):
        asyncio.run(kept.apply(Wish(name, limit, limit.digest, engine="vm")))
    assert (pins / "limit").is_dir()
    assert (tmp_path / "other").is_dir()
