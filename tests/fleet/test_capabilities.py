"""With which capabilities an agent loads and attaches, and what it says where one is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.fleet import Fleet, FleetError, FleetMetrics
from osmia.images.kubernetes import CAPABILITIES, daemon_set
from osmia.object import Object
from osmia.toolchain import compile as compile_source

from .conftest import Cluster, compiled, new_cluster, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
TRACING = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
__u64 seen;
SEC("tp/sched/sched_switch") int switched(void *ctx) { seen++; return 0; }
SEC("raw_tp/sched_switch") int switched_too(void *ctx) { seen++; return 0; }
char L[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """host0 has what the manifest gives; host1 lacks CAP_PERFMON, host2 has none."""
    with new_cluster(tmp_path_factory.mktemp("bounded")) as cluster:
        cluster.start(0, capabilities=",".join(CAPABILITIES).lower())
        cluster.start(1, capabilities="bpf,net_admin")
        cluster.start(2, capabilities="")
        yield cluster


@pytest.fixture
def fleet(bounded: Cluster, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    made = bounded.fleet(request.node.name[:40])
    wait_for(lambda: len(made.hosts) == 3)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tracing() -> Object:
    return osmia.open(compile_source(TRACING).data, name="tracing")


def _errors(told: Any) -> dict[str, str]:
    return {host: str(each) for host, each in told.value.errors.items()}


def test_what_the_manifest_gives_does_all(fleet: Fleet, limit: Object, tracing: Object) -> None:
    running = fleet.load(limit, pins=True, best_effort=True)
    running.attach("ingress", interface="lo", best_effort=True)
    assert running.status()["host0"]["targets"] == {"ingress": ["lo"]}
    fleet.ask_host("host0", "run", "limit", "ingress", bytes(64))
    assert fleet.ask_host("host0", "data", "limit", "seen") == 1
    assert fleet.ask_host("host0", "table", "limit", "flows", {}).num_rows == 1
    fleet.ask_host("host0", "run", "limit", "ingress", bytes(64))
    assert any(each.name == "bpf_seen" for each in FleetMetrics(running).collect())
    traced = fleet.load(tracing, best_effort=True)
    traced.attach("switched", best_effort=True)
    traced.attach("switched_too", best_effort=True)
    wait_for(lambda: fleet.ask_host("host0", "data", "tracing", "seen"))
    running.upgrade(compiled("XDP_TX"), fraction=0.1)
    assert fleet.ask_host("host0", "run", "limit", "ingress", bytes(64)).verdict == "XDP_TX"


def test_what_lacks_one_says_which(fleet: Fleet, limit: Object, tracing: Object) -> None:
    with pytest.raises(FleetError) as told:
        fleet.load(tracing)
    said = _errors(told)
    assert sorted(said) == ["host1", "host2"]
    assert "this process lacks CAP_PERFMON" in said["host1"]
    assert "this process lacks CAP_BPF" in said["host2"]
    with pytest.raises(FleetError) as told:
        fleet.load(limit)
    kinds = {host: each.kind for host, each in told.value.errors.items()}
    assert kinds == {"host1": "VerifierError", "host2": "BpfPermissionError"}
    assert "pointer -= pointer prohibited" in _errors(told)["host1"]
    assert fleet.running() == {}
    assert fleet.status()["host0"] == {}


def test_the_manifest_s_worker_speaks_tls_and_loads(
    bounded: Cluster, limit: Object, tmp_path: Path
) -> None:
    made = daemon_set("x", bounded.address)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (secret,) = [each for each in container["volumeMounts"] if each["name"] == "tls"]
    for name, file in (("ca.crt", "ca"), ("tls.crt", "worker"), ("tls.key", "worker-key")):
        (tmp_path / name).write_bytes((bounded.certificates / f"{file}.pem").read_bytes())
    words = [*container["command"], *container["args"]]
    words = [each.replace(secret["mountPath"], str(tmp_path)) for each in words]
    words = [each.replace("$(NODE_NAME)", "node3") for each in words]
    assert words.pop(0) == "dask"
    variables = [f"-u{name}" for name in os.environ if name.startswith("DASK_")]
    command = ["env", *variables, sys.executable, "-m", "dask", *words]
    given = container["securityContext"]["capabilities"]["add"]
    bounded.start(3, capabilities=",".join(given).lower(), command=command)
    with bounded.fleet("manifest") as fleet:
        wait_for(lambda: "host3" in [each.name for each in fleet.hosts])
        (host,) = [each for each in fleet.hosts if each.name == "host3"]
        assert host.address.startswith("tls://10.77.0.13:")
        running = fleet.load(limit, best_effort=True)
        assert fleet.ask_host("host3", "run", "limit", "ingress", bytes(64)).verdict == "XDP_PASS"
        running.close()
    said = bounded.on(3, "ss", "-Hltn").stdout.splitlines()
    beyond = [each for each in (line.split()[3] for line in said) if "127.0.0.1" not in each]
    assert {each.rpartition(":")[2] for each in beyond} == {host.address.rpartition(":")[2]}
