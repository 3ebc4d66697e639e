"""What a fleet counts, told by host; a host that is lost is down, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from osmia.fleet import Fleet, FleetMetrics
from osmia.object import Object

from .conftest import Cluster, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture(scope="module")
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """The hosts that are there; one that is lost is so within two seconds."""
    made = cluster.fleet("telemetry", timeout=2.0)
    wait_for(lambda: len(made.hosts) == 4)
    yield made
    made.close()


def samples(collector: FleetMetrics) -> dict[tuple[str, str], float]:
    """The values by name and host."""
    registry = CollectorRegistry()
    registry.register(collector)
    found: list[Metric] = list(registry.collect())
    return {(s.name, s.labels["host"]): s.value for each in found for s in each.samples}


def test_a_host_that_is_lost_is_down_and_the_others_are_read(
    cluster: Cluster, fleet: Fleet, limit: Object
) -> None:
    running = fleet.load(limit)
    running.run("ingress", bytes(64))
    metrics = FleetMetrics(running)
    assert samples(metrics)["bpf_seen_total", "host3"] == 1
    cluster.kill(3)
    wait_for(lambda: samples(metrics)["bpf_host_up", "host3"] == 0)
    found = samples(metrics)
    assert ("bpf_seen_total", "host3") not in found
    assert [found["bpf_host_up", f"host{n}"] for n in range(3)] == [1, 1, 1]
    assert [found["bpf_seen_total", f"host{n}"] for n in range(3)] == [1, 1, 1]
    cluster.start(3)
    wait_for(lambda: samples(metrics)["bpf_host_up", "host3"] == 1)
