"""`osmia profile`, `offcpu`, `stacks`: reports of processes that these tests start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import OSMIA, Result

pytestmark = pytest.mark.kernel

Osmia = Callable[..., Result]


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that computes and waits in turn."""
    code = "import time\nwhile True:\n sum(range(100000)); time.sleep(0.005)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield process.pid
        process.kill()


def test_a_table_has_the_functions_with_most_samples(osmia: Osmia, busy: int) -> None:
    result = osmia("profile", "-p", busy, "-F", 499, "-d", 1)
    assert result.status == 0, result.err
    assert f"499 samples a second: process {busy}" in result.lines[0]
    assert result.lines[1].split() == [
        "function",
        "itself",
        "share",
        "with",
        "what",
        "it",
        "calls",
        "share",
    ]
    assert len(result.lines) > 3
    assert max(map(len, result.lines)) <= 80


def test_json_has_all_stacks(osmia: Osmia, busy: int) -> None:
    result = osmia("profile", "-p", busy, "-F", 499, "-d", 1, "-j")
    assert result.json["total"] == sum(each["value"] for each in result.json["stacks"]) > 0
    frame = result.json["stacks"][0]["frames"][0]
    assert frame.keys() == {"address", "name", "module", "offset", "file", "line", "inlined"}


@pytest.mark.parametrize("verb", [("profile",), ("offcpu",), ("stacks", "tp:sched:sched_switch")])
def test_reports_are_files_of_the_kind_that_their_names_say(
    osmia: Osmia, busy: int, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    for name, begins in (("a.html", b"<!DOCTYPE"), ("a.json", b'{"$schema'), ("a.pb.gz", b"\x1f")):
        path = tmp_path / name
        result = osmia(*verb, "-p", busy, "-d", 0.3, "-o", path)
        assert (result.status, result.out) == (0, ""), result.err
        assert path.read_bytes().startswith(begins)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["profiles"][0]["weights"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("profile", "-o", "a.png"), "says the format"),
        (("profile", "-o", "/missing/a.svg"), "no directory"),
        (("profile", "-p", "999999999"), "no process 999999999"),
        (("profile", "--cpu", "100000"), "not online"),
        (("stacks", "nonsense"), "is no probe"),
    ],
)
def test_wrong_arguments_are_said_at_once(
    osmia: Osmia, arguments: tuple[str, ...], problem: str
) -> None:
    result = osmia(*arguments)
    assert result.status == 2
    assert problem in result.err
    assert len(result.err.splitlines()) == 1


def test_what_is_no_cgroup_is_an_error(osmia: Osmia, tmp_path: Path) -> None:
    result = osmia("profile", "-d", 1, "--cgroup", tmp_path)
    assert (result.status, result.out) == (1, "")
    assert "is no control group" in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_early_with_the_report(
    busy: int, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "report.folded"
    command = [*OSMIA, "profile", "-p", str(busy), "-F", "499", "-o", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "recording; Ctrl-C ends it\n"
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read() == ""
    assert path.read_text()
