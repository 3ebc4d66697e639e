"""Changes by several clients, clients that die, a scheduler that is new: one host, in this process,
whose objects run in the vm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from distributed import LocalCluster

from osmia import OsmiaError
from osmia.fleet import Fleet, FleetError, Running, keeping
from osmia.fleet.installed import Installed
from osmia.fleet.ledger import plugin_name
from osmia.fleet.turns import Turn
from osmia.object import Object
from osmia.records import replace

from .conftest import compiled, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    make: Any = LocalCluster
    with make(
        n_workers=1,
        processes=False,
        threads_per_worker=2,
        dashboard_address=None,
        host="127.0.0.1",
        protocol="tcp",
    ) as made:
        yield made


@pytest.fixture
def fleet(dask: Any, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    made = Fleet(dask.scheduler_address, name=request.node.name[:60].rstrip("["), timeout=10.0)
    yield made
    if _ledger(dask, made) is not None:
        made.close()


@pytest.fixture
def other(dask: Any, fleet: Fleet) -> Iterator[Fleet]:
    """The same fleet, as another client has it."""
    with Fleet(dask.scheduler_address, name=fleet.name, timeout=10.0) as made:
        yield made


def _ledger(dask: Any, fleet: Fleet) -> Any:
    return dask.scheduler.plugins.get(plugin_name(fleet.name))


def _agent(dask: Any, fleet: Fleet) -> Any:
    return next(iter(dask.workers.values())).plugins[plugin_name(fleet.name)]


def _value(running: Running, name: str = "limit") -> Any:
    return next(iter(running.data[name].values()))


def _state(fleet: Fleet, name: str = "limit") -> dict[str, Any]:
    found: dict[str, Any] = next(iter(fleet.status().values())).get(name, {})
    return found


def test_no_change_of_two_clients_is_lost(fleet: Fleet, other: Fleet, limit: Object) -> None:
    running = fleet.load(limit, engine="vm")
    theirs = other.running()["limit"]

    def change(mine: Running, number: int) -> None:
        for each in range(10):
            mine.maps["flows"][(each, number)] = {"packets": 1, "bytes": 1}

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(change, (running, theirs), (1, 2)))
    assert running.maps["flows"].to_arrow().num_rows == 20
    wish = fleet._wishes()["limit"]
    assert len(wish.entries["flows"]) == 20
    wait_for(lambda: _state(fleet)["generation"] == wish.generation == 21)


def test_of_two_loads_at_once_one_is_there_and_the_other_told(
    fleet: Fleet, other: Fleet, limit: Object
) -> None:
    objects = [limit, compiled("XDP_TX")]

    def load(mine: Fleet, obj: Object) -> Any:
        try:
            return mine.load(obj, name="same", engine="vm")
        except OsmiaError as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(load, (fleet, other), objects))
    errors = [each for each in found if isinstance(each, OsmiaError)]
    (winner,) = [each for each in found if isinstance(each, Running)]
    assert [str(each) for each in errors] == [
        "the fleet has an object 'same' already: upgrade or close it"
    ]
    assert _state(fleet, "same")["digest"] == winner.digest
    assert fleet.running()["same"].digest == winner.digest


def test_who_waits_for_another_client_too_long_is_told_for_whom(
    fleet: Fleet, other: Fleet, limit: Object
) -> None:
    running = fleet.load(limit, engine="vm")
    other.timeout = 0.1
    with Turn(fleet, "limit", "upgrade"):
        with pytest.raises(OsmiaError, match=r"set limit: object 'limit' is being changed, anoth"):
            other.running()["limit"].data["limit"] = 7
        with pytest.raises(OsmiaError, match="upgrade goes on for 0 s"):
            other.close()
    running.data["limit"] = 8
    assert _value(running) == 8


def test_what_a_client_did_that_died_is_undone(dask: Any, fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit, engine="vm")
    running.data["limit"] = 5
    doomed = Fleet(dask.scheduler_address, name=fleet.name)
    turn = Turn(doomed, "limit", "set")
    turn.__enter__()
    wish = replace(running._before(turn), generation=turn.number, data={"limit": 6, "seen": 9})
    doomed.ask("apply", wish).checked("set")
    fresh = Turn(doomed, "fresh", "load")
    fresh.__enter__()
    loaded = replace(wish, name="fresh", generation=fresh.number, data={})
    doomed.ask("apply", loaded).checked("load")
    assert (_value(running), _value(running, "seen")) == (6, 9)
    doomed.client.close()
    wait_for(lambda: (_value(running), _value(running, "seen")) == (5, 0))
    wait_for(lambda: _state(fleet, "fresh") == {})
    running.data["limit"] = 7  # nobody has to wait for it
    assert _state(fleet)["error"] is None


def test_a_turn_whose_client_is_not_heard_ends(
    dask: Any, fleet: Fleet, other: Fleet, limit: Object
) -> None:
    running = fleet.load(limit, engine="vm")
    _ledger(dask, fleet).lease = 0.2
    with Turn(fleet, "limit", "set") as turn:
        assert turn._renewing is not None
        turn._renewing.cancel()
        wish = replace(running._before(turn), generation=turn.number, data={"limit": 6})
        fleet.ask("apply", wish).checked("set")
        other.running()["limit"].data["seen"] = 1
        with pytest.raises(OsmiaError, match="did not hear this client for too long"):
            turn.commit(wish)
    wait_for(lambda: (_value(running), _value(running, "seen")) == (1000000, 1))
    with pytest.raises(FleetError, match="was changed by another client meanwhile"):
        fleet.ask("apply", wish).checked("set")


def test_what_a_change_did_that_a_host_refuses_is_as_before(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit, engine="vm")
    flows = running.maps["flows"]
    flows[(1, 1)] = {"packets": 1, "bytes": 1}
    with pytest.raises(FleetError):
        running.data.update({"seen": 3, "limit": "many"})
    assert _value(running, "seen") == 0
    with pytest.raises(FleetError):
        flows.update(
            {(1, 1): {"packets": 2, "bytes": 2}, (2, 2): {"packets": 2, "bytes": 2}, "x": 1}
        )
    assert flows.to_arrow().num_rows == 1
    assert flows.sum("value.packets").to_pylist() == [{"value.packets": 1}]
    assert fleet._wishes()["limit"].data == {}


def test_what_was_closed_is_not_changed_nor_what_has_its_name(
    fleet: Fleet, other: Fleet, limit: Object
) -> None:
    running = fleet.load(limit, engine="vm")
    theirs = other.running()["limit"]
    running.close()
    again = fleet.load(limit, engine="vm")
    with pytest.raises(OsmiaError, match="the fleet has no object 'limit': it was closed"):
        theirs.data["limit"] = 3
    theirs.close()
    assert _value(again) == 1000000


def test_a_fleet_that_was_closed_is_closed_for_all(
    dask: Any, fleet: Fleet, other: Fleet, limit: Object
) -> None:
    theirs = other.load(limit, engine="vm")
    fleet.close()
    with pytest.raises(OsmiaError, match=r"fleet '.*' was closed"):
        theirs.data["limit"] = 3
    with pytest.raises(OsmiaError, match=r"fleet '.*' was closed"):
        other.load(limit, engine="vm")
    assert _ledger(dask, fleet) is None
    with Fleet(dask.scheduler_address, name=fleet.name) as anew:
        assert anew.running() == {}
        assert anew.load(limit, engine="vm").name == "limit"
        anew.close()


def test_any_error_of_one_object_is_told_and_the_others_are_kept(
    fleet: Fleet, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (fleet.load(limit, name=name, engine="vm") for name in ("bad", "good"))
    kept: list[str] = []

    def keep_up(self: Installed) -> None:
        kept.append(self.wish.name)
        if self.wish.name == "bad":
            raise ZeroDivisionError("of nobody's")

    monkeypatch.setattr(keeping, "INTERVAL", 0.02)
    monkeypatch.setattr(Installed, "keep_up", keep_up)
    wait_for(lambda: kept.count("good") > 3 and kept.count("bad") > 3)
    assert list(bad.errors.values()) == ["ZeroDivisionError: of nobody's"]
    assert good.errors == {}
    monkeypatch.undo()
    wait_for(lambda: bad.errors == {})


def test_an_agent_that_has_nothing_to_do_asks_nothing(
    dask: Any, fleet: Fleet, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = fleet.load(limit, engine="vm")
    agent = _agent(dask, fleet)
    wait_for(lambda: agent._keeping._is_decided("limit"))
    asked: list[str] = []
    kept: list[None] = []
    ask = agent._keeping._ask

    async def counted(method: str, **given: Any) -> Any:
        asked.append(method)
        return await ask(method, **given)

    monkeypatch.setattr(agent._keeping, "_ask", counted)
    monkeypatch.setattr(keeping, "INTERVAL", 0.01)
    monkeypatch.setattr(Installed, "keep_up", lambda self: kept.append(None))
    wait_for(lambda: len(kept) >= 50)
    running.data["limit"] = 5  # which it is told
    wait_for(lambda: agent._keeping._told["limit"].generation == 2)
    seen = len(kept)
    wait_for(lambda: len(kept) >= seen + 10)
    assert set(asked) <= {"look"}  # while it was changed
    assert len(asked) < 10


def test_a_host_that_missed_a_change_is_told_of_it(dask: Any, fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit, engine="vm")
    begin = time.monotonic()
    with Turn(fleet, "limit", "set") as turn:
        turn.commit(replace(running._before(turn), generation=turn.number, data={"limit": 3}))
    wait_for(lambda: _value(running) == 3)
    assert time.monotonic() - begin < keeping.LOOK / 3


def test_what_runs_is_given_back_to_a_scheduler_that_knows_nothing(
    dask: Any, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit, engine="vm")
    running.data["limit"] = 5
    agent = _agent(dask, fleet)
    wait_for(lambda: agent._keeping._is_decided("limit"))
    generation = fleet._wishes()["limit"].generation
    _ledger(dask, fleet)._entries.clear()
    assert fleet.running() == {}
    agent._keeping._next_look = 0.0
    wait_for(lambda: "limit" in fleet.running())
    assert fleet._wishes()["limit"].generation == generation
    running.data["seen"] = 1
    assert (_value(running), _value(running, "seen")) == (5, 1)
