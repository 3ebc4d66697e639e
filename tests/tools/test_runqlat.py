"""runqlat sees a process of these tests wait for a CPU each time that it is woken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from osmia.tools.runqlat import runqlat

from .conftest import PATIENCE

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]

#: Sleeps that often, once it may.
SLEEPS = 100
SLEEPER = f"import time; input()\nfor _ in range({SLEEPS}): time.sleep(0.001)\ninput()"


def start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-u", "-c", SLEEPER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    process.communicate(b"go\ngo\n", PATIENCE)


def test_waits_of_a_process_are_counted() -> None:
    with start() as sleeper, runqlat(pid=sleeper.pid) as summary:
        finish(sleeper)
        report = summary.report()
    assert list(report) == [""]
    assert 0.9 * SLEEPS <= report[""].total < 100 * SLEEPS  # a sleep may end before it began
    assert report[""].unit == "usecs"


def test_each_process_may_have_a_histogram() -> None:
    with start() as sleeper, runqlat(processes=True, milliseconds=True) as summary:
        finish(sleeper)
        report = summary.report()
    name = next(each for each in report if each.split()[0] == str(sleeper.pid))
    assert report[name].total >= 0.9 * SLEEPS
    assert report[name].unit == "msecs"
    assert len(report) > 1
