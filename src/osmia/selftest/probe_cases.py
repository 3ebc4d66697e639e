"""Cases about hooks: the test does something itself, and a program sees it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

from osmia.errors import KernelError
from osmia.kernel.links import SoftwareEvent, SymbolNotFoundError
from osmia.selftest.runner import Case, Skip, Workbench

_SOURCE = "probes.bpf.c"
_COOKIE = 0xC00C1E
_TEST_RUN_ARGUMENT, _TEST_RUN_RESULT = 1, 2  # bpf_fentry_test1(1), in net/bpf/test_run.c
_M_MXFAST = 1


def _libc() -> Any:
    return ctypes.CDLL(None)


def _loaded(bench: Workbench, program: str) -> Any:
    try:
        bpf = bench.load(_SOURCE, program)
    except KernelError as error:
        raise Skip(f"this kernel does not load it: {str(error).splitlines()[0]}") from None
    bpf.data["only"] = os.getpid()
    return bpf


def _attached(bench: Workbench, program: Any, *target: Any, **options: Any) -> None:
    """Attach until the case is over; kernels without kprobes or trampolines skip the case."""
    try:
        bench.keep(program.attach(*target, **options))
    except KernelError as error:
        raise Skip(f"this kernel does not attach it: {str(error).splitlines()[0]}") from None


def _probe(
    program: str,
    target: tuple[Any, ...],
    action: Callable[[], object],
    *,
    calls: int = 1,
    value: int | None = None,
    cookies: bool = False,
    pid: bool = True,
) -> Callable[[Workbench], None]:
    """A check that a program, attached with a cookie, sees an action of this process."""

    def check(bench: Workbench) -> None:
        bpf = _loaded(bench, program)
        options: dict[str, Any] = {"cookies": [_COOKIE] * calls} if cookies else {}
        if not cookies:
            options["cookie"] = _COOKIE
        if pid:
            options["pid"] = os.getpid()
        _attached(bench, bpf.programs[program], *target, **options)
        action()
        bench.equal(bpf.data["calls"], calls, "how often the program ran")
        bench.equal(bpf.data["cookie"], _COOKIE, "the cookie that it saw")
        if value is not None:
            bench.equal(bpf.data["value"], value, "the argument or result that it saw")

    return check


def _call_getpgid() -> None:
    _libc().getpgid(0)


def _call_both() -> None:
    _libc().getppid()
    _libc().getpgid(0)


def _raw_tracepoint(bench: Workbench) -> None:
    bpf = _loaded(bench, "raw_tracepoint")
    bpf.data["value"] = {"x86_64": 121, "aarch64": 155}.get(os.uname().machine, -1)
    _attached(bench, bpf.programs["raw_tracepoint"])
    _call_getpgid()
    bench.equal(bpf.data["calls"], 1, "how often it saw getpgid")


def _trampoline(program: str, value: int) -> Callable[[Workbench], None]:
    def check(bench: Workbench) -> None:
        bpf = _loaded(bench, program)
        loaded = bpf.programs[program]
        _attached(bench, loaded)
        loaded.run()  # a test run of a tracing program calls the kernel's test functions
        bench.true(bpf.data["calls"] >= 1, "the program ran")
        bench.equal(bpf.data["value"], value, "the argument or result that it saw")

    return check


def _static_probe(bench: Workbench) -> None:
    bpf = _loaded(bench, "mark")
    options = {"provider": "libc", "name": "memory_mallopt", "pid": os.getpid()}
    try:
        _attached(bench, bpf.programs["mark"], "libc", cookie=_COOKIE, **options)
    except SymbolNotFoundError as error:
        raise Skip(f"this C library is built without static probes: {error}") from None
    _libc().mallopt(_M_MXFAST, 64)
    bench.equal(bpf.data["calls"], 1, "how often the probe fired")
    bench.equal(bpf.data["cookie"], _COOKIE, "the cookie that the program saw")
    bench.equal(bpf.data["value"], 64, "the second argument of mallopt")


def _clock(bench: Workbench) -> None:
    bpf = _loaded(bench, "clock")
    _attached(bench, bpf.programs["clock"], SoftwareEvent.CPU_CLOCK, frequency=1000, pid=0)
    deadline = time.monotonic() + 2
    while not bpf.data["calls"] and time.monotonic() < deadline:
        sum(range(10_000))
    bench.true(bpf.data["calls"], "a clock ran the program while this process computed")


_GETPPID = ("libc:getppid",)
_BOTH = (("libc", ["getppid", "getpgid"]),)


CASES = (
    Case(
        "uprobe",
        "a call of this process's C library",
        _probe("user", ("libc:getpgid",), _call_getpgid, value=0),
    ),
    Case(
        "uretprobe",
        "and its return",
        _probe("user_return", _GETPPID, lambda: _libc().getppid(), value=os.getppid()),
    ),
    Case(
        "uprobe-multi",
        "two functions, a cookie each (6.6)",
        _probe("users", _BOTH, _call_both, calls=2, cookies=True),
    ),
    Case(
        "uprobe-session",
        "entry and return in one (6.13)",
        _probe("session", _GETPPID, lambda: _libc().getppid(), calls=2),
    ),
    Case("usdt", "a static probe of the C library", _static_probe),
    Case("tracepoint", "a system call's", _probe("tracepoint", (), _call_getpgid, pid=False)),
    Case("raw-tracepoint", "with its raw arguments", _raw_tracepoint),
    Case(
        "ksyscall", "a system call by its name", _probe("system_call", (), _call_getpgid, pid=False)
    ),
    Case(
        "kretsyscall", "and its return", _probe("system_call_return", (), _call_getpgid, pid=False)
    ),
    Case(
        "kprobe-multi",
        "functions of the kernel (5.18)",
        _probe(
            "kernel_functions", (["__x64_sys_getpgid"],), _call_getpgid, cookies=True, pid=False
        ),
    ),
    Case(
        "fentry", "the entry of a kernel function (5.5)", _trampoline("entry", _TEST_RUN_ARGUMENT)
    ),
    Case("fexit", "its return (5.5)", _trampoline("leave", _TEST_RUN_RESULT)),
    Case("perf-event", "a clock's overflow", _clock),
)
