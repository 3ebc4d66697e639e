"""What the macros of the headers compute, seen on the kernel."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.toolchain import Compiler

SOURCES = Path(__file__).parent / "sources"
PACKET = bytes(64)

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def load(name: str, zig: Compiler, cpu: str = "v3") -> Any:
    return osmia.compile(SOURCES / f"{name}.bpf.c", compiler=zig, cpu=cpu).load()


def slots(*values: int) -> bytes:
    """The context of a raw tracepoint: twelve 64-bit arguments."""
    return struct.pack("<12q", *values, *[0] * (12 - len(values)))


def test_bit_fields_are_written_and_read_in_place(zig: Compiler) -> None:
    with load("bitfields", zig) as bpf:
        bpf.programs["on_packet"].run(PACKET)
        # version 4, ihl 0x35 cut to 5, doff 8, syn 1, ack 0, window 0x1234
        assert bpf.data["written"] == 0x4_5_8_1_0_1234


def test_open_coded_loops_count_right(zig: Compiler) -> None:
    with load("loops", zig) as bpf:
        assert bpf.programs["open_coded"].run(PACKET).retval == 0
        assert list(bpf.data["array"]) == list(range(16))
        inner = sum(sum(range(min(i, 3))) for i in range(16))
        assert bpf.data["sum"] == inner + 5 + sum(range(2, 7))


@pytest.mark.parametrize("cpu", ["v3", "v4"])
def test_may_goto_ends_what_would_never_end(zig: Compiler, cpu: str) -> None:
    with load("loops", zig, cpu) as bpf:
        bpf.programs["may_goto"].run(PACKET)
        assert bpf.data["sum"] > sum(range(100_000))


def test_callbacks_run(zig: Compiler) -> None:
    with load("loops", zig) as bpf:
        bpf.programs["callbacks"].run(PACKET)
        assert bpf.data["sum"] == sum(range(10))


@pytest.mark.parametrize("cpu", ["v3", "v4"])
def test_atomics_exchange_and_publish(zig: Compiler, cpu: str) -> None:
    with load("atomics", zig, cpu) as bpf:
        length = len(PACKET) - 14  # a socket filter's packet begins behind the Ethernet header
        assert bpf.programs["consumer"].run(PACKET).retval == 0
        bpf.programs["producer"].run(PACKET)
        assert bpf.programs["consumer"].run(PACKET).retval == length + 2
        bpf.programs["exchange"].run(PACKET)
        # One by compare and exchange, then 7 in exchange for it.
        assert (bpf.data["counter"], bpf.data["swapped"], bpf.data["lock_word"]) == (7, 1, 0)


@pytest.mark.parametrize(("size", "path"), [(200, 123), (100, 12), (40, 13)])
def test_tail_calls_reach_their_slots(zig: Compiler, size: int, path: int) -> None:
    with load("tail_calls", zig) as bpf:
        bpf.programs["first"].run(bytes(size))
        assert bpf.data["path"] == path


def test_byte_order_constants_are_in_network_order(zig: Compiler) -> None:
    with load("packet_counter", zig) as bpf:
        assert bpf.data["watched_port"].to_bytes(2, "little") == b"\x01\xbb"
        assert bpf.data["loopback"].to_bytes(4, "little") == b"\x7f\0\0\1"
        assert bpf.data["big"].to_bytes(8, "little") == bytes(range(1, 9))


def test_core_questions_are_answered_for_this_kernel(zig: Compiler) -> None:
    kernel = osmia.btf.kernel_btf()
    task = kernel.find("task_struct")
    with load("core_questions", zig) as bpf:
        bpf.programs["ask"].run(ctx=slots())
        answers = bpf.data["answers"]
        pid, _, nowhere, thing, pid_t, _, value, path = answers.exists
        assert (pid, nowhere, thing, pid_t, value, path) == (1, 0, 0, 1, 0, 1)
        assert answers.sizes[0] == 16
        assert answers.sizes[2] == kernel.size_of(task)
        assert answers.ids[1] == task
        assert answers["values"][0] == 27


def test_parameters_are_the_slots_of_the_context(zig: Compiler) -> None:
    with load("typed_arguments", zig) as bpf:
        bpf.programs["plain"].run(ctx=slots(-1 << 32 | 0xFFFFFFFE, 0x1FF, 1 << 40, -3))
        assert list(bpf.data["seen"])[:4] == [-2, 0xFF, 1 << 40, -3]
        bpf.programs["no_parameters"].run(ctx=slots(1, 2))
        assert bpf.data["seen"][0] == 2


def test_structures_by_value_take_as_many_slots_as_they_need(zig: Compiler) -> None:
    with load("typed_arguments", zig) as bpf:
        values = (11, -12, 7 << 32 | 0xFFFFFFF3, 5 << 32 | 14, 0xF0F)
        bpf.programs["structures"].run(ctx=slots(*values))
        assert list(bpf.data["seen"])[:5] == [11, -12, -13, 14, 0x0F]


def test_iterators_print_with_any_number_of_arguments(zig: Compiler) -> None:
    with load("task_iterator", zig) as bpf, bpf.programs["dump_tasks"].attach() as link:
        lines = [line.rstrip("\n") for line in link]
        assert lines[0].split() == ["pid", "tgid", "comm"]
        comm = Path("/proc/self/comm").read_text().strip()
        assert [str(os.getpid()), str(os.getpid()), comm] in [line.split(None, 2) for line in lines]
        assert lines[-1] == "end"
        assert bpf.data["lines"] >= len(lines) - 2
