"""What the userspace engine imports before its first run."""

from __future__ import annotations

import subprocess
import sys

import pytest

_START = """
import sys
from osmia.vm.engine import Vm
with Vm(memory=1 << 23, cpus=1) as vm:
    code = bytes.fromhex("b700000007000000" "9500000000000000")  # r0 = 7; exit
    assert vm.load_program(code).run(bytes(64)).retval == 7
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _START], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        *("ast", "inspect", "select", "llvmlite", "numpy", "typing", "re", "weakref", "ctypes"),
        *("osmia.events", "osmia.btf", "osmia.object.model", "osmia.engine.maps.base"),
        *("osmia.vm.helpers.skb", "osmia.vm.maps.special", "osmia.vm.maps.numbers"),
    ],
)
def test_a_first_run_needs_no(module: str, imported: set[str]) -> None:
    assert "osmia.vm.engine" in imported
    assert module not in imported
