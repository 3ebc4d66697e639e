"""Programs in the kernel's and other programs' code: tracepoints, probes, iterators, perf."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia.btf import Kind, kernel_btf
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links import (
    LinkGroup,
    SoftwareEvent,
    SymbolNotFoundError,
    attach_iterator,
    attach_perf_event,
    attach_raw_tracepoint,
    attach_tracepoint,
    attach_uprobe,
    attach_uprobe_multi,
)
from osmia.kernel.links.symbols import find_binary, function_offset, matching_functions
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object import model
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType

from ..conftest import Counter

pytestmark = pytest.mark.kernel

Make = Callable[..., KernelProgram]
libc = ctypes.CDLL(None)


def call_getppid(times: int = 1) -> None:
    for _ in range(times):
        libc.getppid()


def test_a_tracepoint_counts_what_it_traces(counting: Make, counter: Counter) -> None:
    with attach_tracepoint(counting(ProgramType.TRACEPOINT), "sched", "sched_process_fork") as link:
        for _ in range(3):
            subprocess.run(["true"], check=True)
        assert counter.value >= 3
        assert link.info.type is LinkType.PERF_EVENT
        if not features.kernel_is_older_than("6.6"):
            assert link.info.details["name"] == "sched_process_fork"
    before = counter.value
    subprocess.run(["true"], check=True)
    assert counter.value == before


def test_a_tracepoint_has_a_cookie(counting: Make) -> None:
    program = counting(ProgramType.TRACEPOINT)
    with program.attach("sched:sched_process_fork", cookie=77) as link:
        if not features.kernel_is_older_than("6.9"):
            assert link.info.details["cookie"] == 77


def test_a_tracepoint_that_does_not_exist_is_named(counting: Make) -> None:
    with pytest.raises(NotSupportedError, match="no tracepoint sched:nothing"):
        counting(ProgramType.TRACEPOINT).attach("sched:nothing")


@pytest.mark.parametrize("name", ["nope", ":nope", "nope:"])
def test_a_tracepoint_has_two_names(name: str, counting: Make) -> None:
    with pytest.raises(ValueError, match=f"a tracepoint is 'category:name', not '{name}'"):
        counting(ProgramType.TRACEPOINT).attach(name)


def test_words_that_no_cgroup_knows_are_refused(counting: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"legacy is one of 'exclusive', .*, not True"):
        counting(ProgramType.CGROUP_SKB).attach(
            tmp_path,
            attach_type=AttachType.CGROUP_INET_INGRESS,
            legacy=True,  # type: ignore[arg-type]
        )
    with pytest.raises(ValueError, match=r"cgroup_order is one of self_only, .*; not 'sideways'"):
        program = counting(ProgramType.RAW_TRACEPOINT)
        attach_iterator(program, cgroup=tmp_path, cgroup_order="sideways")


def test_a_raw_tracepoint_counts(counting: Make, counter: Counter) -> None:
    with attach_raw_tracepoint(counting(ProgramType.RAW_TRACEPOINT), "sched_process_fork") as link:
        subprocess.run(["true"], check=True)
        assert counter.value >= 1
        assert link.info.type is LinkType.RAW_TRACEPOINT
        assert link.info.details["name"] == "sched_process_fork"


def test_a_raw_tracepoint_that_does_not_exist_is_named(counting: Make) -> None:
    with pytest.raises(KernelError, match="there is no tracepoint 'nothing'"):
        counting(ProgramType.RAW_TRACEPOINT).attach("nothing")


def test_a_btf_tracepoint_counts(counting: Make, counter: Counter) -> None:
    target = kernel_btf().find("btf_trace_sched_process_fork", Kind.TYPEDEF)
    program = counting(ProgramType.TRACING, 0, AttachType.TRACE_RAW_TP, attach_btf_id=target)
    with program.attach() as link:
        subprocess.run(["true"], check=True)
        assert counter.value >= 1
        assert link.info.type is LinkType.RAW_TRACEPOINT


def test_tracing_links_cannot_be_updated(counting: Make) -> None:
    program = counting(ProgramType.RAW_TRACEPOINT)
    with (
        program.attach("sched_process_fork") as link,
        pytest.raises(NotSupportedError, match="cannot update"),
    ):
        link.update(program)


def test_a_uprobe_counts_calls_of_a_library_function(counting: Make, counter: Counter) -> None:
    with attach_uprobe(counting(ProgramType.KPROBE), "libc", "getppid", pid=os.getpid()) as link:
        call_getppid(4)
        assert counter.value == 4
        assert link.info.type is LinkType.PERF_EVENT
    call_getppid()
    assert counter.value == 4


def test_a_uretprobe_counts_returns(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.KPROBE)
    with program.attach(("libc", "getppid"), return_probe=True, pid=os.getpid()):
        call_getppid(2)
    assert counter.value == 2


def test_a_uprobe_of_another_process_is_not_counted(counting: Make, counter: Counter) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with attach_uprobe(counting(ProgramType.KPROBE), "libc", "getppid", pid=child.pid):
            call_getppid(3)
        child.communicate(b"\n")
    assert counter.value == 0


def test_a_uprobe_by_offset_is_the_same_place(counting: Make, counter: Counter) -> None:
    path = find_binary("libc")
    offset = function_offset(path, "getppid")
    with attach_uprobe(counting(ProgramType.KPROBE), path, offset=offset, pid=os.getpid()):
        call_getppid()
    assert counter.value == 1


def test_a_uprobe_in_all_processes(counting: Make, counter: Counter) -> None:
    with attach_uprobe(counting(ProgramType.KPROBE), "libc", "getppid"):
        script = "import os; [os.getppid() for _ in range(7)]"
        subprocess.run([sys.executable, "-c", script], check=True)
    assert counter.value >= 7


def test_the_section_tells_what_to_probe(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.KPROBE)
    program.definition = model.Program(
        name="p",
        function="p",
        section="uretprobe/libc:getppid",
        type=ProgramType.KPROBE,
        attach_to="libc:getppid",
    )
    with program.attach(pid=os.getpid()):
        call_getppid(5)
    assert counter.value == 5


def test_a_function_that_a_file_lacks_is_named(counting: Make) -> None:
    with pytest.raises(SymbolNotFoundError, match="no function 'no_such_function'"):
        counting(ProgramType.KPROBE).attach("libc:no_such_function")


@pytest.mark.parametrize("section", ["uprobe", "uretprobe//bin/true", "uprobe.multi//bin/true"])
def test_without_a_function_nothing_is_attached(counting: Make, section: str) -> None:
    multi = AttachType.TRACE_UPROBE_MULTI if "multi" in section else None
    if multi and not features.has_attach_type(multi):
        pytest.skip("needs Linux 6.6")
    program = counting(ProgramType.KPROBE, 0, multi) if multi else counting(ProgramType.KPROBE)
    said = section.partition("/")[2]
    program.definition = model.Program("p", "p", section, ProgramType.KPROBE, attach_to=said)
    with pytest.raises(ValueError, match="function"):
        program.attach(None if said else "libc:")


def test_a_library_that_does_not_exist_is_named() -> None:
    with pytest.raises(SymbolNotFoundError, match="no library or program is called 'libnope'"):
        find_binary("libnope")


def test_libraries_and_programs_are_found_by_name() -> None:
    assert find_binary("libc").samefile(find_binary("libc.so.6"))
    assert find_binary("c").samefile(find_binary("libc"))
    assert find_binary("sh").samefile("/bin/sh")
    assert find_binary("libc", pid=os.getpid()).exists()


def test_offsets_inside_of_functions_count_from_their_start() -> None:
    path = find_binary("libc")
    assert function_offset(path, "getppid+0x4") == function_offset(path, "getppid") + 4
    assert function_offset(path, "getppid+4") == function_offset(path, "getppid") + 4


def test_uprobe_multi_attaches_to_all_matches(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.KPROBE, 0, AttachType.TRACE_UPROBE_MULTI)
    if not features.has_attach_type(AttachType.TRACE_UPROBE_MULTI):
        pytest.skip("needs Linux 6.6")
    with attach_uprobe_multi(
        program, "libc", ["getppid", "getpgrp"], pid=os.getpid(), cookies=[1, 2]
    ) as link:
        libc.getppid()
        libc.getpgrp()
        libc.getuid()
        assert counter.value == 2
        assert link.info.type is LinkType.UPROBE_MULTI
        assert link.info.details["count"] == 2
        assert link.info.details["cookies"] == (1, 2)
        assert Path(link.info.details["path"]).samefile(find_binary("libc"))


def test_uprobe_multi_takes_a_pattern(counting: Make, counter: Counter) -> None:
    if not features.has_attach_type(AttachType.TRACE_UPROBE_MULTI):
        pytest.skip("needs Linux 6.6")
    program = counting(ProgramType.KPROBE, 0, AttachType.TRACE_UPROBE_MULTI)
    assert [each.name for each in matching_functions(find_binary("libc"), "getpp*")] == ["getppid"]
    with program.attach("libc:getpp*", pid=os.getpid()):
        call_getppid(3)
    assert counter.value == 3


def test_as_many_cookies_as_functions(counting: Make) -> None:
    program = counting(ProgramType.KPROBE, 0, AttachType.TRACE_UPROBE_MULTI)
    with pytest.raises(ValueError, match="1 cookies for 2 functions"):
        attach_uprobe_multi(program, "libc", ["getppid", "getpgrp"], cookies=[1])


def test_a_clock_runs_the_program_while_this_process_computes(
    counting: Make, counter: Counter
) -> None:
    program = counting(ProgramType.PERF_EVENT)
    with attach_perf_event(program, SoftwareEvent.CPU_CLOCK, frequency=1000, pid=0):
        deadline = time.monotonic() + 20
        while counter.value < 3 and time.monotonic() < deadline:
            sum(range(10_000))
    assert counter.value >= 3


def test_a_perf_event_runs_on_every_cpu(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.PERF_EVENT)
    with program.attach(SoftwareEvent.CPU_CLOCK, period=1_000_000) as link:
        if os.cpu_count() != 1:
            assert isinstance(link, LinkGroup)
            assert len(link.links) == os.cpu_count()
        deadline = time.monotonic() + 20
        while counter.value < 3 and time.monotonic() < deadline:
            sum(range(10_000))
    assert counter.value >= 3


def test_an_attachment_that_fails_halfway_is_undone(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.PERF_EVENT)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(KernelError):
        attach_perf_event(program, SoftwareEvent.CPU_CLOCK, period=100_000, cpus=[0, 100_000])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    counter.reset()
    deadline = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        sum(range(10_000))
    assert counter.value == 0


def test_either_period_or_frequency(counting: Make) -> None:
    with pytest.raises(ValueError, match="either a period or a frequency"):
        attach_perf_event(counting(ProgramType.PERF_EVENT), SoftwareEvent.CPU_CLOCK)


def test_a_perf_event_on_no_cpu_is_refused(counting: Make) -> None:
    program = counting(ProgramType.PERF_EVENT)
    with pytest.raises(ValueError, match="no CPU to attach to"):
        attach_perf_event(program, SoftwareEvent.CPU_CLOCK, period=100_000, cpus=[])


def instructions(*slots: tuple[int, int, int, int, int]) -> bytes:
    return b"".join(
        struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)
        for opcode, dst, src, offset, imm in slots
    )


#: Writes "x\n" for each object: bpf_seq_write(ctx->meta->seq, "x\n", 2).
PRINT_X = instructions(
    (0x79, 1, 1, 0, 0),  # r1 = ctx->meta
    (0x79, 1, 1, 0, 0),  # r1 = meta->seq
    (0xB7, 3, 0, 0, int.from_bytes(b"x\n", "little")),
    (0x7B, 10, 3, -8, 0),
    (0xBF, 2, 10, 0, 0),
    (0x07, 2, 0, 0, -8),
    (0xB7, 3, 0, 0, 2),
    (0x85, 0, 0, 0, 127),
    (0xB7, 0, 0, 0, 0),
    (0x95, 0, 0, 0, 0),
)


@pytest.fixture
def iterator() -> Iterator[Callable[[str], KernelProgram]]:
    made: list[KernelProgram] = []

    def make(name: str) -> KernelProgram:
        program = KernelProgram.load(
            ProgramType.TRACING,
            PRINT_X,
            license="GPL",
            name=f"print_{name}",
            expected_attach_type=AttachType.TRACE_ITER,
            attach_btf_id=kernel_btf().find(f"bpf_iter_{name}", Kind.FUNC),
        )
        made.append(program)
        return program

    yield make
    for program in made:
        program.close()


def test_an_iterator_prints_a_line_for_each_object(
    iterator: Callable[[str], KernelProgram],
) -> None:
    link: Any
    with iterator("task").attach() as link:
        lines = list(link)
        assert set(lines) == {"x"}
        assert len(lines) >= len([p for p in Path("/proc").iterdir() if p.name.isdigit()]) // 2
        assert link.read().startswith("x\nx\n")
        assert link.info.details["name"] == "task"


def test_a_map_iterator_goes_over_one_map(iterator: Callable[[str], KernelProgram]) -> None:
    made = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=5)
    link: Any
    with FileDescriptor(made, "map") as fd, iterator("bpf_map_elem").attach(fd) as link:
        # one call for each element, and one at the end
        assert link.read_bytes() == b"x\n" * 6
        assert link.info.details["map_id"] > 0


def test_a_task_iterator_is_about_one_thread(iterator: Callable[[str], KernelProgram]) -> None:
    with attach_iterator(iterator("task"), tid=os.getpid()) as link:
        assert len(list(link)) == 2  # itself, and one at the end
        assert link.info.details["tid"] == os.getpid()


def test_a_cgroup_iterator_starts_somewhere(iterator: Callable[[str], KernelProgram]) -> None:
    root = next(
        line.split()[1]
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[2] == "cgroup2"
    )
    with attach_iterator(iterator("cgroup"), cgroup=root, cgroup_order="self_only") as link:
        assert len(list(link)) == 2
        assert link.info.details["order"] == 1


def test_children_of_a_cgroup_or_why_not(iterator: Callable[[str], KernelProgram]) -> None:
    root = next(
        line.split()[1]
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[2] == "cgroup2"
    )
    try:
        with attach_iterator(iterator("cgroup"), cgroup=root, cgroup_order="children") as link:
            assert link.info.details["order"] == 5
    except NotSupportedError as error:
        assert "no such iterators" in str(error)
        assert error.since
        assert features.kernel_is_older_than(error.since)


def test_an_iterator_link_can_be_pinned_and_read_as_a_file(
    iterator: Callable[[str], KernelProgram], bpffs: Path
) -> None:
    with iterator("task").attach() as link:
        link.pin(bpffs / "tasks")
    assert (bpffs / "tasks").read_text().startswith("x\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ProgramType.SYSCALL, "not attached but run"),
        (ProgramType.SCHED_ACT, "use a classifier"),
        (ProgramType.LWT_IN, "ip route"),
    ],
)
def test_programs_without_attachment_say_what_to_do(
    kind: ProgramType, words: str, returning: Make
) -> None:
    flags = 16 if kind is ProgramType.SYSCALL else 0
    with pytest.raises(NotSupportedError, match=words):
        returning(kind, 0, flags=flags).attach()


def test_lirc_programs_are_refused_in_words(returning: Make) -> None:
    program = returning(ProgramType.SOCKET_FILTER, 0)
    program.type = ProgramType.LIRC_MODE2
    with pytest.raises(NotSupportedError, match="infrared"):
        program.attach()


def test_kprobes_are_refused_in_words_where_the_kernel_has_none(returning: Make) -> None:
    if Path("/sys/bus/event_source/devices/kprobe").exists():
        pytest.skip("this kernel has kprobes")
    program = returning(ProgramType.KPROBE, 0)
    with pytest.raises(NotSupportedError, match="built or configured without"):
        program.attach("do_exit")


def test_kprobe_multi_is_refused_in_words_where_the_kernel_has_none(returning: Make) -> None:
    if features.has_attach_type(AttachType.TRACE_KPROBE_MULTI):
        pytest.skip("this kernel has kprobe.multi")
    program = returning(ProgramType.KPROBE, 0, AttachType.TRACE_KPROBE_MULTI)
    with pytest.raises(NotSupportedError, match=r"kprobe\.multi"):
        program.attach(["do_exit"])
