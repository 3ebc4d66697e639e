"""What an agent makes of what it hears, and of a scheduler that it does not hear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from osmia.fleet import keeping
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
