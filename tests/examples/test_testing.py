"""The sample project's tests: by anybody in a vm, by root in both engines, with their coverage."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "examples" / "testing"
#: Without any capability: what a user has.
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
pytestmark = pytest.mark.slow


def _run(
    tmp_path: Path, *arguments: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy)
    command = [*before, sys.executable, "-m", "pytest", "-rs", *arguments]
    environment = {**os.environ, "CI": ""}
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def _figures(found: subprocess.CompletedProcess[str]) -> dict[str, int]:
    last = found.stdout.strip().splitlines()[-1]
    return {
        what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|skipped)", last)
    }


def test_a_user_runs_them_and_sees_what_they_reach(tmp_path: Path) -> None:
    page = tmp_path / "coverage.html"
    before = UNPRIVILEGED if os.geteuid() == 0 else ()
    found = _run(tmp_path, f"--bpf-cov={page}", "--bpf-cov-fail-under=95", before=before)
    assert found.returncode == 0, found.stdout + found.stderr
    figures = _figures(found)
    assert figures["passed"] >= 25
    assert figures["skipped"] >= 10
    assert "kernel" in found.stdout.partition("SKIPPED")[2]
    assert "limit.bpf.c" in page.read_text()


def test_a_branch_that_no_test_takes_fails_the_bar(tmp_path: Path) -> None:
    found = _run(
        tmp_path,
        "test_limit.py",
        "--bpf-engine=vm",
        "-k=sources or ip",
        "--bpf-cov=-",
        "--bpf-cov-fail-under=95",
    )
    assert found.returncode == 1
    assert "FAIL: --bpf-cov-fail-under=95: " in found.stdout


@pytest.mark.kernel
def test_root_runs_them_on_both_engines(tmp_path: Path) -> None:
    found = _run(tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert _figures(found)["passed"] >= 40
