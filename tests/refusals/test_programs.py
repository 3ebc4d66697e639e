"""Programs that the kernel refuses, and what they are told: the kind, and a hint that helps.

Each program has a fix, made as its hint says, with which it loads.
"""

from __future__ import annotations

import pytest

from osmia.errors import NotSupportedError
from osmia.refusals import kinds

from .cases import Case, cases, release

KINDS = {kind.name for kind in kinds()}


def _parameters() -> list[object]:
    return [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.said("slow") else [])
        for case in cases()
    ]


every_program = pytest.mark.parametrize("case", _parameters())


def _runs_here(case: Case) -> None:
    if release() < case.since:
        pytest.skip(f"{case.name} is for Linux {'.'.join(map(str, case.since))} and newer")


def _is_told(case: Case) -> None:
    _runs_here(case)
    expected = (case.said("on 6.1") if release() == (6, 1) else "") or case.kind
    try:
        error = case.refusal()
    except NotSupportedError as missing:
        pytest.skip(str(missing))
    assert error.kind == expected, error.log
    assert error.hint
    assert error.hint in str(error)


def _fix_loads(case: Case) -> None:
    _runs_here(case)
    try:
        case.load(fixed=True)
    except NotSupportedError as missing:
        pytest.skip(str(missing))


@pytest.mark.kernel
@every_program
def test_a_refused_program_is_told_its_kind_and_a_hint(case: Case) -> None:
    _is_told(case)


@pytest.mark.kernel
@every_program
def test_a_program_that_follows_the_hint_loads(case: Case) -> None:
    _fix_loads(case)


@pytest.mark.kernel
@pytest.mark.second_kernel
@every_program
def test_also_where_the_kernel_words_it_differently(case: Case) -> None:
    if case.said("slow"):
        pytest.skip("a million instructions on an emulated machine")
    _is_told(case)
    _fix_loads(case)


def test_each_kind_has_a_program() -> None:
    older = {case.said("on 6.1") for case in cases()} - {""}
    assert {case.kind for case in cases()} | older == KINDS
    assert len(KINDS) >= 60
