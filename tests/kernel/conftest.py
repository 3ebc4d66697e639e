"""What tests on a kernel share: tiny programs, a counter they count in, a private network."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from osmia.kernel.probes import features, since
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import AttachType, MapFlag, MapType, ProgramType


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)


MOVE, ADD_ATOMICALLY, LOAD_64, EXIT = 0xB7, 0xDB, 0x18, 0x95
MAP_VALUE = 2


class Counter:
    """A map of one 64-bit number that programs made by `counting` add 1 to."""

    def __init__(self) -> None:
        self.map = FileDescriptor(
            syscall.map_create(
                MapType.ARRAY,
                key_size=4,
                value_size=8,
                max_entries=1,
                flags=MapFlag.MMAPABLE,
                name="counter",
            ),
            "counter",
        )
        self._memory = mmap.mmap(self.map.fileno(), mmap.PAGESIZE)

    @property
    def value(self) -> int:
        number: int = struct.unpack_from("=Q", self._memory)[0]
        return number

    def reset(self) -> None:
        struct.pack_into("=Q", self._memory, 0, 0)

    def code(self, returns: int) -> bytes:
        """Instructions that count one and return."""
        return (
            instruction(LOAD_64, 1, MAP_VALUE, imm=self.map.fileno())
            + instruction(0)
            + instruction(MOVE, 2, imm=1)
            + instruction(ADD_ATOMICALLY, 1, 2)
            + instruction(MOVE, 0, imm=returns)
            + instruction(EXIT)
        )

    def close(self) -> None:
        self._memory.close()
        self.map.close()


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.close()


def skip_without_trampolines() -> None:
    """Skip where programs cannot be put into functions of the kernel: on arm64 before 6.4."""
    kind = AttachType.TRACE_FENTRY
    if features.kernel_is_older_than(since.attach_type(kind)):
        pytest.skip(str(features.missing_attach_type(kind)))


@pytest.fixture
def trampolines() -> None:
    skip_without_trampolines()


needs_trampolines = pytest.mark.usefixtures("trampolines")


@pytest.fixture
def returning() -> Iterator[Callable[..., KernelProgram]]:
    """Make programs that return a number: returning(type, number, attach type, …)."""
    made: list[KernelProgram] = []

    def make(
        kind: ProgramType, number: int = 0, expected: AttachType | None = None, **options: object
    ) -> KernelProgram:
        code = instruction(MOVE, 0, imm=number) + instruction(EXIT)
        options = {"license": "GPL", "name": "returning", **options}
        program = KernelProgram.load(kind, code, expected_attach_type=expected, **options)  # type: ignore[arg-type]
        made.append(program)
        return program

    yield make
    for program in made:
        program.close()


@pytest.fixture
def counting(counter: Counter) -> Iterator[Callable[..., KernelProgram]]:
    """Make programs that count in `counter` and return a number."""
    made: list[KernelProgram] = []

    def make(
        kind: ProgramType, number: int = 0, expected: AttachType | None = None, **options: object
    ) -> KernelProgram:
        options = {"license": "GPL", "name": "counting", **options}
        code = counter.code(number)
        program = KernelProgram.load(kind, code, expected_attach_type=expected, **options)  # type: ignore[arg-type]
        made.append(program)
        return program

    yield make
    for program in made:
        program.close()


CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(frozen=True)
class Network:
    """A network namespace that this thread is in: loopback, and a veth pair `left`–`right`."""

    left: str = "left"
    right: str = "right"

    @property
    def left_index(self) -> int:
        return socket.if_nametoindex(self.left)

    def send(self, count: int = 1, device: str = "right") -> None:
        """Send frames out of `right`; they come in at `left`."""
        header = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02" + b"\x88\xb5"  # a local ethertype
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((device, 0))
            for _ in range(count):
                sender.send(header + bytes(50))

    def ping(self, count: int = 1) -> None:
        """UDP datagrams over loopback."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            receiver.bind(("127.0.0.1", 0))
            for _ in range(count):
                sender.sendto(b"ping", receiver.getsockname())


@pytest.fixture
def network() -> Iterator[Network]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            # IPv6 sends frames of its own accord, and tests count frames.
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
            for command in (
                "link add left type veth peer name right",
                "link set lo up",
                "link set left up",
                "link set right up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            yield Network()
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
    finally:
        os.close(home)
