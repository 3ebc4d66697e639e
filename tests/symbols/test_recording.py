"""Recordings of processes that these tests start: what runs, what waits, what comes by a probe."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from osmia.errors import NotSupportedError, OsmiaError
from osmia.kernel.probes import features
from osmia.kernel.sys.cpus import online_cpus
from osmia.object.uapi import ProgramType
from osmia.symbols.probe_sections import probe_definition
from osmia.symbols.recording import record_cpu, record_off_cpu, record_probe
from osmia.symbols.recording_filters import Filters
from osmia.symbols.stack_profile import StackProfile

pytestmark = pytest.mark.kernel

#: Runs in `spin`, called by `caller`, in one process, and waits in `waiting` in another.
SOURCE = """
#include <stdlib.h>
#include <unistd.h>
volatile unsigned long sink;
__attribute__((noinline)) void spin(void) { for (int i = 0; i < 1000000; i++) sink += i; }
__attribute__((noinline)) void caller(void) { spin(); sink++; }
__attribute__((noinline)) void waiting(void) { usleep(20000); sink++; }
int main(int argc, char **argv)
{
	if (argc > 2)
		for (int i = 0; i < 300; i++) spin();
	else if (argc > 1)
		for (;;) waiting();
	else
		for (;;) caller();
}
"""


@pytest.fixture(scope="module")
def spinner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("spinner")
    (directory / "spinner.c").write_text(SOURCE)
    program = directory / "spinner"
    options = ["-O0", "-g"]  # so that frames have pointers to each other
    subprocess.run(["gcc", *options, "-o", program, directory / "spinner.c"], check=True)
    return program


@contextmanager
def running(*command: str | Path) -> Iterator[int]:
    with subprocess.Popen(command) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def _values(profile: StackProfile, *names: str) -> int:
    """The values of stacks that have these functions, each called by the one before."""
    wanted = ";".join(names)
    lines = (line.rpartition(" ") for line in profile.folded().splitlines())
    return sum(int(value) for stack, _, value in lines if wanted in stack)


def test_what_runs_is_sampled(spinner: Path) -> None:
    with running(spinner) as pid:
        with record_cpu(499, filters=Filters(pid=pid)) as recording:
            recording.wait(1)
        profile = recording.profile()
    assert profile.total > 20
    assert _values(profile, "spinner") == profile.total
    assert _values(profile, "main", "caller", "spin") > 0.8 * profile.total
    inner = next(s.frames[0] for s in profile.samples if s.frames[0].name == "spin")
    assert inner.file.endswith("spinner.c")
    assert inner.line == 5
    assert profile.period_ns == 10**9 // 499
    assert 0.9e9 < profile.duration_ns < 20e9


def test_other_processes_and_cpus_are_left_out(spinner: Path) -> None:
    with running(spinner), running("sleep", "60") as sleeping:
        with record_cpu(199, filters=Filters(pid=sleeping)) as recording:
            recording.wait(0.5)
        assert recording.profile().total <= 1
        (first, *_) = online_cpus()
        with running("taskset", "-c", str(first), spinner) as pid:
            filters = Filters(pid=pid, cpus=frozenset({first}))
            with record_cpu(499, filters=filters) as recording:
                recording.wait(0.5)
            assert recording.profile().total > 0


@pytest.mark.alone  # a recorder that has no CPU cannot look at a process before it ends
def test_processes_that_end_meanwhile_have_names(spinner: Path) -> None:
    with record_cpu(499) as recording:
        with running(spinner, "a", "few") as pid:
            recording.wait(0.2)
            os.waitpid(pid, 0)
        recording.wait(0.1)
    profile = recording.profile()
    assert not Path(f"/proc/{pid}").exists()
    assert _values(profile, "spinner;") > 20
    assert _values(profile, "main", "spin") > 0.8 * _values(profile, "spinner;")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group of its own, with one in it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    root = next((m.split()[4] for m in mounts if " - cgroup2 " in m), None)
    if root is None:
        pytest.skip("cgroup v2 is not mounted")
    path = Path(tempfile.mkdtemp(prefix="osmia-stacks-", dir=root))
    inner = path / "inner"
    inner.mkdir()
    try:
        yield path
    finally:
        inner.rmdir()
        path.rmdir()


def test_a_cgroup_has_what_is_below_it(spinner: Path, cgroup: Path) -> None:
    enter = f"echo $$ > {cgroup}/inner/cgroup.procs && exec {spinner}"
    with running(spinner), running("sh", "-c", enter):
        with record_cpu(499, filters=Filters(cgroup=str(cgroup))) as recording:
            recording.wait(1)
        profile = recording.profile()
        assert _values(profile, "spinner") > 20
        assert _values(profile, "spinner") > 0.9 * profile.total
        with record_cpu(499, filters=Filters(cgroup=str(cgroup / "inner"))) as recording:
            recording.wait(0.5)
        assert recording.profile().total > 0
    with pytest.raises(OsmiaError, match="no control group"):
        record_cpu(filters=Filters(cgroup="/tmp"))
    with pytest.raises(OsmiaError, match="there is no control group"):
        record_cpu(filters=Filters(cgroup=str(cgroup / "missing")))


def test_what_waits_is_summed_up(spinner: Path) -> None:
    with running(spinner, "wait") as pid:
        with record_off_cpu(filters=Filters(pid=pid)) as recording:
            recording.wait(1)
        profile = recording.profile()
    assert profile.unit == "ns"
    assert 0.5e9 < profile.total < 1.5 * profile.duration_ns
    assert _values(profile, "__schedule") > 0
    # usleep has no frame pointer of its own: its caller's caller is what is sure to be there.
    assert _values(profile, "main") > 0.8 * profile.total


def test_stacks_at_a_tracepoint_are_counted(spinner: Path) -> None:
    with running(spinner, "wait") as pid:
        probe = "tracepoint:sched:sched_switch"
        with record_probe(probe, filters=Filters(pid=pid)) as recording:
            recording.wait(1)
        profile = recording.profile()
    assert 10 < profile.total < 500
    assert _values(profile, "__schedule") == profile.total


def test_stacks_at_a_function_of_a_program_are_counted(spinner: Path) -> None:
    with running(spinner) as pid:
        filters = Filters(pid=pid)
        try:
            recording = record_probe(f"uprobe:{spinner}:spin", filters=filters)
        except NotSupportedError as error:
            pytest.skip(str(error))
        with recording:
            recording.wait(0.5)
        profile = recording.profile()
    assert profile.total > 10
    assert all(sample.frames[0].name == "spin" for sample in profile.samples)


@pytest.mark.second_kernel
def test_stacks_at_a_kernel_function_are_counted() -> None:
    with record_probe("kprobe:vfs_read", filters=Filters(pid=os.getpid())) as recording:
        for _ in range(50):
            Path("/proc/self/comm").read_bytes()
    profile = recording.profile()
    assert profile.total >= 50
    assert all(sample.frames[0].name == "vfs_read" for sample in profile.samples)


@pytest.mark.second_kernel
def test_cpus_are_sampled_on_other_kernels(spinner: Path) -> None:
    assert features.has_program_type(ProgramType.PERF_EVENT)
    with running(spinner) as pid:
        with record_cpu(99, filters=Filters(pid=pid)) as recording:
            recording.wait(2)
        profile = recording.profile()
        assert _values(profile, "main", "caller", "spin") > 10
        with record_off_cpu() as recording:
            recording.wait(1)
        assert recording.profile().total > 0


def test_a_recording_that_cannot_begin_leaves_nothing() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(NotSupportedError, match="no tracepoint"):
        record_probe("tracepoint:sched:no_such_thing")
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_probes_are_what_sections_name() -> None:
    program = probe_definition("uprobe:/bin/bash:readline")
    assert (program.section, program.attach_to) == (
        "uprobe//bin/bash:readline",
        "/bin/bash:readline",
    )
    assert probe_definition("kprobe/vfs_read").attach_to == "vfs_read"
    for wrong in ("", "kprobe", "kprobe:", "xdp", "fentry:vfs_read", "usdt:x", "what:ever"):
        with pytest.raises(ValueError, match="is no probe"):
            probe_definition(wrong)


def test_filters_say_whose() -> None:
    assert str(Filters()) == ""
    assert re.fullmatch(r"process 3, CPUs 1, 2", str(Filters(pid=3, cpus={2, 1})))


def test_this_process_may_be_recorded_too() -> None:
    with record_cpu(499, filters=Filters(pid=os.getpid())) as recording:
        sum(range(10**7))
    profile = recording.profile()
    assert profile.total > 0
    assert {sample.process for sample in profile.samples} == {
        Path("/proc/self/comm").read_text().strip()
    }
