"""Results as the kernel's selftests print them: TAP 13, as kselftest.h writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from osmia.selftest.runner import Outcome, Result

#: KSFT_PASS, KSFT_FAIL, KSFT_SKIP of tools/testing/selftests/kselftest.h
PASSED, FAILED, SKIPPED = 0, 1, 4


def report(results: Iterable[Result], count: int, write: Callable[[str], object]) -> int:
    """Write a line (or more) for each result as it comes; gives the exit status.

    0: none failed; 1: some failed; 4: all were skipped.
    """
    write("TAP version 13")
    write(f"1..{count}")
    outcomes: Counter[Outcome] = Counter()
    for number, result in enumerate(results, 1):
        outcomes[result.outcome] += 1
        for line in lines_of(result, number):
            write(line)
    passed, failed, skipped = (outcomes[outcome] for outcome in Outcome)
    write(f"# Totals: pass:{passed} fail:{failed} xfail:0 xpass:0 skip:{skipped} error:0")
    return status_of(outcomes)


def status_of(outcomes: Counter[Outcome]) -> int:
    """The exit status that a kernel selftest would have."""
    if outcomes[Outcome.FAILED]:
        return FAILED
    return PASSED if outcomes[Outcome.PASSED] else SKIPPED


def lines_of(result: Result, number: int) -> list[str]:
    """What is to be written about one result."""
    name = result.case.name
    match result.outcome:
        case Outcome.PASSED:
            return [f"ok {number} {name}"]
        case Outcome.SKIPPED:
            return [f"ok {number} {name} # SKIP {_one_line(result.remarks)}"]
        case Outcome.FAILED:
            remarks = [line for remark in result.remarks for line in remark.splitlines()]
            return [f"# {line}" for line in remarks] + [f"not ok {number} {name}"]


def skip_all(reason: str, write: Callable[[str], object]) -> int:
    """Write that nothing can be run here at all; gives the exit status."""
    write("TAP version 13")
    write(f"1..0 # SKIP {_one_line([reason])}")
    return SKIPPED


def _one_line(remarks: Iterable[str]) -> str:
    return " ".join(" ".join(remarks).replace("#", " ").split())
