"""`--bpf-cov`: one report of a session, and its bar."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.coverage.kept import read_coverage

from .conftest import RunTests

PASSES = """
@pytest.mark.bpf("limit.bpf.c", engines="vm", data={"limit": 2})
def test_one(bpf):
    bpf.programs["ingress"].run(PACKET)

@pytest.mark.bpf("limit.bpf.c", engines="vm", data={"limit": 0})
def test_two(bpf):
    bpf.programs["ingress"].run(PACKET)
"""

UNCOUNTED = """
SOURCE = '''
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int calls SEC(".bss.cover"); /* the name of the counters' section */
SEC("xdp") int count(struct xdp_md *ctx)
{
	calls++;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
'''
@pytest.mark.bpf(SOURCE, engines="kernel")
def test_it_runs(bpf):
    bpf.programs["count"].run(PACKET)
    assert bpf.data["calls"] == 1
"""


def branches(pytester: Any, name: str = "all.info") -> tuple[int, int]:
    lines = (pytester.path / name).read_text().splitlines()
    found = [int(line[4:]) for line in lines if line.startswith(("BRF:", "BRH:"))]
    return found[0], found[1]


def test_the_tests_of_a_session_are_merged(run_tests: RunTests, pytester: pytest.Pytester) -> None:
    done = run_tests(PASSES, "--bpf-cov=all.info", "--bpf-cov=-")
    done.assert_outcomes(passed=2)
    both = branches(pytester)
    done.stdout.fnmatch_lines(["*coverage of BPF programs*", f"branches: *{both[1]} of {both[0]}*"])
    run_tests(PASSES, "-k", "one", "--bpf-cov=all.info").assert_outcomes(passed=1, deselected=1)
    assert branches(pytester)[1] < both[1] < both[0]


def test_workers_of_xdist_count_together(run_tests: RunTests, pytester: pytest.Pytester) -> None:
    run_tests(PASSES, "--bpf-cov=one.info").assert_outcomes(passed=2)
    run_tests(PASSES, "--bpf-cov=all.info", "-n", "2").assert_outcomes(passed=2)
    assert branches(pytester) == branches(pytester, "one.info")


def test_too_few_branches_fail_the_session(run_tests: RunTests) -> None:
    done = run_tests(PASSES, "--bpf-cov-fail-under=99")
    done.assert_outcomes(passed=2)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["FAIL: --bpf-cov-fail-under=99:*"])
    assert run_tests(PASSES, "--bpf-cov-fail-under=5").ret == pytest.ExitCode.OK


def test_a_file_of_no_format_is_refused_first(run_tests: RunTests) -> None:
    done = run_tests(PASSES, "--bpf-cov=all.bin")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*'all.bin' does not say a format*"])


@pytest.mark.kernel
def test_runs_in_the_kernel_count_as_those_in_a_vm(
    run_tests: RunTests, pytester: pytest.Pytester
) -> None:
    run_tests(PASSES, "--bpf-cov=vm.json").assert_outcomes(passed=2)
    run_tests(PASSES.replace('"vm"', '"kernel"'), "--bpf-cov=kernel.json").assert_outcomes(passed=2)
    run_tests(PASSES.replace('engines="vm", ', ""), "--bpf-cov=all.json").assert_outcomes(passed=4)
    in_vm, in_kernel, both = (
        {
            key: each.slots
            for key, each in read_coverage(pytester.path / f"{name}.json").functions.items()
            if key[0] == "ingress"
        }
        for name in ("vm", "kernel", "all")
    )
    assert in_vm == in_kernel
    ((key, slots),) = both.items()
    assert slots == {slot: 2 * count for slot, count in in_vm[key].items()}


@pytest.mark.kernel
def test_what_loads_without_counters_only_runs_and_is_said(run_tests: RunTests) -> None:
    done = run_tests(UNCOUNTED, "--bpf-cov=all.info")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["runs of * in engine 'kernel' are not counted"])
