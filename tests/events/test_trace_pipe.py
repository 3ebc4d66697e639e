"""TracePipe: lines as the kernel prints them, from a real tracefs and from text."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from osmia import tracefs as tracefs_module
from osmia.errors import ClosedError, NotSupportedError
from osmia.events import TraceLine, TracePipe
from osmia.events.trace_pipe import parse
from osmia.isa import assemble
from osmia.kernel.programs.program import Program
from osmia.object.uapi import ProgramType


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """A trace file system of one's own place; the buffer behind it is the kernel's only one."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(tmp_path)
    if libc.mount(b"tracefs", place, b"tracefs", ctypes.c_ulong(0), None):
        pytest.fail(f"mount tracefs: {os.strerror(ctypes.get_errno())}")
    try:
        yield tmp_path
    finally:
        libc.umount(place)


@pytest.fixture
def printing(tracefs: Path) -> Iterator[Callable[[str], Callable[[int], None]]]:
    """Make programs that print "<text> N" with a number N from 0 to 255."""
    with ExitStack() as stack:

        def make(text: str) -> Callable[[int], None]:
            data = f"{text} %d".encode().ljust(24, b"\0")
            words = [int.from_bytes(data[at : at + 8], "little") for at in (0, 8, 16)]
            stores = "\n".join(
                f"r2 = {word:#x} ll\n*(u64 *)(r10 -{24 - 8 * index}) = r2"
                for index, word in enumerate(words)
            )
            code = assemble(
                f"""
                r3 = *(u32 *)(r1 +0)
                r4 = *(u32 *)(r1 +4)
                r5 = r3
                r5 += 1
                if r5 > r4 goto out
                r3 = *(u8 *)(r3 +0)
                {stores}
                r1 = r10
                r1 += -24
                r2 = 24
                call bpf_trace_printk
                out: r0 = 0
                exit
                """
            )
            program = Program.load(ProgramType.XDP, code, license="GPL", name="printing")
            stack.callback(program.close)

            def run(number: int) -> None:
                program.run(bytes([number]) + bytes(63))

            _see_first(run, tracefs / "trace_pipe")
            return run

        yield make


def _see_first(run: Callable[[int], None], path: Path) -> None:
    """Run until a message arrives: old kernels can lose those right after the first load."""
    with TracePipe(path=path) as pipe:
        for _ in range(100):
            run(0)
            if pipe.poll(0.1):
                return
    pytest.fail("no message arrived")


def _mine(lines: list[TraceLine], text: str) -> list[TraceLine]:
    """Others may print too: all share one pipe. And the first messages may come late."""
    return [line for line in lines if line.message.startswith(text) and line.message[-2:] != " 0"]


def _wait_for(pipe: TracePipe, text: str) -> list[TraceLine]:
    """The lines with this text, as soon as there are some."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pipe.poll(1)
        if found := _mine(pipe.read(), text):
            return found
    pytest.fail(f"{text!r} did not come")


@pytest.mark.kernel
@pytest.mark.one_at_a_time("trace-pipe")
def test_messages_come_with_who_and_when(
    tracefs: Path, printing: Callable[[str], Callable[[int], None]]
) -> None:
    run = printing("osmia says")
    with TracePipe(os.getpid(), path=tracefs / "trace_pipe") as pipe:
        run(7)
        (line,) = _wait_for(pipe, "osmia says")
    assert line.message == "osmia says 7"
    assert line.function == "bpf_trace_printk"
    assert line.pid == os.getpid()
    # The kernel knows names only of tasks that were switched to while it traced.
    assert line.task in ("<...>", Path("/proc/self/comm").read_text().rstrip("\n"))
    assert 0 <= line.cpu < (os.cpu_count() or 1)
    assert line.timestamp > 0


@pytest.mark.kernel
@pytest.mark.one_at_a_time("trace-pipe")
def test_iteration_waits_and_ends_after_the_timeout(
    tracefs: Path, printing: Callable[[str], Callable[[int], None]]
) -> None:
    run = printing("osmia waits")

    def later() -> None:
        time.sleep(0.05)
        run(1)
        run(2)

    with TracePipe(path=tracefs / "trace_pipe") as pipe:
        thread = threading.Thread(target=later)
        thread.start()
        try:
            lines = list(pipe.iterate(timeout=1))
        finally:
            thread.join()
    found = [line.message for line in _mine(lines, "osmia waits")]
    assert found == ["osmia waits 1", "osmia waits 2"]


@pytest.mark.kernel
@pytest.mark.one_at_a_time("trace-pipe")
def test_messages_of_other_threads_can_be_left_out(
    tracefs: Path, printing: Callable[[str], Callable[[int], None]]
) -> None:
    run = printing("osmia thread")
    with TracePipe(os.getpid(), path=tracefs / "trace_pipe") as pipe:
        thread = threading.Thread(target=run, args=[1])
        thread.start()
        thread.join()
        run(2)
        (line,) = _wait_for(pipe, "osmia thread")
    assert line.message == "osmia thread 2"


@pytest.mark.kernel
@pytest.mark.one_at_a_time("trace-pipe")
def test_a_closed_pipe_refuses(tracefs: Path) -> None:
    pipe = TracePipe(path=tracefs / "trace_pipe")
    pipe.close()
    for use in (pipe.read, pipe.fileno, lambda: next(iter(pipe))):
        with pytest.raises(ClosedError):
            use()


def test_without_tracefs_it_says_what_to_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracefs_module, "PLACES", (tmp_path / "tracing",))
    tracefs_module.tracefs.cache_clear()
    with pytest.raises(NotSupportedError, match=f"mount -t tracefs tracefs {tmp_path}/tracing"):
        TracePipe()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "           <...>-1234    [003] d..21  5678.901234: bpf_trace_printk: hello\n",
            TraceLine("<...>", 1234, 3, "d..21", 5678.901234, "bpf_trace_printk", "hello"),
        ),
        (
            "  a b-c: [0] 1-77      (     12) [000] ...1.     0.000001: bpf_trace_printk: x: [1]\n",
            TraceLine("a b-c: [0] 1", 77, 0, "...1.", 0.000001, "bpf_trace_printk", "x: [1]"),
        ),
        (
            "          <idle>-0       (-------) [127] dNh3. 99999.5: bpf_trace_printk: \n",
            TraceLine("<idle>", 0, 127, "dNh3.", 99999.5, "bpf_trace_printk", ""),
        ),
    ],
)
def test_lines_are_taken_apart(text: str, expected: TraceLine) -> None:
    assert parse(text) == ([expected], 0)


def test_a_message_may_have_several_lines() -> None:
    begin = "  a-1  [000] d..2.  1.0: bpf_trace_printk: "
    lines, _ = parse(f"{begin}one\ntwo\n\n{begin}three\n\n")
    assert [line.message for line in lines] == ["one\ntwo", "three"]


def test_lost_messages_are_counted() -> None:
    line = "  a-1  [000] d..2.  1.0: bpf_trace_printk: x\n"
    lines, lost = parse(f"CPU:1 [LOST 5 EVENTS]\n{line}CPU:0 [LOST 2 EVENTS]\n{line}")
    assert (len(lines), lost) == (2, 7)
