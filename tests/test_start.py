"""What a start costs, in instructions: it does not creep up, and a noisy machine does not matter.

Counted by valgrind's cachegrind without its caches, which agrees with callgrind within 0.3 % and
takes two fifths of its time. `python tests/test_start.py` writes the expected figures for this
Python anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_EXPECTED = Path(__file__).with_name("start_instructions.json")
_VERSION = ".".join(map(str, sys.version_info[:3]))
_TOLERANCE = 0.02

LISTS = (
    "osmia.cli.running",
    *(f"osmia.cli.{noun}_list" for noun in ("prog", "map", "link")),
    "osmia.cli.tables",
    "osmia.kernel.inventory.references",
    "osmia.kernel.maps.info",
)
LOOKUP = ("osmia.cli.running", "osmia.cli.map_lookup", "osmia.kernel.maps.opening")
STARTS = {
    "import osmia": ["-c", "import osmia"],
    "osmia.open": ["-c", "import osmia; osmia.open"],
    "the loader": ["-c", "import osmia.kernel.load.loader"],
    "osmia --version": ["-m", "osmia", "--version"],
    # Lists themselves depend on what the kernel holds: what they import does not.
    "lists": ["-c", f"import {', '.join(LISTS)}"],
    "map lookup": ["-c", f"import {', '.join(LOOKUP)}"],
    "attaching": ["-c", "import osmia.kernel.load.adopting, osmia.kernel.links.kinds"],
}


def instructions(arguments: list[str]) -> int:
    """Those of a new interpreter whose modules are compiled already."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment["PYTHONHASHSEED"] = "0"
    command = [sys.executable, *arguments]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*counter, *command], env=environment, capture_output=True, text=True, check=True
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind counts the instructions")
@pytest.mark.parametrize("start", STARTS)
def test_a_start_takes_no_more_instructions_than_it_did(start: str) -> None:
    expected = json.loads(_EXPECTED.read_text()).get(_VERSION)
    if expected is None:
        pytest.skip(f"no figures for Python {_VERSION}: python {Path(__file__).name} counts them")
    assert instructions(STARTS[start]) == pytest.approx(expected[start], rel=_TOLERANCE)


if __name__ == "__main__":
    figures = json.loads(_EXPECTED.read_text()) if _EXPECTED.exists() else {}
    figures[_VERSION] = {start: instructions(STARTS[start]) for start in STARTS}
    _EXPECTED.write_text(json.dumps(figures, indent=2) + "\n")
