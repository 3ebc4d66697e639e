"""`make demo-fleet`'s script: it runs to the end without a terminal, also beside itself, and leaves
nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

DEMO = Path(__file__).parents[2] / "examples" / "fleet" / "run.py"


def test_the_demo_shows_a_fleet_twice_at_once() -> None:
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    started = [
        subprocess.Popen(
            [sys.executable, str(DEMO)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        shown = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (told, wrong) in zip(started, shown, strict=True):
        assert process.returncode == 0, wrong
        assert wrong == ""
        assert "host0, host1, host2" in told
        for number in range(3):
            assert f"host{number}                       {20 + 10 * number} packets of" in told
        assert "90 packets" in told
        assert "host2                       20 packets dropped" in told
        assert "the upgrade was rolled back, host 1 of 3 failed" in told
        assert "all hosts as before         True" in told
        assert told.count("XDP_TX\n") == 3
        assert "objects that are left       0" in told
