"""What happens at the wrong moment: two clients, names that come back, streams that are left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from osmia import OsmiaError
from osmia.fleet import Fleet, Running
from osmia.fleet.ledger import plugin_name
from osmia.fleet.turns import Turn
from osmia.fleet.wishes import Wish
from osmia.object import Object
from osmia.records import replace

from . import conftest
from .conftest import Cluster, compiled, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture
def other(cluster: Cluster, fleet: Fleet) -> Iterator[Fleet]:
    """The same fleet, as another client has it."""
    with cluster.fleet(fleet.name) as made:
        yield made


def _digests(running: Any) -> set[str]:
    return {each.get("digest", "") for each in running.status().values()}


def test_a_client_keeps_what_another_one_has_changed_meanwhile(
    fleet: Fleet, other: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    theirs = other.running()["limit"]
    running.attach("ingress", interface="lo")
    theirs.data["limit"] = 3
    running.maps["flows"][(1, 1)] = {"packets": 1, "bytes": 1}
    assert all(each["targets"] == {"ingress": ["lo"]} for each in running.status().values())
    assert set(running.data["limit"].values()) == {3}
    second = other.load(limit, name="second")
    assert sorted(fleet.running()) == ["limit", "second"]
    theirs.close()
    with pytest.raises(OsmiaError, match="no object 'limit'"):
        running.attach("ingress", interface="lo")
    second.close()


def test_a_load_that_takes_long_is_not_given_up_meanwhile(fleet: Fleet, limit: Object) -> None:
    fleet.load(limit, name="first")
    with Turn(fleet, "second", "load") as turn:
        wish = Wish("second", limit, limit.digest, turn.number)
        fleet.ask_host("host0", "apply", wish)  # and the other hosts are not there yet
        ids = [fleet.status()["host0"]["second"]["programs"]["ingress"]["id"]]
        time.sleep(2.5)
        ids += [fleet.status()["host0"]["second"]["programs"]["ingress"]["id"]]
    assert ids[0] == ids[1]
    wait_for(lambda: "second" not in fleet.status()["host0"])


def test_a_host_that_was_away_has_no_object_of_a_former_load(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    fleet.timeout = 2.5
    running = fleet.load(limit)
    running.data["limit"] = 5
    cluster.cut(0)
    try:
        running.close()
        again = fleet.load(compiled("XDP_TX"))
        assert len(again.status()) == 3
    finally:
        cluster.join(0)
    wait_for(lambda: len(fleet.hosts) == 4)
    wait_for(lambda: _digests(again) == {again.digest})


def test_a_host_that_missed_the_end_of_an_upgrade_finds_it(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    new = compiled("XDP_TX")
    with Turn(fleet, running.name, "upgrade") as turn:
        before = running._before(turn)
        trial = replace(before, generation=turn.number, obj=new, digest=new.digest)
        fleet.ask_host("host1", "try_upgrade", trial, (), ())
        time.sleep(2.0)
        assert _digests(running) == {limit.digest, new.digest}  # it is on trial still
        assert running.status()["host1"]["trial_since"] > time.time() - 20
    wait_for(lambda: _digests(running) == {limit.digest})
    with Turn(fleet, running.name, "upgrade") as turn:
        trial = replace(running._before(turn), generation=turn.number, obj=new, digest=new.digest)
        fleet.ask_host("host1", "try_upgrade", trial, (), ())
        turn.commit(trial)
    wait_for(lambda: _digests(running) == {new.digest})
    wait_for(lambda: running.status()["host1"]["trial_since"] is None)


def test_an_interface_that_is_made_anew_under_its_name_is_attached_to(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    add = "ip link add ext0 type veth peer name peer0"
    for pins in (False, True):
        running = fleet.load(limit, pins=pins)
        cluster.on(2, "sh", "-c", add)
        try:
            running.attach("ingress", interface="ext0")
            cluster.on(2, "sh", "-c", f"ip link del ext0; {add}")
            wait_for(lambda: "xdp" in cluster.on(2, "ip", "link", "show", "ext0").stdout)
        finally:
            cluster.on(2, "ip", "link", "del", "ext0")
            running.close()


def test_pins_follow_an_upgrade_that_has_other_maps(
    cluster: Cluster, fleet: Fleet, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "extra"
    monkeypatch.setattr(
        conftest,
        "SOURCE",
        conftest.SOURCE.replace(
            "struct drop {",
            "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);"
            f' __type(key, __u32); __type(value, __u64); }} {name} SEC(".maps");\nstruct drop {{',
            1,
        ).replace("__u32 size = ", f"__u32 z = 0; bpf_map_lookup_elem(&{name}, &z); __u32 size = "),
    )
    bigger = compiled()
    running = fleet.load(limit, pins=True)
    place = f"/sys/fs/bpf/osmia-fleet/{fleet.name}/{running.name}/maps"
    running.upgrade(bigger)
    assert cluster.on(3, "ls", place).stdout.split() == ["drops", name, "flows"]
    running.upgrade(limit)
    assert cluster.on(3, "ls", place).stdout.split() == ["drops", "flows"]
    cluster.kill(3)
    wait_for(lambda: len(fleet.hosts) == 3)
    cluster.start(3)
    wait_for(lambda: running.status().get("host3", {}).get("digest") == limit.digest)


def _readers(fleet: Fleet) -> int:
    def count(plugin: str, dask_worker: Any) -> int:
        return len(dask_worker.plugins[plugin]._readers)

    return sum(fleet.client.run(count, plugin_name(fleet.name)).values())


def test_streams_that_are_left_end_on_the_hosts(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    with pytest.raises(KeyError, match="no map 'drop'"):
        running.events("drop")
    running.run("ingress", bytes(64))
    for batch in running.events("drops", wait=0.2):
        assert batch.table is not None
        break
    assert _readers(fleet) == 0

    async def silent() -> None:
        async for _ in running.events("drops", wait=0.2):
            pass

    async def impatient() -> None:
        await asyncio.wait_for(silent(), 2.0)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert _readers(fleet) == 0


def test_what_was_being_read_for_a_stream_that_is_left_is_the_next_one_s(
    fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    sent = 0
    for _ in range(3):
        running.run("ingress", bytes(64), repeat=100)
        sent += 100 * 4
        for batch in running.events("drops", wait=1.0, max_rows=10):
            assert batch.table is not None
            sent -= len(batch.table)
            break  # hosts have read the next table, or wait for it
    left = running.events("drops", wait=0.2, timeout=1.5, max_rows=10)
    taken = sum(len(batch.table) for batch in left if batch.table is not None)
    # What was on its way to a stream is lost with it: of each host a table that was asked for and
    # one that waits to be given, and the one that is given next.
    assert sent - 3 * (4 * 2 + 1) * 10 <= taken <= sent


def test_a_host_that_cannot_be_connected_to_answers_through_the_scheduler(
    cluster: Cluster, fleet: Fleet, limit: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = fleet.load(limit)
    pool, connect = fleet.client.rpc, fleet.client.rpc.connect

    async def refused(address: str, timeout: float | None = None) -> Any:
        if address in {each.address for each in hosts}:
            raise OSError("no route to host")
        return await connect(address, timeout)

    hosts = fleet.hosts
    monkeypatch.setattr(pool, "connect", refused)
    assert {each.verdict for each in running.run("ingress", bytes(64)).values()} == {"XDP_PASS"}
    monkeypatch.undo()
    tables = running.maps["flows"].tables()  # and is not tried again for each call
    assert [len(each) for each in tables.values()] == [1] * 4


def test_streams_of_two_clients_have_all_events_each(
    fleet: Fleet, other: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0

    def read(mine: Running) -> tuple[int, int]:
        rows = lost = 0
        for batch in mine.events("drops", wait=0.2, timeout=20.0):
            rows += 0 if batch.table is None else len(batch.table)
            lost += batch.lost
            if rows == 12:
                break
        return rows, lost

    with ThreadPoolExecutor(2) as threads:
        reading = [threads.submit(read, each) for each in (running, other.running()["limit"])]
        wait_for(lambda: _readers(fleet) == 8)
        for _ in range(3):
            running.run("ingress", bytes(64))
        assert [each.result() for each in reading] == [(12, 0), (12, 0)]
    assert _readers(fleet) == 0


def test_an_error_of_a_stream_is_told_once(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    with pytest.raises(OsmiaError, match="'flows' has no events"):
        running.events("flows")
    stream = running.events("drops", wait=0.2, timeout=4.0, times=["none"])  # of no column
    errors = [batch.host for batch in stream if batch.error is not None]
    assert sorted(errors) == ["host0", "host1", "host2", "host3"]
