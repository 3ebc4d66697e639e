"""`osmia selftest`: TAP, JSON, a list; statuses."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from osmia.selftest import CASES

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]


def test_tap_has_a_plan_a_line_for_each_case_and_totals(osmia: Cli) -> None:
    result = osmia("selftest", "--tap", "globals", "packets", "hash")
    assert result.status == 0
    assert result.lines == [
        "TAP version 13",
        "1..3",
        "ok 1 globals",
        "ok 2 packets",
        "ok 3 hash",
        "# Totals: pass:3 fail:0 xfail:0 xpass:0 skip:0 error:0",
    ]


def test_without_tap_people_read_it(osmia: Cli) -> None:
    result = osmia("selftest", "calls")
    assert result.status == 0
    assert re.match(r"passed +\d+ ms  calls: static and global", result.lines[0])
    assert result.lines[1] == "1 cases: 1 passed, 0 failed, 0 skipped"


def test_results_as_json_a_line_each(osmia: Cli) -> None:
    result = osmia("selftest", "-j", "refusal", "--engine", "vm")
    assert result.status == 4
    [record] = result.records
    assert record["outcome"] == "skipped"
    assert record["remarks"] == ["not for the engine vm"]


def test_the_list(osmia: Cli) -> None:
    result = osmia("selftest", "--list")
    assert result.status == 0
    assert len(result.lines) == len(CASES) + 1
    assert len(osmia("selftest", "--list", "-j").json) == len(CASES)


def test_a_case_that_does_not_exist_is_named(osmia: Cli) -> None:
    result = osmia("selftest", "nope")
    assert result.status == 2
    assert "no case is called 'nope'" in result.err


def test_without_permission_all_is_skipped(osmia: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osmia.cli.selftest._obstacle", lambda engine: "the cases need bpf(2)")
    result = osmia("selftest", "--tap")
    assert result.status == 4
    assert result.lines == ["TAP version 13", "1..0 # SKIP the cases need bpf(2)"]
    told = osmia("selftest")
    assert (told.status, told.err) == (1, "osmia: the cases need bpf(2)\n")
