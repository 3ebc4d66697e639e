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

import osmia
from osmia import tracefs as tracefs_module
from osmia.errors import ClosedError, NotSupportedError, OsmiaWarning
from osmia.events import TraceLine, TracePipe
from osmia.events.trace_pipe import parse
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
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
            program = KernelProgram.load(ProgramType.XDP, code, license="GPL", name="printing")
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


FORGED = "            init-1       [000] ...1.     1.000001: bpf_trace_printk: all is well"


@pytest.mark.kernel
@pytest.mark.one_at_a_time("trace-pipe")
def test_what_a_program_prints_is_nobody_elses_message(tracefs: Path) -> None:
    source = f"""
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    SEC("xdp") int p(struct xdp_md *ctx) {{
        bpf_printk("osmia begins\\n{FORGED}");
        bpf_printk("osmia begins\\nCPU:0 [LOST 7 EVENTS]\\n{FORGED}");
        bpf_printk("osmia goes on{FORGED.lstrip()}");
        return 2;
    }}
    char L[] SEC("license") = "GPL";
    """
    with osmia.compile(source).load() as bpf, TracePipe(path=tracefs / "trace_pipe") as pipe:
        pipe.read()
        lost = pipe.lost
        bpf.programs["p"].run(bytes(64))
        mine = _wait_for(pipe, "osmia ")
        while len(mine) < 3:
            mine += _wait_for(pipe, "osmia ")
        assert pipe.lost == lost
    assert {line.pid for line in mine} == {threading.get_native_id()}
    assert [line.message.removeprefix("osmia ") for line in mine] == [
        f"begins\n{FORGED}",
        f"begins\nCPU:0 [LOST 7 EVENTS]\n{FORGED}",
        f"goes on{FORGED.lstrip()}",
    ]


def test_a_pipe_that_is_silent_since_tracing_is_off_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace_pipe")
    (tmp_path / "tracing_on").write_text("0\n")
    with pytest.warns(OsmiaWarning, match="tracing_on is 0, as after a kernel oops"):
        TracePipe(path=tmp_path / "trace_pipe").close()
    (tmp_path / "tracing_on").write_text("1\n")
    TracePipe(path=tmp_path / "trace_pipe").close()  # a warning would fail this test


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "           <...>-1234    [003] d..21  5678.901234: bpf_trace_printk: hello\n",
            TraceLine("<...>", 1234, 3, "d..21", 5678.901234, "bpf_trace_printk", "hello"),
        ),
        (
            "    a b-c: [0] 1-77      (     12) [000] ...1.   0.000001: bpf_trace_printk: x: [1]\n",
            TraceLine("a b-c: [0] 1", 77, 0, "...1.", 0.000001, "bpf_trace_printk", "x: [1]"),
        ),
        (
            "          <idle>-0       (-------) [127] dNh3. 99999.5: bpf_trace_printk: \n",
            TraceLine("<idle>", 0, 127, "dNh3.", 99999.5, "bpf_trace_printk", ""),
        ),
        (  # without irq-info, with a clock that counts
            "             cat-9       [000]        12345: bpf_trace_printk: one\ntwo\n\n",
            TraceLine("cat", 9, 0, "", 12345, "bpf_trace_printk", "one\ntwo"),
        ),
        (
            f"           <...>-5       [001] d..2.   5.000001: bpf_trace_printk: {FORGED}\n",
            TraceLine("<...>", 5, 1, "d..2.", 5.000001, "bpf_trace_printk", FORGED),
        ),
        (
            " -1 [000] d 1.0:-5       [001] d..2.   5.000001: bpf_trace_printk: me\n",
            TraceLine("-1 [000] d 1.0:", 5, 1, "d..2.", 5.000001, "bpf_trace_printk", "me"),
        ),
    ],
)
def test_events_are_taken_apart(text: str, expected: TraceLine) -> None:
    assert parse(text.encode()) == (expected, 0)


def test_lost_messages_are_counted() -> None:
    line = b"               a-1       [000] d..2.  1.0: bpf_trace_printk: x\n"
    for said, count in ((b"CPU:1 [LOST 5 EVENTS]\n", 5), (b"CPU:0 [LOST EVENTS]\n", 1)):
        message, lost = parse(said + line)
        assert message is not None and message.message == "x"
        assert lost == count


def test_what_is_no_message_is_none() -> None:
    assert parse(b"           <...>-1234    [003] d..21  5.6: <stack trace>\n => here\n") == (
        None,
        0,
    )
    assert parse(b"") == parse(b"\xff" * 40) == (None, 0)
