"""`osmia tool`: the list, options, lines and JSON, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.tools import TOOLS

from .conftest import OSMIA, Result

Osmia = Callable[..., Result]


def test_tools_are_listed(osmia: Osmia) -> None:
    result = osmia("tool", "--help")
    assert result.status == 0
    for name, text in TOOLS.items():
        assert any(line.split()[:1] == [name] for line in result.lines)
        assert text.split()[0] in result.out


@pytest.mark.parametrize("name", TOOLS)
def test_each_tool_says_what_its_options_are(osmia: Osmia, name: str) -> None:
    result = osmia("tool", name, "--help")
    assert result.status == 0
    assert "--duration" in result.out
    assert "--json" in result.out
    assert max(map(len, result.lines)) <= 80


def test_other_names_are_refused_with_the_nearest(osmia: Osmia) -> None:
    result = osmia("tool", "opensnop")
    assert (result.status, result.out) == (2, "")
    assert "there is no tool 'opensnop'; did you mean 'opensnoop'?" in result.err


@pytest.mark.kernel
def test_rows_stand_under_their_names(osmia: Osmia, tmp_path: Path) -> None:
    path = tmp_path / "new"
    with subprocess.Popen(["sh", "-c", f"while :; do : > {path}; sleep 0.05; done"]) as shell:
        try:
            result = osmia("tool", "opensnoop", "-p", shell.pid, "-d", 1)
            records = osmia("tool", "opensnoop", "-p", shell.pid, "-d", 1, "-j").records
        finally:
            shell.kill()
    heading, *rows = result.lines
    assert heading.split() == ["pid", "process", "fd", "error", "path"]
    row = next(each for each in rows if str(path) in each)
    assert row.index(str(path)) == heading.index("path")
    assert row.index("sh") == heading.index("process")
    assert {"pid": shell.pid, "process": "sh", "error": "", "path": str(path)}.items() <= next(
        each for each in records if each["path"] == str(path)
    ).items()


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(number: signal.Signals) -> None:
    command = [*OSMIA, "tool", "execsnoop", "-j"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stderr.readline() == "Ctrl-C ends\n"
        subprocess.run([sys.executable, "-S", "-c", "'osmia'"], check=True)
        for line in process.stdout:
            if "'osmia'" in json.loads(line)["command"]:
                break
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read() == ""
