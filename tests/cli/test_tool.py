"""`osmia tool`: the list, options, lines and JSON, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from osmia.cli.tool_reports import heading
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


@pytest.mark.parametrize("name", ["opensnoop", "execsnoop", "tcpconnect", "tcplife", "xdp_filter"])
def test_rows_fit_80_columns_with_room_for_what_is_last(name: str) -> None:
    line = import_module(f"osmia.tools.{name}").LINE
    assert len(heading(line)) <= 80
    assert heading(line).split() == re.findall(r"{(\w+)", line)


@pytest.mark.kernel
def test_rows_stand_under_their_names(osmia: Osmia, tmp_path: Path) -> None:
    path = tmp_path / "new"
    with subprocess.Popen(["sh", "-c", f"while :; do : > {path}; sleep 0.05; done"]) as shell:
        try:
            result = osmia("tool", "opensnoop", "-p", shell.pid, "-d", 1)
            records = osmia("tool", "opensnoop", "-p", shell.pid, "-d", 1, "-j").records
            timed = osmia("tool", "opensnoop", "-p", shell.pid, "-d", 0.5, "-t")
        finally:
            shell.kill()
    heading, *rows = result.lines
    assert heading.split() == ["pid", "process", "fd", "error", "path"]
    row = next(each for each in rows if str(path) in each)
    assert row.index(str(path)) == heading.index("path")
    assert row.index("sh") == heading.index("process")
    assert timed.lines[0] == f"time     {heading}"
    assert re.match(r"\d\d:\d\d:\d\d  +\d", timed.lines[1])
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


@pytest.mark.kernel
@pytest.mark.usefixtures("own_network")
def test_counts_are_reported_at_the_end_and_after_intervals(osmia: Osmia) -> None:
    arguments = ("tool", "xdp-filter", "lo", "--deny", "10.0.0.0/8", "--deny", "udp/53")
    result = osmia(*arguments, "-d", 0.1)
    assert (result.status, result.err) == (0, "")
    heading, first, second = result.lines
    assert heading.split() == ["rule", "packets", "bytes"]
    assert (first.split(), second.split()) == (["10.0.0.0/8", "0", "0"], ["udp/53", "0", "0"])
    assert len(first) == len(heading)
    records = osmia(*arguments, "-d", 0.5, "-i", 0.2, "-j").records
    assert len(records) == 2 * 3
    assert records[1] == {"rule": "udp/53", "packets": 0, "bytes": 0}


@pytest.mark.kernel
@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_end_counting_with_the_report(number: signal.Signals) -> None:
    command = [*OSMIA, "tool", "xdp-filter", "lo", "--deny", "10.0.0.0/8"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stderr.readline() == "Ctrl-C ends\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stdout.read().splitlines()[1].split() == ["10.0.0.0/8", "0", "0"]
        assert process.stderr.read() == ""


@pytest.mark.kernel
def test_stacks_are_a_table_or_a_file(osmia: Osmia, tmp_path: Path) -> None:
    code = "import time\nwhile True:\n sum(range(100000)); time.sleep(0.005)"
    picture = tmp_path / "waits.svg"
    with subprocess.Popen([sys.executable, "-c", code]) as busy:
        try:
            table = osmia("tool", "profile", "-p", busy.pid, "-F", 499, "-d", 0.5)
            drawn = osmia("tool", "offcputime", "-p", busy.pid, "-d", 0.5, "-o", picture)
        finally:
            busy.kill()
    assert f"499 samples a second: process {busy.pid}" in table.lines[0]
    assert max(map(len, table.lines)) <= 80
    assert (drawn.status, drawn.out) == (0, "")
    assert picture.read_bytes().startswith(b"<svg ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("opensnoop", "--pid", "999999999"), "no process 999999999"),
        (("opensnoop", "--pid", "x"), "'x'"),
        (("opensnoop", "-d", "-1"), "-1"),
        (("syscount", "-i", "0"), "0.1"),
        (("xdp-filter",), "INTERFACE"),
        (("profile", "-o", "a.png"), "says the format"),
    ],
)
def test_wrong_arguments_are_said_at_once(
    osmia: Osmia, arguments: tuple[str, ...], problem: str
) -> None:
    result = osmia("tool", *arguments)
    assert (result.status, result.out) == (2, "")
    assert problem in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.kernel
def test_histograms_are_drawn_in_80_columns_and_told_as_buckets(osmia: Osmia) -> None:
    result = osmia("tool", "runqlat", "-d", 0.3)
    assert (result.status, result.err) == (0, "")
    assert result.lines[0].split() == ["usecs", ":", "count", "distribution"]
    assert max(map(len, result.lines)) <= 80
    (told,) = osmia("tool", "runqlat", "-d", 0.3, "-j").records
    assert told["unit"] == "usecs"
    assert all(each["low"] < each["high"] and each["count"] > 0 for each in told["buckets"])
    named = osmia("tool", "runqlat", "-d", 0.3, "-j", "--processes").records
    assert all(each["process"] for each in named)


@pytest.mark.kernel
def test_no_histogram_is_said_to_be_none(osmia: Osmia) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            result = osmia("tool", "runqlat", "-p", sleeping.pid, "-d", 0)
        finally:
            sleeping.kill()
    assert result.lines == ["nothing was counted"]
