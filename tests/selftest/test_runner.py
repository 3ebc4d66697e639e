"""Outcomes of cases, and how they are written down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osmia.errors import KernelError, NotSupportedError
from osmia.selftest import CASES, Case, Outcome, Skip, Workbench, find_cases, report, run_cases


def case(name: str, check: Callable[[Workbench], None]) -> Case:
    return Case(name, "a case of the test's", check, ("kernel", "vm"))


def passes(bench: Workbench) -> None:
    bench.equal(1 + 1, 2, "the sum")
    bench.true(True, "nothing")


def fails(bench: Workbench) -> None:
    bench.equal(1 + 1, 3, "the sum")


def skips(bench: Workbench) -> None:
    raise Skip("no\n  # luck today")


def lacks(bench: Workbench) -> None:
    raise NotSupportedError("no such thing", since="9.9")


def breaks(bench: Workbench) -> None:
    raise KernelError(22, "do it")


def written(*checks: Callable[[Workbench], None]) -> tuple[list[str], int]:
    lines: list[str] = []
    cases = [case(check.__name__, check) for check in checks]
    status = report(run_cases(cases), len(cases), lines.append)
    return lines, status


def test_results_are_written_as_tap() -> None:
    lines, status = written(passes, fails, skips, lacks, breaks)
    assert lines == [
        "TAP version 13",
        "1..5",
        "ok 1 passes",
        "# the sum: 2, not 3",
        "not ok 2 fails",
        "ok 3 skips # SKIP no luck today",
        "ok 4 lacks # SKIP no such thing (needs Linux 9.9 or newer)",
        "# KernelError: cannot do it: Invalid argument (EINVAL)",
        "not ok 5 breaks",
        "# Totals: pass:1 fail:2 xfail:0 xpass:0 skip:2 error:0",
    ]
    assert status == 1


def test_the_status_is_a_kernel_selftests() -> None:
    assert written(passes, skips)[1] == 0
    assert written(skips, lacks)[1] == 4
    assert written(passes, fails)[1] == 1


def test_an_expected_exception_is_handed_over() -> None:
    def raising(bench: Workbench) -> None:
        error = bench.raises(KeyError, lambda: {"y": 1}["x"])
        bench.equal(error.args, ("x",), "what is missing")

    def not_raising(bench: Workbench) -> None:
        bench.raises(KeyError, lambda: None)

    assert written(raising)[1] == 0
    assert "# no KeyError was raised" in written(not_raising)[0]


def test_what_a_case_opened_is_closed_after_it_even_if_it_fails() -> None:
    closed: list[int] = []

    def failing(bench: Workbench) -> None:
        bench.afterwards(closed.append, 1)
        bench.equal(1, 2, "a number")

    assert written(failing)[1] == 1
    assert closed == [1]


def test_a_case_for_another_engine_is_skipped() -> None:
    only_kernel = Case("only", "", fails)
    [result] = run_cases([only_kernel], "vm")
    assert result.outcome is Outcome.SKIPPED
    assert result.remarks == ("not for the engine vm",)


def test_cases_are_chosen_by_pattern_in_their_order() -> None:
    assert [each.name for each in find_cases(["core-*", "hash"])] == [
        "hash",
        "core-fields",
        "core-questions",
    ]
    assert find_cases() == list(CASES)
    with pytest.raises(LookupError, match="'nope'"):
        find_cases(["hash", "nope"])


def test_names_are_unique_and_say_what_they_are_for() -> None:
    assert len({each.name for each in CASES}) == len(CASES)
    assert all(each.text and " " not in each.name for each in CASES)
