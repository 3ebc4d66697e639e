"""Hosts that die, are cut off, join: the others go on, and nothing is left that should not be."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from osmia.fleet import Fleet, FleetError, HostLostError, Moves, Running
from osmia.kernel.inventory import iterate
from osmia.object import Object

from .conftest import Cluster, compiled, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
ALL = ["host0", "host1", "host2", "host3"]


@pytest.fixture
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """A fleet with little patience, on four hosts that are all there again afterwards."""
    made = cluster.fleet(f"loss{os.urandom(3).hex()}", timeout=6.0)
    wait_for(lambda: len(made.hosts) == 4)
    yield made
    for number in range(4):
        cluster.join(number)
        if cluster.is_dead(number):
            cluster.start(number)
    wait_for(lambda: len(made.hosts) == 4)
    made.close()


def _ids(running: Running) -> set[int]:
    """The numbers that the kernel has for an object's programs, on all hosts."""
    return {each["programs"]["ingress"]["id"] for each in running.status().values()}


def test_a_host_that_joins_gets_what_the_others_have(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    cluster.kill(3)
    wait_for(lambda: len(fleet.hosts) == 3)
    running = fleet.load(limit)
    running.attach("ingress", interface="lo")
    running.data["limit"] = 0
    running.maps["flows"][(1, 1)] = {"packets": 1, "bytes": 1}
    running.maps["flows"][(1, 2)] = {"packets": 2, "bytes": 1}
    del running.maps["flows"][(1, 1)]
    cluster.start(3)
    wait_for(lambda: running.status().get("host3", {}).get("targets") == {"ingress": ["lo"]})
    assert running.data["limit"]["host3"] == 0
    assert running.maps["flows"].tables()["host3"].num_rows == 1


@pytest.mark.parametrize("phase", ["load", "attach", "gather", "upgrade"])
def test_a_host_that_is_killed_leaves_nothing_and_the_others_go_on(
    cluster: Cluster, fleet: Fleet, limit: Object, phase: str
) -> None:
    running = None if phase == "load" else fleet.load(limit)
    ids = _ids(running) if running is not None else set()
    kill = threading.Timer(0.05, cluster.kill, [2])
    kill.start()
    if phase == "load":
        kill.join()
        running = fleet.load(limit, best_effort=True)
    assert running is not None
    if phase == "attach":
        running.attach("ingress", interface="lo", best_effort=True)
    elif phase == "gather":
        for _ in range(20):
            running.maps["flows"].tables()
    elif phase == "upgrade":
        with pytest.raises(FleetError, match="rolled back"):
            while True:
                moves = [Moves("seen", seconds=1.0)] if cluster.is_dead(2) else []
                running.upgrade(compiled("XDP_TX"), moves=moves)
    kill.join()
    wait_for(lambda: [each.name for each in fleet.hosts] == ["host0", "host1", "host3"])
    left = ["host0", "host1", "host3"]
    for size in (70, 99, 99):
        assert list(running.run("ingress", bytes(size))) == left
    counted = running.maps["flows"].sum("value.packets", by=["host", "key.source"]).to_pylist()
    found = {(row["host"], row["key.source"]): row["value.packets"] for row in counted}
    for host in left:
        assert (found[host, 70], found[host, 99]) == (1, 2)
    assert {host for host, _ in found} == set(left)
    assert running.status().errors == {}
    assert {each["trial_since"] for each in running.status().values()} == {None}
    assert {each["digest"] for each in running.status().values()} == {running.digest}
    ids |= _ids(running)
    running.close()
    wait_for(lambda: not ids & {each.id for each in iterate.programs()})


def test_what_is_asked_of_a_host_that_dies_is_its_error(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    hosts = {each.name: each for each in fleet.hosts}
    cluster.kill(1)
    lost = fleet.client.sync(fleet.ask_one, hosts["host1"], "status")
    assert isinstance(lost, HostLostError)
    assert "host1" in str(lost)
    assert len(running.run("ingress", bytes(64))) == 3


@pytest.mark.skipif("CI" in os.environ, reason="waits a minute for TCP to try again")
def test_a_host_behind_a_cut_cable_catches_up_when_it_is_joined_again(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.attach("ingress", interface="lo")
    cluster.cut(0)
    answers = running.run("ingress", bytes(64))
    assert len(answers) == 3
    running.data["limit"] = 5
    assert "host0" not in running.data["limit"]
    cluster.join(0)
    wait_for(lambda: dict(running.data["limit"]) == dict.fromkeys(ALL, 5), 120)  # TCP's patience


def test_pins_outlive_their_agent_and_the_next_one_has_them(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit, pins=True)
    running.attach("ingress", interface="lo")
    fleet.ask_host("host2", "run", running.name, "ingress", bytes(64))
    cluster.kill(2)
    wait_for(lambda: len(fleet.hosts) == 3)
    cluster.start(2)
    wait_for(lambda: running.status().get("host2", {}).get("targets") == {"ingress": ["lo"]})
    sums = running.maps["flows"].sum("value.packets", by=["host"]).to_pylist()
    assert {"host": "host2", "value.packets": 1} in sums
    running.close()
    for number in range(4):
        shown = cluster.on(number, "find", f"/sys/fs/bpf/osmia-fleet/{fleet.name}", "-type", "f")
        assert shown.stdout == ""


def test_events_go_on_without_a_host_that_dies(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            running.run("ingress", bytes(64))
            time.sleep(0.05)

    sending = threading.Thread(target=traffic)
    sending.start()
    end = time.monotonic() + 60
    heard: list[str] = []
    lost: list[str] = []
    try:
        for batch in running.events("drops", timeout=20.0):
            (lost if batch.error is not None else heard).append(batch.host)
            assert time.monotonic() < end, (heard[-20:], lost)
            if len(heard) >= 8 and "host3" in heard and not cluster.is_dead(3):
                cluster.kill(3)
            if lost and heard[-6:].count("host0") >= 1 and len(heard) > 20:
                break
    finally:
        stop.set()
        sending.join()
    assert set(lost) == {"host3"}
    assert {"host0", "host1", "host2"} <= set(heard)
