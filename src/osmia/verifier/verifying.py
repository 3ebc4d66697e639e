"""Reports of what this kernel's verifier makes of an object's programs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from osmia.kernel.load.verifying import ALL_PATHS, STATISTICS, verify
from osmia.object.model import Object
from osmia.verifier.log import VerifierLog
from osmia.verifier.report import Report, report_of


def reports_of(
    obj: Object, *, log_level: int = ALL_PATHS | STATISTICS, **options: Any
) -> Generator[Report, None, None]:
    """A report of each program that a load would load, also after one was refused; one at a time,
    since a report holds the program's log, which may have hundreds of megabytes.

    `log_level` is the sum of 1 (the last path) or 2 (all paths) and 4 (statistics); options are
    those of `Object.load`, and `failed`, which is called with the name and the error of a program
    that cannot be verified for another reason. Needs the privileges of a load, and raises what it
    raises other than VerifierError, of single programs without `failed`. Nothing stays loaded.
    """
    with closing(verify(obj, log_level=log_level, **options)) as verified:
        for each in verified:
            short = each.short_log
            yield report_of(
                VerifierLog(each.log),
                each.program,
                accepted=not each.error,
                functions=each.functions,
                lines=each.lines,
                summary=each.summary,
                short_log=None if short is None else VerifierLog(short),
            )
