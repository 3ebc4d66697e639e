"""The simulation of a large fleet goes through all that it measures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]  # kernel: it makes a network of its own

SIMULATION = Path(__file__).parents[2] / "bench" / "simulate_fleet.py"


def test_a_few_simulated_hosts_do_what_a_thousand_do() -> None:
    command = [sys.executable, str(SIMULATION), "12", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    phases = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert phases == [
        "12 hosts join",
        "idle, nothing loaded",
        "load",
        "attach",
        "set a variable",
        "status",
        "sum of 12,000 rows",
        "gather 12,000 rows",
        "idle, loaded",
        "all join again, catch up",
        "close",
    ]
    sent = re.findall(r"idle, loaded: .* ([0-9.,]+) KB/s", done.stdout)
    assert float(sent[0]) < 12 * 20  # a host is no burden
