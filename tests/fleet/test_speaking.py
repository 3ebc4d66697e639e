"""A scheduler that dies or hangs while something is asked of it: one error of ours, soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from osmia.fleet import Fleet, SchedulerError
from osmia.fleet.running import Running
from osmia.object import Object

pytestmark = [pytest.mark.slow]

#: Forks what it is asked for: a scheduler and a worker in one process, in a network of its own.
_SERVE = """
import asyncio, os, sys
from distributed import Scheduler, Worker
import osmia.fleet.agent, osmia.vm.interface
async def main(out):
    common = dict(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0")
    async with Scheduler(**common) as scheduler:
        async with Worker(scheduler.address, **common):
            os.write(out, f"{os.getpid()} {scheduler.address}\\n".encode())
            await scheduler.finished()
for line in sys.stdin:
    if os.fork() == 0:
        os.close(0)
        os.environ["OSMIA_FLEET_HOST"] = "host0"
        asyncio.run(main(1))
        os._exit(0)
"""


class Scheduler(NamedTuple):
    pid: int
    address: str

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)


@pytest.fixture(scope="module")
def schedulers() -> Iterator[Callable[[], Scheduler]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )

    def make() -> Scheduler:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        pid, address = process.stdout.readline().split()
        return Scheduler(int(pid), address)

    yield make
    process.communicate()


@pytest.fixture
def scheduler(schedulers: Callable[[], Scheduler]) -> Iterator[Scheduler]:
    made = schedulers()
    yield made
    with suppress(ProcessLookupError):
        made.signal(signal.SIGKILL)  # it has the host's claim


def _loaded(fleet: Fleet, limit: Object) -> Running:
    deadline = time.monotonic() + 20
    while not fleet.hosts:
        assert time.monotonic() < deadline
    return fleet.load(limit, engine="vm")


OPERATIONS: dict[str, Callable[[Fleet, Running], Any]] = {
    "load": lambda fleet, running: fleet.load(running.object, name="other", engine="vm"),
    "attach": lambda fleet, running: running.attach("ingress", interface="lo"),
    "set": lambda fleet, running: running.data.update({"limit": 1}),
    "update": lambda fleet, running: running.maps["flows"].update({(1, 1): (1, 1)}),
    "read": lambda fleet, running: running.maps["flows"].to_arrow(),
    "events": lambda fleet, running: list(running.events("drops")),
    "upgrade": lambda fleet, running: running.upgrade(running.object),
    "status": lambda fleet, running: fleet.status(),
    "close": lambda fleet, running: running.close(),
    "close all": lambda fleet, running: fleet.close(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_that_dies_meanwhile_is_one_error(
    scheduler: Scheduler, limit: Object, operation: str
) -> None:
    with Fleet(scheduler.address) as fleet:
        running = _loaded(fleet, limit)
        scheduler.signal(signal.SIGSTOP)  # in the middle of it
        dying = threading.Timer(0.3, scheduler.signal, [signal.SIGKILL])
        dying.start()
        begin = time.monotonic()
        with pytest.raises(SchedulerError, match=r"the scheduler at .* went away: "):
            OPERATIONS[operation](fleet, running)
        with pytest.raises(SchedulerError, match="went away"):  # and so has all that comes after
            fleet.status()
        dying.join()
    assert time.monotonic() - begin < 8


def test_one_that_hangs_is_said_in_time(scheduler: Scheduler, limit: Object) -> None:
    with Fleet(scheduler.address) as fleet:
        running = _loaded(fleet, limit)
        fleet.timeout = 1.0
        scheduler.signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(SchedulerError, match=r"does not answer: "):
            running.data["limit"] = 1
        with pytest.raises(SchedulerError, match=r"does not answer: looking for hosts"):
            fleet.status()
        assert time.monotonic() - begin < 8
        scheduler.signal(signal.SIGCONT)


def test_a_fleet_that_was_left_says_so(scheduler: Scheduler) -> None:
    fleet = Fleet(scheduler.address)
    fleet.disconnect()
    with pytest.raises(SchedulerError, match="went away"):
        fleet.status()


def _logging(
    fleet: Fleet, scheduler: Scheduler, limit: Object
) -> tuple[subprocess.Popen[str], str]:
    """`osmia fleet logs` in another process, and the first line that it prints."""
    running = _loaded(fleet, limit)
    running.data["limit"] = 0
    running.run("ingress", bytes(64))
    command = [sys.executable, "-m", "osmia", "fleet", "logs", scheduler.address, "limit"]
    process = subprocess.Popen(
        [*command, "drops"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def test_ctrl_c_ends_a_command_quietly_though_the_scheduler_hangs(
    scheduler: Scheduler, limit: Object
) -> None:
    with Fleet(scheduler.address) as fleet:
        process, first = _logging(fleet, scheduler, limit)
        assert "host0" in first
        scheduler.signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (130, "")
        scheduler.signal(signal.SIGCONT)


def test_a_command_whose_scheduler_dies_says_so_and_ends(
    scheduler: Scheduler, limit: Object
) -> None:
    with Fleet(scheduler.address) as fleet:
        process, first = _logging(fleet, scheduler, limit)
        assert first
        scheduler.signal(signal.SIGKILL)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    *others, last = said.splitlines()
    assert last.startswith(f"osmia: the scheduler at {scheduler.address} went away: ")
    # Its workers end with it: that one was heard first is so, or not.
    assert set(others) <= {"host0: it went away during next_events"}
