"""The cases themselves: none fails here, and what is skipped is what this kernel lacks."""

from __future__ import annotations

import pytest

from osmia.kernel.probes import features, since
from osmia.object.uapi import AttachType
from osmia.selftest import CASES, Case, Outcome, run_cases

#: Cases that a kernel may be built without: kprobes, trampolines, a libc with probes.
MAY_BE_LACKING = {"ksyscall", "kretsyscall", "kprobe-multi", "fentry", "fexit", "usdt"}


#: Cases for more than 6.18, by the version that they need.
NEWER = {"jump-tables": "6.19"}


@pytest.mark.kernel
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_the_kernel(case: Case) -> None:
    [result] = run_cases([case])
    assert result.outcome is not Outcome.FAILED, result.remarks
    if result.outcome is Outcome.SKIPPED and not features.kernel_is_older_than("6.18"):
        too_old = features.kernel_is_older_than(NEWER.get(case.name, "6.18"))
        assert case.name in MAY_BE_LACKING or too_old, result.remarks


@pytest.mark.parametrize(
    "case", [each for each in CASES if "vm" in each.engines], ids=lambda case: case.name
)
def test_in_this_process(case: Case) -> None:
    [result] = run_cases([case], "vm")
    assert result.outcome is Outcome.PASSED, result.remarks


@pytest.mark.kernel
@pytest.mark.second_kernel
@pytest.mark.parametrize(
    "case",
    [each for each in CASES if each.name in ("ksyscall", "kretsyscall", "fentry", "fexit")],
    ids=lambda case: case.name,
)
def test_with_probes_and_trampolines(case: Case) -> None:
    trampolines = since.attach_type(AttachType.TRACE_FENTRY)
    if case.name in ("fentry", "fexit") and features.kernel_is_older_than(trampolines):
        pytest.skip(f"this machine has trampolines since {trampolines}")
    [result] = run_cases([case])
    assert result.outcome is Outcome.PASSED, result.remarks
