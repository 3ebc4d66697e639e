"""Time, random numbers and the CPU's number are what the test says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import osmia
from osmia.testing import Machine
from osmia.testing.machine import START
from osmia.vm.errors import ProgramFault

from .conftest import RunTests

PROGRAMS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 now, jiffies;
__u32 number, cpu;

SEC("xdp") int looks(struct xdp_md *ctx)
{
	now = bpf_ktime_get_ns();
	jiffies = bpf_jiffies64();
	number = bpf_get_prandom_u32();
	cpu = bpf_get_smp_processor_id();
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def bpf() -> Iterator[osmia.LoadedObject]:
    with osmia.compile(PROGRAMS).load(engine="vm") as loaded:
        yield loaded


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_programs_see_what_was_set(bpf: osmia.LoadedObject, executor: str) -> None:
    machine = Machine(bpf)
    machine.random, machine.cpu = [5, 6], 9
    seen = []
    for _ in range(2):
        bpf.programs["looks"].run(bytes(64), executor=executor)  # type: ignore[call-arg]
        seen.append(tuple(bpf.data[name] for name in ("now", "jiffies", "number", "cpu")))
        machine.advance(1.5)
    later = START + 1_500_000_000
    assert seen == [(START, START // 4_000_000, 5, 9), (later, later // 4_000_000, 6, 9)]


def test_random_numbers_are_the_same_each_time(bpf: osmia.LoadedObject) -> None:
    def numbers() -> list[int]:
        Machine(bpf)
        return [bpf.data["number"] for _ in range(4) if bpf.programs["looks"].run(bytes(64))]

    first = numbers()
    assert first == numbers() and len(set(first)) == 4


def test_when_random_numbers_end_the_run_ends(bpf: osmia.LoadedObject) -> None:
    Machine(bpf).random = []
    with pytest.raises(ProgramFault, match="no more random numbers"):
        bpf.programs["looks"].run(bytes(64))


def test_time_does_not_go_back(bpf: osmia.LoadedObject) -> None:
    with pytest.raises(ValueError, match="not back: -1 seconds"):
        Machine(bpf).advance(-1)


@pytest.mark.kernel
def test_the_kernel_has_its_own_and_the_test_is_skipped(run_tests: RunTests) -> None:
    done = run_tests(
        """
@pytest.mark.bpf("limit.bpf.c", data={"limit": 2})
def test_time(bpf, bpf_machine):
    bpf_machine.time = 77
    bpf.programs["ingress"].run(PACKET)
    assert bpf.maps["sources"][SOURCE].last == 77
""",
        "-rs",
    )
    done.assert_outcomes(passed=1, skipped=1)
    done.stdout.fnmatch_lines(["*engine 'kernel': time and CPU are the machine's own*"])
