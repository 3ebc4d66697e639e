"""Counters around the runs of a program."""

from __future__ import annotations

import errno

import pytest

import osmia
from osmia.errors import KernelError, NotSupportedError, OsmiaError
from osmia.isa import assemble
from osmia.kernel.inventory import profile as profile_module
from osmia.kernel.inventory.profile import METRICS, Profile
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import perf_events
from osmia.object.uapi import AttachType, ProgramType
from osmia.toolchain.objects import compile_object

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("xdp") int packet(struct xdp_md *ctx) { return XDP_PASS; }
"""


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return compile_object(SOURCE)


def test_metrics_are_those_that_are_known(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        for wrong in (["colour"], []):
            with pytest.raises(ValueError, match="is no metric"):
                Profile(bpf.programs["packet"], wrong)


def test_what_this_machine_lacks_is_named(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        for metric in METRICS:
            try:
                with Profile(bpf.programs["packet"], [metric]) as profile:
                    assert profile.read()[0] == 0
            except NotSupportedError as error:
                assert metric in str(error) or "TRACE_F" in str(error)


def test_a_machine_without_a_pmu_says_so(
    obj: osmia.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_module, "_has_pmu", lambda: False)

    def refused(attribute: object, **_: object) -> int:
        raise KernelError(errno.ENOENT, "count")

    monkeypatch.setattr(perf_events, "perf_event_open", refused)
    with obj.load() as bpf:
        with pytest.raises(NotSupportedError, match=r"counter of cycles: its kernel knows no PMU"):
            Profile(bpf.programs["packet"], ["cycles"])
        with pytest.raises(NotSupportedError, match=r"counter of cpu_clock$"):
            Profile(bpf.programs["packet"], ["cpu_clock"])


@pytest.mark.second_kernel
def test_every_run_is_counted(obj: osmia.Object) -> None:
    assert features.has_attach_type(AttachType.TRACE_FENTRY)
    with obj.load() as bpf:
        program = bpf.programs["packet"]
        program.run(bytes(64))
        with Profile(program, ["cpu_clock", "task_clock"]) as profile:
            program.run(bytes(64), repeat=1000)
            runs, counted = profile.read()
        program.run(bytes(64))
        assert runs == 1000
        for clock in counted.values():
            assert 0 < clock.counted < 10**9
            assert 0 < clock.running_ns <= clock.enabled_ns
        bare = KernelProgram.load(ProgramType.XDP, assemble("r0 = 2\nexit"))
        with bare, pytest.raises(OsmiaError, match="without types"):
            Profile(bare, ["cpu_clock"])
