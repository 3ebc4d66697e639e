"""`osmia debug`: what it is given, scripts and pipes, a terminal, a test's runs."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int limit = 64, runs;
SEC("xdp") int gate(struct xdp_md *ctx)
{
	unsigned int size = ctx->data_end - ctx->data;
	runs++;
	if (size > limit)
		return XDP_DROP;
	return XDP_PASS;
}
SEC("xdp") int spin(struct xdp_md *ctx)
{
	for (int i = 0; i < 100000000; i++)
		bpf_get_prandom_u32();
	return XDP_PASS;
}
SEC("raw_tp/sys_enter") int enter(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1];
}
char _license[] SEC("license") = "GPL";
"""
OSMIA = [sys.executable, "-m", "osmia"]

Run = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "gate.bpf.c"
    path.write_text(SOURCE)
    return path


def batch(*commands: str) -> list[str]:
    return [word for each in commands for word in ("--command", each)] + ["--batch"]


def capture(path: Path, *sizes: int) -> Path:
    """A pcap file with packets of these sizes."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for size in sizes:
        data += struct.pack("<IIII", 0, 0, size, size) + bytes(size)
    path.write_bytes(data)
    return path


def test_commands_of_the_command_line_are_run(osmia: Run, source: Path) -> None:
    told = osmia("debug", source, "gate", "--packet", "00" * 60, *batch("next 2", "p runs", "c"))
    assert told.status == 0
    assert "program gate (XDP), " in told.out and ", 60 bytes of data" in told.out
    assert "The program returned 2 (XDP_PASS)" in told.out


def test_globals_are_set_and_packets_come_from_files(osmia: Run, source: Path) -> None:
    packet = source.with_name("packet.bin")
    packet.write_bytes(bytes(70))
    given = ["debug", source, "gate", "--packet", packet]
    assert "XDP_DROP" in osmia(*given, *batch("c")).out
    assert "XDP_PASS" in osmia(*given, "--set", "limit=100", *batch("c")).out


def test_a_packet_of_a_capture_comes_after_those_before_it(osmia: Run, source: Path) -> None:
    pcap = capture(source.with_name("some.pcap"), 60, 61, 70)
    told = osmia(
        "debug", source, "gate", "--pcap", f"{pcap}:3", *batch("c", "p runs", "run 1", "c")
    )
    assert "XDP_DROP" in told.out and "runs = 3" in told.out and "XDP_PASS" in told.out
    assert osmia("debug", source, "gate", "--pcap", pcap, *batch("p runs")).out.endswith("= 0\n")
    refused = osmia("debug", source, "gate", "--pcap", f"{pcap}:9", *batch())
    assert refused.status == 2 and "has 3 packets" in refused.err
    assert "is a capture" in osmia("debug", source, "gate", "--packet", pcap, *batch()).err


def test_contexts_are_fields_or_arguments(osmia: Run, source: Path) -> None:
    told = osmia("debug", source, "enter", "--ctx", "1,0x2a", *batch("c"))
    assert "The program returned 42" in told.out
    fields = osmia("debug", source, "gate", "--ctx", "rx_queue_index=0", *batch("p ctx.data_meta"))
    assert fields.status == 0, fields.err
    assert "NAME=VALUE" in osmia("debug", source, "enter", "--ctx", "some", *batch()).err
    assert "take NAME=VALUE" in osmia("debug", source, "gate", "--ctx", "1,2", *batch()).err
    assert "numbers with" in osmia("debug", source, "enter", "--ctx", "name=1", *batch()).err


def test_what_is_wrong_with_the_command_line_is_said(osmia: Run, source: Path) -> None:
    told = osmia("debug", source, *batch())
    assert told.status == 2 and "say which program: gate, spin, enter" in told.err
    assert "did you mean" in osmia("debug", source, "gat", *batch()).err
    assert "FILE is missing" in osmia("debug").err
    assert "not both" in osmia("debug", source, "gate", "--packet", "00", "--pcap", "x").err
    assert osmia("debug", source, "gate", *batch("frobnicate", "echo after")).status == 1


def test_files_of_commands_end_at_an_error(osmia: Run, source: Path) -> None:
    script = source.with_name("script")
    script.write_text("until 8\nprint runs\nfrobnicate\n")
    told = osmia("debug", source, "gate", "-x", script, "--batch")
    assert told.status == 1 and "8\t" in told.out and "no command 'frobnicate'" in told.out


@pytest.mark.parametrize(("commands", "status"), [("n\n\nc\n", 0), ("n\nquit\n", 0), ("no\n", 1)])
def test_commands_come_from_a_pipe(source: Path, commands: str, status: int) -> None:
    done = subprocess.run(
        [*OSMIA, "debug", str(source), "gate", "--packet", "00" * 60],
        input=commands,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert "\x1b[" not in done.stdout


@pytest.fixture
def terminal(source: Path) -> Any:
    """`osmia debug` on a terminal, at its first prompt, with a history of its own."""
    children = []

    def start(*words: str) -> pexpect.spawn:
        state = {"XDG_STATE_HOME": str(source.parent / "state"), "TERM": "xterm"}
        child = pexpect.spawn(
            OSMIA[0],
            [*OSMIA[1:], "debug", str(source), *words],
            env=os.environ | state,
            encoding="utf-8",
            timeout=30,
        )
        children.append(child)
        child.expect_exact("(osmia) ")
        return child

    yield start
    for child in children:
        child.close(force=True)


def test_a_terminal_has_colours_completion_and_history(terminal: Any) -> None:
    child = terminal("gate")
    assert "\x1b[" in child.before
    child.send("pri\trun\t\n")
    child.expect_exact("runs = 0")
    child.expect_exact("(osmia) ")
    child.sendline("next")
    child.expect_exact("(osmia) ")
    child.sendline("")
    child.expect_exact("(osmia) ")
    child.sendline("info position")
    child.expect(r"position [1-9]\d*")
    child.sendline("quit")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0
    again = terminal("gate")
    again.send("\x1b[A\x1b[A\n")  # the line before `quit`
    again.expect_exact("position 0")
    again.sendeof()
    again.expect(pexpect.EOF)


def test_ctrl_c_stops_a_run_that_goes_on_and_leaves_a_prompt(terminal: Any) -> None:
    child = terminal("spin")
    child.sendline("continue")
    child.expect_exact("continue")
    with pytest.raises(pexpect.TIMEOUT):
        child.expect_exact("(osmia) ", timeout=1)
    child.sendintr()
    child.expect_exact("Interrupted")
    child.expect_exact("(osmia) ")
    child.sendline("backi")
    child.expect_exact("(osmia) ")
    child.sendintr()
    child.expect_exact("quit leaves the debugger")
    child.expect_exact("(osmia) ")
    child.sendline("quit")
    child.expect(pexpect.EOF)


TEST = """
import osmia

def test_gate():
    with osmia.compile({source!r}).load("vm") as bpf:
        gate = bpf.programs["gate"]
        assert gate.{method}(bytes(60)).verdict == "XDP_PASS"
        print("between")
        assert gate.run(bytes(70)).verdict == "XDP_DROP"
"""


def test_a_tests_runs_are_debugged(terminal: Any, source: Path, osmia: Run) -> None:
    test = source.with_name("test_gate.py")
    test.write_text(TEST.format(source=str(source), method="run"))
    child = pexpect.spawn(
        OSMIA[0], [*OSMIA[1:], "debug", "--test", str(test)], encoding="utf-8", timeout=60
    )
    for size, verdict in ((60, "XDP_PASS"), (70, "XDP_DROP")):
        child.expect_exact(f"{size} bytes of data")
        child.expect_exact("(osmia) ")
        child.sendline("c")
        child.expect_exact(verdict)
        child.expect_exact("(osmia) ")
        child.sendline("c")
    child.expect_exact("1 passed")
    child.expect(pexpect.EOF)


def test_debug_in_a_test_opens_the_console(source: Path) -> None:
    test = source.with_name("test_gate.py")
    test.write_text(TEST.format(source=str(source), method="debug"))
    child = pexpect.spawn(OSMIA[0], ["-m", "pytest", "-q", str(test)], encoding="utf-8", timeout=60)
    child.expect_exact("60 bytes of data")
    child.expect_exact("(osmia) ")
    child.sendline("set limit = 10")
    child.expect_exact("(osmia) ")
    child.sendline("c")
    child.expect_exact("XDP_DROP")
    child.expect_exact("(osmia) ")
    child.sendline("q")
    child.expect_exact("1 failed")
    child.expect(pexpect.EOF)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
