"""Upgrades host by host, on six hosts: checks that fail, canaries, clients that die meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from osmia import OsmiaError
from osmia.fleet import Fleet, FleetError, Moves, Running, Try
from osmia.object import Object

from .conftest import SCHEDULER, Cluster, compiled, new_cluster, wait_for

HOSTS = [f"host{number}" for number in range(6)]
pytestmark = [pytest.mark.kernel, pytest.mark.slow]
_FLEETS = count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Six hosts."""
    with new_cluster(tmp_path_factory.mktemp("cluster"), 6) as made:
        yield made


@pytest.fixture
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    made = cluster.fleet(f"upgrades{next(_FLEETS)}")
    wait_for(lambda: len(made.hosts) == 6)
    yield made
    made.close()


@pytest.fixture(scope="module")
def new() -> Object:
    return compiled("XDP_TX")


def _verdicts(running: Running) -> list[Any]:
    return [each.verdict for each in running.run("ingress", bytes(64)).values()]


def _ids(running: Running) -> list[Any]:
    return [each["programs"]["ingress"]["id"] for each in running.status().values()]


def _digests(running: Running) -> list[Any]:
    return [each.get("digest") for each in running.status().values()]


def test_an_upgrade_changes_what_runs_and_keeps_what_maps_hold(
    cluster: Cluster, fleet: Fleet, limit: Object, new: Object
) -> None:
    running = fleet.load(limit)
    running.attach("ingress", interface="lo")
    running.run("ingress", bytes(64))
    links = cluster.on(1, "ip", "link", "show", "lo").stdout
    running.upgrade(new, tries=[Try("ingress", bytes(64), "XDP_TX")])
    assert running.digest == new.digest
    assert {each.verdict for each in running.run("ingress", bytes(64)).values()} == {"XDP_TX"}
    sums = running.maps["flows"].sum("value.packets", by=["key.source"]).to_pylist()
    assert {row["key.source"]: row["value.packets"] for row in sums}[64] == 18  # with the tries
    assert cluster.on(1, "ip", "link", "show", "lo").stdout != links
    assert "xdp" in cluster.on(1, "ip", "link", "show", "lo").stdout


@pytest.mark.parametrize("failing", ["tries", "moves"])
def test_an_upgrade_that_fails_on_the_third_of_six_hosts_ends_as_before_everywhere(
    cluster: Cluster, fleet: Fleet, limit: Object, new: Object, failing: str
) -> None:
    running = fleet.load(limit)
    running.attach("ingress", interface="lo")
    before: Any = running.status()

    def fails_on_the_third(loaded: Any) -> None:
        Try("ingress", bytes(64), "XDP_TX")(loaded)
        if os.environ["OSMIA_FLEET_HOST"] == "host2":
            raise OsmiaError("it does not do here")

    with ExitStack() as sending:
        if failing == "moves":  # the third host is the only one without traffic
            for number in (0, 1, 3, 4, 5):
                sending.enter_context(_traffic(cluster, number))
        tries: Any = [fails_on_the_third] if failing == "tries" else []
        moves = [Moves("seen", seconds=1.0)] if failing == "moves" else []
        with pytest.raises(FleetError, match=r"rolled back, host 3 of 6 failed: host2: (it|seen)"):
            running.upgrade(new, tries=tries, moves=moves)
        after = running.status()
        for host in HOSTS:
            for same in ("digest", "programs", "targets"):
                known = [each[host][same] for each in (before, after)]
                if same == "programs":
                    known = [each["ingress"]["id"] for each in known]
                assert known[0] == known[1]
            assert after[host]["trial_since"] is None
        if failing == "moves":  # what counts is what runs again
            packets = running.data["seen"]["host0"]
            wait_for(lambda: running.data["seen"]["host0"] > packets)
    assert running.data["seen"]["host2"] == 0
    assert set(_verdicts(running)) == {"XDP_PASS"}


@contextmanager
def _traffic(cluster: Cluster, number: int) -> Iterator[None]:
    """Packets on a host's loopback."""
    where = ["nsenter", "-t", str(cluster._hosts[number].pid), "-n"]
    send = "while :; do echo x > /dev/udp/127.0.0.1/9; sleep 0.05; done 2> /dev/null"
    sender = subprocess.Popen([*where, "bash", "-c", send])
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


def test_canaries_stay_canaries_whatever_else_is_changed_until_all_are_alike(
    cluster: Cluster, fleet: Fleet, limit: Object, new: Object
) -> None:
    running = fleet.load(limit)
    assert list(running.upgrade(new, fraction=0.3)) == ["host0", "host1"]
    verdicts = ["XDP_TX"] * 2 + ["XDP_PASS"] * 4
    assert _verdicts(running) == verdicts
    running.data["limit"] = 1000
    running.maps["flows"][(1, 1)] = {"packets": 1, "bytes": 1}
    running.attach("ingress", interface="lo")
    assert _verdicts(running) == verdicts
    assert [each["canary"] for each in running.status().values()] == [True] * 2 + [False] * 4
    for number in (1, 5):  # one of each kind comes back
        cluster.kill(number)
    wait_for(lambda: len(fleet.hosts) == 4)
    for number in (1, 5):
        cluster.start(number)
    wait_for(lambda: _digests(running) == [new.digest] * 2 + [limit.digest] * 4)
    assert set(running.data["limit"].values()) == {1000}
    running.roll_back()
    assert set(_verdicts(running)) == {"XDP_PASS"}
    assert [each["canary"] for each in running.status().values()] == [False] * 6
    with pytest.raises(OsmiaError, match="has no canaries: all hosts have the same"):
        running.roll_back()


def test_a_greater_fraction_is_the_next_step_and_leaves_canaries_alone(
    fleet: Fleet, limit: Object, new: Object
) -> None:
    running = fleet.load(limit)
    running.upgrade(new, fraction=0.3)
    first = _ids(running)
    assert list(running.upgrade(new, fraction=0.5)) == ["host0", "host1", "host2"]
    second = _ids(running)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False] + [True] * 3
    with pytest.raises(FleetError, match=r"rolled back, host 1 of 3 failed: host3: ingress answ"):
        running.upgrade(new, tries=[Try("ingress", bytes(64), "XDP_DROP")])
    assert _ids(running) == second
    assert _verdicts(running) == ["XDP_TX"] * 3 + ["XDP_PASS"] * 3
    assert len(running.upgrade(new)) == 6
    assert _ids(running)[:3] == second[:3]
    assert set(_verdicts(running)) == {"XDP_TX"}
    assert running.digest == new.digest


_UPGRADE = """
import sys
from osmia.object import Object
import osmia
from osmia.fleet import Fleet
with Fleet(sys.argv[1], name=sys.argv[2]) as fleet:
    fleet.running()["limit"].upgrade(osmia.open(sys.argv[3]), pause=60)
"""


def test_a_client_that_is_killed_in_its_upgrade_leaves_no_host_on_trial(
    cluster: Cluster, fleet: Fleet, limit: Object, new: Object, tmp_path: Path
) -> None:
    running = fleet.load(limit)
    ids = _ids(running)
    new.save(tmp_path / "new.bpf.o")
    where = ["nsenter", "-t", str(cluster.scheduler.pid), "-n", sys.executable, "-c", _UPGRADE]
    client = subprocess.Popen([*where, SCHEDULER, fleet.name, str(tmp_path / "new.bpf.o")])
    try:
        wait_for(lambda: running.status()["host0"]["trial_since"] is not None)
        assert _digests(running) == [new.digest] + [limit.digest] * 5
    finally:
        client.kill()
        client.wait()
    wait_for(lambda: _digests(running) == [limit.digest] * 6, 10.0)  # less than the lease
    assert _ids(running) == ids
    assert running.status()["host0"]["trial_since"] is None
    running.data["limit"] = 3
