"""`make demo`'s script: it runs to the end and shows what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_the_demo_shows_every_part() -> None:
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert re.search(r"\d+ instructions", shown)
    assert re.search(r"XDP_PASS +[\d,]+\n", shown)
    assert re.search(r"XDP_DROP +[\d,]+\n", shown)
    assert re.search(r"The largest of [\d,]+ flows", shown)
    assert "new flow" in shown
    assert re.search(r"seen [1-9][\d,]* packets", shown)
    assert "detached" in shown
