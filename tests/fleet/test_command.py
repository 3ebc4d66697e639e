"""`osmia fleet`, as it is typed on the scheduler's machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from osmia.fleet import Fleet, FleetMetrics
from osmia.object import Object

from .conftest import SCHEDULER, Cluster, compiled

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


class Typed:
    """Commands of one fleet."""

    def __init__(self, cluster: Cluster, fleet: str) -> None:
        self._where = ["nsenter", "-t", str(cluster.scheduler.pid), "-n", sys.executable, "-m"]
        self._fleet = fleet

    def __call__(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = [verb, SCHEDULER, *map(str, arguments), "--fleet", self._fleet]
        command = [*self._where, "osmia", "fleet", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def json(self, verb: str, *arguments: object) -> Any:
        done = self(verb, *arguments, "-j")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def typed(cluster: Cluster, fleet: Fleet) -> Typed:
    return Typed(cluster, fleet.name)


def test_an_object_s_life_on_a_fleet(
    typed: Typed, fleet: Fleet, limit: Object, tmp_path: Path
) -> None:
    file, new = tmp_path / "limit.bpf.o", tmp_path / "new.bpf.o"
    limit.save(file)
    compiled("XDP_TX").save(new)
    started = typed.json("run", file, "--attach", "ingress=interface:lo", "--set", "limit=2")
    assert started == {"name": "limit", "hosts": ["host0", "host1", "host2", "host3"]}
    rows = typed.json("status")
    assert {row["host"]: row["targets"] for row in rows} == {
        host: {"ingress": ["lo"]} for host in started["hosts"]
    }
    running = fleet.running()["limit"]
    for size in (64, 64, 80, 80, 80):
        running.run("ingress", bytes(size))
    largest = typed.json("top", "limit", "flows", "value.packets", "-n", "2")
    assert [row["value.packets"] for row in largest] == [3, 3]
    summed = typed.json("top", "limit", "flows", "value.packets", "--by", "key.source")
    assert [(row["key.source"], row["value.packets"]) for row in summed] == [(80, 12), (64, 8)]
    told = typed("logs", "limit", "drops", "-n", "12", "-d", "20")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert {(event["host"], event["size"]) for event in events} == {
        (host, 80) for host in started["hosts"]
    }
    refused = typed("upgrade", "limit", new, "--try", f"ingress:{'00' * 64}=XDP_PASS")
    assert refused.returncode == 1
    assert "the upgrade was rolled back, host 1 of 4 failed" in refused.stderr
    upgraded = typed.json("upgrade", "limit", new, "--try", f"ingress:{'00' * 64}=XDP_TX")
    assert len(upgraded["hosts"]) == 4
    text = typed("status").stdout
    assert "limit" in text
    assert upgraded["digest"][:12] in text
    assert typed("close", "limit").returncode == 0
    assert fleet.running() == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("top", "none", "flows", "x"), "the fleet has no object 'none': nothing"),
        (("close", "none"), "the fleet has no object 'none'"),
        (("run", "x.o", "--attach", "a=b"), "--attach takes PROGRAM or PROGRAM=KIND:PATTERN"),
        (("run", "x.o", "--attach", "a=b:c"), "interface, cgroup or pid says where"),
        (("upgrade", "a", "b", "--try", "x"), "--try takes PROGRAM:HEX=VERDICT"),
    ],
)
def test_what_makes_no_sense_is_said(typed: Typed, arguments: tuple[str, ...], said: str) -> None:
    done = typed(*arguments)
    assert done.returncode != 0
    assert said in done.stderr


def test_metrics_have_the_host(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    running.run("ingress", bytes(64))
    registry = CollectorRegistry()
    registry.register(FleetMetrics(running))
    text = generate_latest(registry).decode()
    for number in range(4):
        assert f'bpf_host_up{{host="host{number}"}} 1.0' in text
        assert f'bpf_seen_total{{host="host{number}"}} 1.0' in text
        assert f'bpf_program_runs_total{{host="host{number}",program="ingress"}}' in text
