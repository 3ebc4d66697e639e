"""What a failed test's report tells of the programs that it ran."""

from __future__ import annotations

import pytest

from .conftest import RunTests


def test_it_shows_the_packet_the_lines_and_what_changed(run_tests: RunTests) -> None:
    done = run_tests(
        """
@pytest.mark.bpf("limit.bpf.c", engines="vm", data={"limit": 1})
def test_limit(bpf):
    bpf.programs["ingress"].run(PACKET)
    assert bpf.programs["ingress"].run(PACKET).verdict == "XDP_PASS"
"""
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*AssertionError: assert 'XDP_DROP' == 'XDP_PASS'",
            "*BPF: bpf, object 'limit'*",
            "run 2, program 'ingress', vm: XDP_DROP (retval 1)",
            "packet:",
            "  IPv4 10.0.0.1 > 0.0.0.0*",
            "lines that ran:",
            "*limit.bpf.c:",
            "*46  if (ethernet->h_proto != bpf_htons(ETH_P_IP))",
            "*35  return __sync_fetch_and_add(&known->packets, 1) >= limit;",
            "changed since it was loaded:",
            "  dropped: 0 → 1",
            "  sources[[]16777226] = {.packets = 2, *",
        ]
    )
    done.stdout.no_fnmatch_line("*29  first.packets = 1;")  # the first run's way


@pytest.mark.kernel
def test_of_a_kernel_it_shows_all_but_the_lines(run_tests: RunTests) -> None:
    done = run_tests(
        """
limiter = bpf_fixture("limit.bpf.c", engines="kernel", data={"limit": 0}, scope="module")

def test_limit(limiter):
    class Packet:
        def __bytes__(self):
            return PACKET

    assert limiter.programs["ingress"].run(Packet()).verdict == "XDP_PASS"
"""
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*BPF: limiter, object 'limit'*",
            "run 1, program 'ingress', kernel: XDP_DROP (retval 1)",
            "  IPv4 10.0.0.1 > 0.0.0.0*",
            "  dropped: 0 → 1",
        ]
    )
    done.stdout.no_fnmatch_line("lines that ran*")


def test_a_fault_and_a_compiled_run_are_reported_too(run_tests: RunTests) -> None:
    done = run_tests(
        """
pytestmark = pytest.mark.bpf("limit.bpf.c", engines="vm", autoload="careless")

def test_fault(bpf):
    bpf.programs["careless"].run(PACKET)

def test_hot(bpf):
    for _ in range(100):
        last = bpf.programs["ingress"].run(PACKET)
    assert last.verdict == "XDP_DROP"
"""
    )
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        [
            "run 1, program 'careless', vm: no result",
            "*return ((__u8 [*])(long)ctx->data)[[]100];",
            "run 100, program 'ingress', vm: XDP_PASS*",
            "lines that ran: not known*executor=*interpreter*",
            "  sources[[]16777226] = {.packets = 100, *",
        ]
    )


def test_tests_that_pass_or_have_no_program_say_nothing(run_tests: RunTests) -> None:
    done = run_tests(
        """
@pytest.mark.bpf("limit.bpf.c", engines="vm")
def test_passes(bpf):
    bpf.programs["ingress"].run(PACKET)

def test_other():
    assert False
"""
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.no_fnmatch_line("*BPF:*")
