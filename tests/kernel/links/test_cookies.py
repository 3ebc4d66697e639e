"""What `attach(cookie=…)` says is what `bpf_get_attach_cookie` gives, hook by hook."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

import osmia
from osmia.kernel.links import SoftwareEvent, syscall_function
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.probes import features
from osmia.object.uapi import AttachType

from ..conftest import skip_without_trampolines

pytestmark = pytest.mark.kernel

COOKIE = 0xC00C_1E00_0000_0001
GETPGID = syscall_function("getpgid")
libc = ctypes.CDLL(None)

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 cookie, calls, sum;
int only;

static int note(void *ctx)
{
    if (only && bpf_get_current_pid_tgid() >> 32 != only)
        return 0;
    cookie = bpf_get_attach_cookie(ctx);
    sum += cookie;
    calls++;
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


def program(section: str) -> str:
    return f'{HEAD}\nSEC("{section}") int noting(void *ctx) {{ return note(ctx); }}\n'


Load = Callable[[str], KernelObject]


@pytest.fixture
def load() -> Iterator[Load]:
    loaded: list[KernelObject] = []

    def make(section: str) -> KernelObject:
        bpf = osmia.compile(program(section), vmlinux=False).load()
        loaded.append(bpf)
        bpf.data.only = os.getpid()
        return bpf

    yield make
    for bpf in loaded:
        bpf.close()


@pytest.mark.parametrize("section", ["uprobe", "uretprobe"])
def test_uprobes(load: Load, section: str) -> None:
    bpf = load(section)
    with bpf.programs["noting"].attach("libc:getppid", cookie=COOKIE, pid=os.getpid()):
        libc.getppid()
    assert (bpf.data.cookie, bpf.data.calls) == (COOKIE, 1)


def needs_attach_type(attach_type: AttachType) -> None:
    if not features.has_attach_type(attach_type):
        pytest.skip(f"this kernel has no {attach_type.name}")


@pytest.mark.parametrize("section", ["uprobe.multi", "uretprobe.multi"])
def test_each_function_of_a_multi_uprobe_has_its_own(load: Load, section: str) -> None:
    needs_attach_type(AttachType.TRACE_UPROBE_MULTI)
    bpf = load(section)
    with bpf.programs["noting"].attach(
        ("libc", ["getppid", "getpgrp"]), cookies=[COOKIE, 7], pid=os.getpid()
    ):
        libc.getppid()
        assert bpf.data.cookie == COOKIE
        libc.getpgrp()
        assert bpf.data.cookie == 7


def test_one_cookie_for_all_functions_of_a_multi_uprobe(load: Load) -> None:
    needs_attach_type(AttachType.TRACE_UPROBE_MULTI)
    bpf = load("uprobe.multi/libc:getp?id")
    with bpf.programs["noting"].attach(cookie=3, pid=os.getpid()):
        libc.getppid()
        libc.getpgid(0)
    assert (bpf.data.sum, bpf.data.calls) == (6, 2)


def test_a_session_sees_its_cookie_at_entry_and_return(load: Load) -> None:
    needs_attach_type(AttachType.TRACE_UPROBE_SESSION)
    bpf = load("uprobe.session/libc:getppid")
    with bpf.programs["noting"].attach(cookies=[5], pid=os.getpid()):
        libc.getppid()
    assert (bpf.data.cookie, bpf.data.calls) == (5, 2)


def test_either_one_cookie_or_a_list(load: Load) -> None:
    needs_attach_type(AttachType.TRACE_UPROBE_MULTI)
    bpf = load("uprobe.multi")
    with pytest.raises(ValueError, match="either one cookie"):
        bpf.programs["noting"].attach("libc:getppid", cookie=1, cookies=[1])


def test_tracepoints(load: Load) -> None:
    bpf = load("tp/sched/sched_process_fork")
    with bpf.programs["noting"].attach(cookie=COOKIE):
        subprocess.run(["true"], check=True)
    assert bpf.data.cookie == COOKIE


def test_perf_events(load: Load) -> None:
    bpf = load("perf_event")
    event = SoftwareEvent.CPU_CLOCK
    with bpf.programs["noting"].attach(event, frequency=1000, pid=0, cookie=COOKIE):
        deadline = time.monotonic() + 20
        while not bpf.data.calls and time.monotonic() < deadline:
            sum(range(10_000))
    assert bpf.data.cookie == COOKIE


@pytest.mark.parametrize("section", ["raw_tp/sched_process_fork", "tp_btf/sched_process_fork"])
def test_raw_tracepoints(load: Load, section: str) -> None:
    if features.kernel_is_older_than("6.10"):
        pytest.skip("needs Linux 6.10")
    bpf = load(section)
    with bpf.programs["noting"].attach(cookie=COOKIE):
        subprocess.run(["true"], check=True)
    assert bpf.data.cookie == COOKIE


def test_a_section_that_names_nothing_is_not_attached_by_itself(load: Load) -> None:
    for section in ("uprobe", "kprobe", "usdt", "tp", "raw_tp"):
        bpf = load(section)
        assert bpf.attach() == []


@pytest.mark.second_kernel
@pytest.mark.parametrize(
    ("section", "calls"),
    [
        (f"kprobe/{GETPGID}", 1),
        (f"kretprobe/{GETPGID}", 1),
        ("ksyscall/getpgid", 1),
        ("kretsyscall/getpgid", 1),
        (f"fentry/{GETPGID}", 1),
        (f"fexit/{GETPGID}", 1),
    ],
)
def test_probes_in_the_kernel(load: Load, section: str, calls: int) -> None:
    if section.startswith(("fentry", "fexit")):
        skip_without_trampolines()
    bpf = load(section)
    with bpf.programs["noting"].attach(cookie=COOKIE):
        libc.getpgid(0)
    assert (bpf.data.cookie, bpf.data.calls) == (COOKIE, calls)


@pytest.mark.second_kernel
@pytest.mark.parametrize("section", ["kprobe.multi", "kretprobe.multi"])
def test_each_function_of_a_multi_kprobe_has_its_own(load: Load, section: str) -> None:
    from osmia.errors import NotSupportedError

    bpf = load(section)
    functions = [GETPGID, syscall_function("getsid")]
    try:
        link = bpf.programs["noting"].attach(functions, cookies=[COOKIE, 7])
    except NotSupportedError as error:
        pytest.skip(str(error))
    with link:
        libc.getpgid(0)
        assert bpf.data.cookie == COOKIE
        libc.getsid(0)
        assert bpf.data.cookie == 7
