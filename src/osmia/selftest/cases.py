"""The list of cases, from the modules that have them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from osmia.selftest import basic_cases, map_cases, probe_cases, type_cases
from osmia.selftest.runner import Case

#: All cases, in the order in which they are run.
CASES: tuple[Case, ...] = (
    *basic_cases.CASES,
    *map_cases.CASES,
    *type_cases.CASES,
    *probe_cases.CASES,
)


def find_cases(patterns: Sequence[str] = ()) -> list[Case]:
    """The cases whose names match one of the patterns with "*" and "?"; without any, all.

    LookupError for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in CASES):
            raise LookupError(f"no case is called {pattern!r}")
    if not patterns:
        return list(CASES)
    return [case for case in CASES if any(fnmatch.fnmatchcase(case.name, p) for p in patterns)]
