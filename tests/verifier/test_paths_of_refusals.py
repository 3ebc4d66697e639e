"""For the programs of tests/refusals: the path that a log of all paths gives is the verifier's own,
which a log of level 1 has."""

from __future__ import annotations

import pytest

from osmia.errors import OsmiaError
from osmia.kernel.load.verifying import verify
from osmia.verifier.log import VerifierLog
from osmia.verifier.report import report_of

from ..refusals.cases import cases, release, without

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def test_paths_through_all_paths_are_the_verifiers_own() -> None:
    compared = 0
    for case in cases():
        if release() < case.since or case.said("slow"):
            continue
        try:
            with without(case.said("without")):
                refused = [each for each in verify(case.compile()) if each.error]
        except OsmiaError:  # nothing that the verifier was asked
            continue
        for each in refused:
            assert each.short_log is not None
            whole = report_of(VerifierLog(each.log), accepted=False, lines=each.lines)
            last = report_of(VerifierLog(each.short_log), accepted=False, lines=each.lines)
            assert last.path_certain, case.name
            if whole.path_certain:
                told = [(step.slot, step.times) for step in whole.path]
                assert told == [(step.slot, step.times) for step in last.path], case.name
                compared += 1
    assert compared > 50
