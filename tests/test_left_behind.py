"""The suite's own checks: what a test leaves behind fails the run, what others do does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.kernel.sys import pins

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
Run = Callable[..., subprocess.CompletedProcess[str]]

WORKERS = pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "two workers"])
LEAVES = """
import subprocess
from osmia.kernel.sys import pins, syscall

kept = []

def test_leaves():
    kept.append(syscall.map_create(2, key_size=4, value_size=4, max_entries=1, name="kept"))
    program = syscall.map_create(2, key_size=4, value_size=4, max_entries=1)
    syscall.obj_pin(program, f"{pins.BPFFS}/left")
    subprocess.run(["ip", "link", "add", "left0", "type", "veth"], check=True)
    subprocess.run(["ip", "netns", "add", "left"], check=True)

def test_is_clean():
    pass
"""
MAKES_IN_ANOTHER_PROCESS = """
import subprocess, sys

CODE = '''
from osmia.kernel.sys import syscall
syscall.map_create(2, key_size=4, value_size=4, max_entries=1)
print("made", flush=True)
input()
'''
others = []

def test_starts_somebody():
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", CODE], stdin=pipe, stdout=pipe, text=True)
    others.append(other)  # it ends when this process does: its input ends
    assert other.stdout.readline() == "made\\n"
"""
WAITS = """
import time
from pathlib import Path

import pytest

@pytest.mark.one_at_a_time("waiting")
@pytest.mark.parametrize("number", range(4))
def test_waits(number):
    log = Path(__file__).with_name("log")
    with log.open("a") as file:
        print("begin", file=file, flush=True)
        time.sleep(0.1)
        print("end", file=file, flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run tests of some text with the hooks and fixtures of tests/conftest.py."""

    def run(text: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(text)
        (tmp_path / "impatient.py").write_text(
            "from tests.left_behind import LeakCheck\nLeakCheck.PATIENCE = 0.2\n"
        )
        plugins = ["-p", "tests.conftest", "-p", "impatient"]
        return subprocess.run(
            [*PYTEST, *plugins, *options, "-W", "ignore", str(tmp_path)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "CI": "", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.kernel
@WORKERS
def test_what_is_left_behind_is_named(run: Run, workers: list[str]) -> None:
    done = run(LEAVES, *workers)
    assert done.returncode == 1
    assert "2 passed" in done.stdout
    left = done.stdout.partition("left behind by the tests")[2]
    made = r"^map \d+, made in test_it.py::test_leaves \(call\), held by "
    assert len(re.findall(made, left, re.MULTILINE)) == 2
    for thing in (
        "2 open descriptor(s) of anon_inode:bpf-map",
        f"pin {pins.BPFFS}/left",
        "interface left0",
        "namespace /run/netns/left",
    ):
        assert thing in left
    assert ("(gw" in left) == bool(workers)


@pytest.mark.kernel
def test_what_is_left_is_not_on_the_machine(run: Run) -> None:
    run(LEAVES)
    assert not Path(pins.BPFFS, "left").exists()
    assert not Path("/run/netns/left").exists()


@pytest.mark.kernel
@WORKERS
def test_what_others_made_meanwhile_is_not_blamed(run: Run, workers: list[str]) -> None:
    done = run(MAKES_IN_ANOTHER_PROCESS, *workers)
    assert done.returncode == 0, done.stdout


@pytest.mark.kernel
def test_in_ci_all_that_is_new_counts_unless_another_run_is_on(run: Run, tmp_path: Path) -> None:
    # This run's lock is elsewhere: for the one inside, nobody else is there.
    done = run(MAKES_IN_ANOTHER_PROCESS, CI="1", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"^map \d+", done.stdout, re.MULTILINE)
    assert run(MAKES_IN_ANOTHER_PROCESS, CI="1").returncode == 0


def test_what_the_machine_has_once_is_used_by_one_test_at_a_time(run: Run, tmp_path: Path) -> None:
    assert run(WAITS, "-n", "2").returncode == 0
    assert (tmp_path / "log").read_text() == "begin\nend\n" * 4


@pytest.mark.kernel
def test_the_suite_runs_where_sigint_is_ignored() -> None:
    """As it is in the background of a shell without job control."""
    tests = [
        "tests/events/test_ring_buffer.py::test_ctrl_c_ends_waiting_and_nothing_is_lost",
        "tests/cli/test_map.py::test_events_of_a_pinned_ring_buffer",
    ]
    done = subprocess.run(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *PYTEST, *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
