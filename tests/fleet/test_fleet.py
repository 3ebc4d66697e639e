"""An object on four hosts: loaded, attached, set, read, upgraded; what one cannot, none does."""

from __future__ import annotations

import pytest

from osmia import OsmiaError
from osmia.fleet import Fleet, FleetError, HostError
from osmia.object import Object

from .conftest import Cluster, wait_for

HOSTS = ["host0", "host1", "host2", "host3"]
pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def test_an_object_is_loaded_on_all_hosts_and_given_up(fleet: Fleet, limit: Object) -> None:
    assert [each.name for each in fleet.hosts] == HOSTS
    running = fleet.load(limit)
    answers = running.run("ingress", bytes(64))
    assert {host: each.verdict for host, each in answers.items()} == dict.fromkeys(
        HOSTS, "XDP_PASS"
    )
    ids = {each["programs"]["ingress"]["id"] for each in running.status().values()}
    assert len(ids) == 4
    running.close()
    assert running.status().errors == {}
    assert set(map(len, running.status().values())) == {0}
    assert fleet.running() == {}


def test_an_object_that_one_host_refuses_is_on_none(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    with pytest.raises(FleetError) as told:
        fleet.load(limit, ifindex=4711)  # no host has it
    assert sorted(told.value.errors) == HOSTS
    assert fleet.running() == {}
    running = fleet.load(limit)
    before = running.status()
    with pytest.raises(FleetError, match=r"attach failed on 4 of 4 hosts: host0: ") as refused:
        running.attach("ingress", interface="eth0", mode="offload")
    assert {type(each) for each in refused.value.errors.values()} == {HostError}
    assert [each["targets"] for each in running.status().values()] == [{}] * 4
    assert [each["programs"] for each in running.status().values()] == [
        each["programs"] for each in before.values()
    ]
    assert "xdp" not in cluster.on(1, "ip", "link", "show", "eth0").stdout


def test_interfaces_are_named_by_patterns_and_may_come_later(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    answers = running.attach("ingress", interface="e*0")
    assert dict(answers) == {host: ["eth0"] for host in HOSTS}
    cluster.on(2, "ip", "link", "add", "ext0", "type", "veth", "peer", "name", "peer2")
    try:
        wait_for(lambda: running.status()["host2"]["targets"] == {"ingress": ["eth0", "ext0"]})
        assert "xdp" in cluster.on(2, "ip", "link", "show", "ext0").stdout
    finally:
        cluster.on(2, "ip", "link", "del", "ext0")
    wait_for(lambda: running.status()["host2"]["targets"] == {"ingress": ["eth0"]})
    running.detach("ingress")
    assert "xdp" not in cluster.on(2, "ip", "link", "show", "eth0").stdout
    with pytest.raises(OsmiaError, match=r"no host has interface 'wlan"):
        running.attach("ingress", interface="wlan*")


def test_variables_and_maps_are_set_everywhere(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    assert dict(running.data["limit"]) == dict.fromkeys(HOSTS, 0)
    answers = running.run("ingress", bytes(64))
    assert {each.verdict for each in answers.values()} == {"XDP_DROP"}
    key = (7, 1)
    running.maps["flows"][key] = {"packets": 5, "bytes": 9}
    table = running.maps["flows"].to_arrow()
    assert sorted(set(table["host"].to_pylist())) == HOSTS
    assert table.num_rows == 8  # that of run, and this one
    del running.maps["flows"][key]
    assert running.maps["flows"].to_arrow().num_rows == 4
    with pytest.raises(FleetError, match="limit"):
        running.data["limit"] = "many"
    assert dict(running.data["limit"]) == dict.fromkeys(HOSTS, 0)


def test_maps_are_reduced_where_they_are(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    for number, host in enumerate(HOSTS):
        for size in (64, 100 + number):
            for _ in range(number + 1):
                fleet.ask_host(host, "run", running.name, "ingress", bytes(size))
    flows = running.maps["flows"]
    total = flows.sum("value.packets", "value.bytes")
    assert total.to_pylist() == [
        {
            "value.packets": 20,
            "value.bytes": sum((n + 1) * (64 + 100 + n) for n in range(4)),
        }
    ]
    by_host = flows.sum("value.packets", by=["host"]).to_pylist()
    assert {row["host"]: row["value.packets"] for row in by_host} == dict(
        zip(HOSTS, (2, 4, 6, 8), strict=True)
    )
    by_size = flows.sum("value.packets", by=["key.source"]).to_pylist()
    assert {row["key.source"]: row["value.packets"] for row in by_size} == {
        64: 10, 100: 1, 101: 2, 102: 3, 103: 4,
    }  # fmt: skip
    assert [
        (row["host"], row["value.packets"], row["key.source"])
        for row in flows.top(1, "value.bytes").to_pylist()
    ] == [("host3", 4, 103)]
    assert flows.aggregate("max", "key.source").to_pylist() == [{"key.source": 103}]
    assert dict(flows.reduce(len)) == dict.fromkeys(HOSTS, 2)
    with pytest.raises(FleetError, match=r"there is no column 'value\.colour'"):
        flows.sum("value.colour")
    frame = flows.to_dask()
    assert frame.npartitions == 4
    sums = frame.groupby("host")["value.packets"].sum().compute(scheduler=fleet.client)
    assert sums.to_dict() == dict(zip(HOSTS, (2, 4, 6, 8), strict=True))


def test_events_of_all_hosts_come_with_their_host_and_time(fleet: Fleet, limit: Object) -> None:
    import time

    running = fleet.load(limit)
    running.data["limit"] = 1
    begin = time.time_ns()
    for _ in range(3):
        running.run("ingress", bytes(64))
    counted = dict.fromkeys(HOSTS, 0)
    for batch in running.events("drops", timeout=3.0, times=["seen_ns"]):
        assert batch.table is not None
        assert batch.table["size"].to_pylist() == [64] * len(batch.table)
        for moment in batch.table["seen_ns"].cast("int64").to_pylist():
            assert begin - 50_000_000 < moment < time.time_ns() + 50_000_000
        counted[batch.host] += len(batch.table)
        if set(counted.values()) == {2}:
            break
    assert counted == dict.fromkeys(HOSTS, 2)


def test_another_fleet_object_finds_what_runs(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    fleet.load(limit, name="one").data["limit"] = 0
    with cluster.fleet(fleet.name) as other:
        running = other.running()["one"]
        assert dict(running.data["limit"]) == dict.fromkeys(HOSTS, 0)
        with pytest.raises(OsmiaError, match="has an object 'one' already"):
            other.load(limit, name="one")
    assert fleet.running()["one"].digest == limit.digest


def test_names_that_leave_their_directory_are_refused(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    for name in ("../x", ".", "a/b", "a" * 65, "", "x\n"):
        if name:
            with pytest.raises(OsmiaError, match="is no name"):
                fleet.load(limit, name=name)
        with pytest.raises(OsmiaError, match="is no name"):
            cluster.fleet(name)
