"""`osmia run --perf-event`: programs that run at samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


def samples(run: Result) -> int:
    """How many samples the program counted."""
    assert run.status == 0, run.err
    return next(int(line.split()[1]) for line in run.lines if line.startswith("packets "))


def test_a_program_runs_so_often_on_each_cpu(osmia: Cli, traffic: Path) -> None:
    arguments = ("run", traffic, "-p", "sample", "--perf-event", "cpu-clock", "--duration", 0.5)
    often = osmia(*arguments, "--frequency", 999)
    assert "attached program 'sample' on perf event CPU_CLOCK" in often.err
    seldom = samples(osmia(*arguments))  # 99 a second
    assert 20 <= seldom < samples(often)


def test_events_are_counted_by_a_period_too(osmia: Cli, traffic: Path) -> None:
    arguments = ("run", traffic, "-p", "sample", "--duration", 0.3)
    every = samples(osmia(*arguments, "--perf-event", "context-switches", "--period", 1))
    tenth = samples(osmia(*arguments, "--perf-event", "context-switches", "--period", 1000))
    assert every > tenth


def test_what_makes_no_sense_is_refused(osmia: Cli, traffic: Path) -> None:
    for arguments, reason in (
        (("--perf-event", "cpu-clok"), "no event 'cpu-clok'; did you mean 'cpu-clock'"),
        (("--perf-event", "rxyz"), "no event 'rxyz'"),
        (("--perf-event", ""), "needs --perf-event"),
        (("--frequency", 99), "how often --perf-event samples"),
        (("--perf-event", "faults", "--frequency", 9, "--period", 9), "not both"),
        (("--perf-event", "faults", "--packet", "00"), "not for packets"),
    ):
        run = osmia("run", traffic, "-p", "sample", "--duration", 0, *arguments)
        assert (run.status, run.out) == (2, "")
        assert reason in run.err and run.err.count("\n") == 1
    other = osmia("run", traffic, "-p", "count", "--perf-event", "faults", "--duration", 0)
    assert (other.status, other.out) == (2, "")
    assert "there is no program of perf events" in other.err
