"""syscount counts the system calls of a process of these tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from osmia.tools.syscount import syscount

from .conftest import PATIENCE

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]

#: Calls so many of each, once it may, and sleeps for a while.
CALLS = 500
CALLER = f"""
import os, time
input()
for _ in range({CALLS}):
    os.getpgid(0)
    try:
        os.close(-1)
    except OSError:
        pass
time.sleep(0.2)
input()
"""


@pytest.fixture
def caller() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-u", "-c", CALLER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def finish(process: subprocess.Popen[bytes]) -> None:
    process.communicate(b"go\ngo\n", PATIENCE)


def test_calls_of_a_process_are_counted_with_what_failed(
    caller: subprocess.Popen[bytes],
) -> None:
    with syscount(pid=caller.pid) as summary:
        finish(caller)
        report = summary.report()
        assert not any(each["calls"] for each in summary.report().values())
    assert report["getpgid"] == {"calls": CALLS, "failed": 0}
    assert report["close"]["failed"] == CALLS
    assert list(report)[:2] in (["close", "getpgid"], ["getpgid", "close"])
    assert len(report) <= 10


def test_time_in_calls_is_summed_up(caller: subprocess.Popen[bytes]) -> None:
    with syscount(pid=caller.pid, latency=True, top=0) as summary:
        finish(caller)
        report = summary.report()
    assert 200 <= report["clock_nanosleep"]["ms"] < 1000 * PATIENCE
    assert 0 < report["getpgid"]["ms"] < report["clock_nanosleep"]["ms"]
    assert len(report) > 2


def test_processes_are_counted_by_their_names(caller: subprocess.Popen[bytes]) -> None:
    with syscount(processes=True, top=0) as summary:
        finish(caller)
        report = summary.report()
    name = next(each for each in report if each.split()[0] == str(caller.pid))
    assert report[name]["calls"] > 2 * CALLS
    assert report[name]["failed"] >= CALLS
