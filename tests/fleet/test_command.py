"""`osmia fleet`, as it is typed on the scheduler's machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.terminal import screen

from osmia.cli.fleet_tables import StatusPages
from osmia.fleet import Answers, Fleet, FleetMetrics
from osmia.object import Object

from .conftest import SCHEDULER, Cluster, compiled

HOSTS = [f"host{number}" for number in range(4)]
pytestmark = [pytest.mark.kernel, pytest.mark.slow]


class Typed:
    """Commands of one fleet."""

    def __init__(self, cluster: Cluster, fleet: str) -> None:
        self._where = ["nsenter", "-t", str(cluster.scheduler.pid), "-n", sys.executable, "-m"]
        self._fleet = fleet

    def command(self, verb: str, *arguments: object) -> list[str]:
        words = [verb, SCHEDULER, *map(str, arguments), "--fleet", self._fleet]
        return [*self._where, "osmia", "fleet", *words]

    def __call__(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = self.command(verb, *arguments)
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
        (("run", "x.o", "--attach", "a=pid:b"), "--attach 'a=pid:b': a pid is a number"),
        (("rollback", "none"), "the fleet has no object 'none'"),
        (("upgrade", "a", "b", "--try", "x"), "--try takes PROGRAM:HEX=VERDICT"),
    ],
)
def test_what_makes_no_sense_is_said(typed: Typed, arguments: tuple[str, ...], said: str) -> None:
    done = typed(*arguments)
    assert done.returncode != 0
    assert said in done.stderr


def test_canaries_are_given_the_old_object_again(
    typed: Typed, fleet: Fleet, limit: Object, tmp_path: Path
) -> None:
    fleet.load(limit)
    compiled("XDP_TX").save(tmp_path / "new.bpf.o")
    upgraded = typed("upgrade", "limit", tmp_path / "new.bpf.o", "--fraction", "0.2")
    assert upgraded.stdout == "limit: upgraded on 1 of 4 hosts\n"
    back = typed.json("rollback", "limit")
    assert back == {"name": "limit", "digest": limit.digest, "hosts": HOSTS}
    assert {row["digest"] for row in typed.json("status")} == {limit.digest}
    again = typed("rollback", "limit")
    assert again.returncode == 1
    assert "object 'limit' has no canaries: all hosts have the same" in again.stderr


def test_logs_are_of_maps_that_have_events(typed: Typed, fleet: Fleet, limit: Object) -> None:
    fleet.load(limit)
    done = typed("logs", "limit", "flows", "-d", 5)
    assert done.returncode == 1
    assert "'flows' has no events: it is no ring or perf buffer" in done.stderr


def test_the_status_is_redrawn_on_a_terminal_and_says_what_happens_in_a_second(
    typed: Typed, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.attach("ingress", interface="lo")
    lines = screen(typed.command("status", "-w", 0.2, "-d", 0.5), 80)
    assert lines[0].startswith(f"fleet {fleet.name} at {SCHEDULER}")
    heads = [line.split() for line in lines if line.startswith("host ")]
    assert len(heads) == 1  # one table stands on the screen
    assert {"object", "targets", "runs/s"} <= set(heads[0])
    assert [line.split()[0] for line in lines if "ingress: lo" in line] == HOSTS
    assert max(map(len, lines)) <= 80


def test_what_is_watched_in_a_pipe_are_lines_of_json(
    typed: Typed, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    command = typed.command("status", "-w", 0.2, "-j")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        first = json.loads(watching.stdout.readline())
        assert [(row["host"], row["runs_per_second"]) for row in first] == [
            (h, None) for h in HOSTS
        ]
        running.run("ingress", bytes(64))
        assert json.loads(watching.stdout.readline())[0]["digest"] == limit.digest
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.stderr.read() == b""
    assert watching.returncode == 0


def test_the_largest_keys_are_shown_live(typed: Typed, fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    for size in (64, 80, 80):
        running.run("ingress", bytes(size))
    what = ("limit", "flows", "value.packets")
    lines = screen(typed.command("top", *what, "-n", 2, "-w", 0.2, "-d", 0.5), 80)
    assert lines[0].startswith("limit: flows by value.packets")
    assert sum("80" in line for line in lines) == 2
    assert "value.packets/s" in " ".join(lines)
    by_size = ("--by", "key.source", "-w", 0.2, "-d", 0.3, "-j")
    told = [json.loads(line) for line in typed("top", *what, *by_size).stdout.splitlines()]
    assert [row["value.packets"] for row in told[0]] == [8, 4]
    assert [row["value.packets/s"] for row in told[1]] == [0, 0]


class NoHosts:
    """A fleet of a cluster without workers."""

    def status(self) -> Answers[dict[str, Any]]:
        return Answers({}, {})


def test_a_cluster_without_hosts_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    pages = StatusPages(cast(Fleet, NoHosts()))
    assert [pages().rows, pages().rows] == [[], []]
    assert capsys.readouterr().err.count("the cluster has no hosts") == 1


def test_logs_end_when_their_time_is_over(fleet: Fleet, limit: Object) -> None:
    running = fleet.load(limit)
    running.data["limit"] = 0
    running.run("ingress", bytes(64))
    begin, count = time.monotonic(), 0
    for _ in running.events("drops", wait=0.2, duration=1.0):
        running.run("ingress", bytes(64))  # so that there is always one more
        count += 1
    assert count > 0
    assert 0.9 < time.monotonic() - begin < 5.0


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
