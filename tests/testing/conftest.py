"""A pytest run of its own for each test, with a packet limiter beside its test file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import pytest
import osmia
from osmia.testing import bpf_fixture

SOURCE = 0x0100000a
PACKET = bytes(12) + b"\\x08\\0" + b"\\x45" + bytes(11) + bytes([10, 0, 0, 1]) + bytes(30)
"""

RunTests = Callable[..., pytest.RunResult]


@pytest.fixture
def run_tests(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> RunTests:
    """Runs pytest over a file of tests; `HEAD` stands in front."""
    # pytester gives each run a home of its own: what is compiled is kept for the next one.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    shutil.copy(Path(__file__).with_name("limit.bpf.c"), pytester.path)

    def run(source: str, *arguments: str, conftest: str = "") -> pytest.RunResult:
        pytester.makepyfile(test_user=HEAD + source)
        pytester.makeconftest(conftest)
        pytester.makepyprojecttoml("[tool.pytest.ini_options]\naddopts = '--strict-markers'")
        # A process of its own: pytester forgets modules that a run in this one imported.
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return run
