"""A scheduler that dies: what is pinned goes on, and the next one is told of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from osmia.fleet import Fleet, Running
from osmia.object import Object

from .conftest import compiled, in_network_of, wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

_SCHEDULER = """
import asyncio
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=8786, dashboard=False) as scheduler:
        await scheduler.finished()
asyncio.run(main())
"""
_WORKER = """
import asyncio
from distributed import Worker
async def main():
    async with Worker("tcp://127.0.0.1:8786", nthreads=2, dashboard=False) as worker:
        await worker.finished()
asyncio.run(main())
"""


class Machine:
    """One host, with its scheduler on it."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held
        script = "mount -t bpf none /sys/fs/bpf && ip link set lo up && exec sleep infinity"
        self.init = self._started("unshare", "-n", "-m", "sh", "-c", script)
        wait_for(lambda: self.on("cat", "/sys/class/net/lo/operstate") == "unknown\n")

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._held.callback(process.wait)
        self._held.callback(process.kill)
        return process

    def start(self, script: str) -> subprocess.Popen[bytes]:
        where = ["nsenter", "-t", str(self.init.pid), "-n", "-m"]
        return self._started(*where, sys.executable, "-c", script)

    def on(self, *command: str) -> str:
        where = ["nsenter", "-t", str(self.init.pid), "-n", "-m"]
        return subprocess.run(
            [*where, *command], capture_output=True, text=True, check=False
        ).stdout

    def fleet(self) -> Fleet:
        with in_network_of(self.init.pid):
            return Fleet("tcp://127.0.0.1:8786", name="restarted", timeout=30.0)


@pytest.fixture
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    with ExitStack() as held:
        yield Machine(held)


def _targets(running: Running) -> list[Any]:
    return [each.get("targets") for each in running.status().values()]


def test_what_is_pinned_is_there_for_clients_of_the_next_scheduler(
    machine: Machine, limit: Object
) -> None:
    scheduler, worker = machine.start(_SCHEDULER), machine.start(_WORKER)
    with machine.fleet() as fleet:
        wait_for(lambda: len(fleet.hosts) == 1)
        running = fleet.load(limit, pins=True)
        running.attach("ingress", interface="lo")
        running.run("ingress", bytes(3333))
        fleet.load(limit, name="unpinned")
        place = Path("/sys/fs/bpf/osmia-fleet/restarted/limit")
        wait_for(lambda: str(place / "wish") in machine.on("find", str(place)))
    scheduler.kill()
    scheduler.wait()
    worker.wait(60)  # it does not outlive its scheduler
    assert "xdp" in machine.on("ip", "link", "show", "lo")
    machine.start(_SCHEDULER)
    machine.start(_WORKER)
    with machine.fleet() as fleet:
        wait_for(lambda: list(fleet.running()) == ["limit"])
        other = fleet.load(compiled("XDP_TX"), name="other")
        found = fleet.running()["limit"]
        wait_for(lambda: _targets(found) == [{"ingress": ["lo"]}])
        assert found.digest == limit.digest
        sums = found.maps["flows"].sum("value.packets", by=["key.source"]).to_pylist()
        assert {"key.source": 3333, "value.packets": 1} in sums
        found.data["limit"] = 2000000
        other.close()
        found.close()
        assert machine.on("find", str(place)) == ""
        wait_for(lambda: "xdp" not in machine.on("ip", "link", "show", "lo"))  # a link goes later
        fleet.close()
