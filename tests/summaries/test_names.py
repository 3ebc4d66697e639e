"""Names for numbers, and which fields have them."""

from __future__ import annotations

import re
import signal
import socket
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest

from osmia.summaries import (
    cgroup_path,
    device_name,
    errno_name,
    group_name,
    interface_name,
    name_of,
    signal_name,
    syscall_name,
    user_name,
)
from osmia.summaries.syscalls import syscalls
from osmia.values.scalars import IntCodec, PointerCodec

U32 = IntCodec(4, False, "__u32", "little")
S32 = IntCodec(4, True, "int", "little")
U64 = IntCodec(8, False, "__u64", "little")


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "x86-linux-any/asm/unistd_64.h"),
        ("aarch64", "aarch64-linux-any/asm/unistd_64.h"),
    ],
)
def test_system_calls_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    zig = find_spec("ziglang")
    if zig is None or zig.origin is None:
        pytest.skip("the headers come with the wheel ziglang")
    path = Path(zig.origin).parent / "lib/libc/include" / header
    if not path.exists():
        pytest.skip("this ziglang has the header elsewhere")
    told = {
        int(number): name
        for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s", path.read_text())
    }
    known = syscalls(machine)
    assert len(told) > 300
    assert {number: known.get(number) for number in told} == told


def test_this_machines_calls_and_those_of_machines_without_a_table() -> None:
    assert syscall_name(syscalls_by_name()["openat"]) == "openat"
    assert syscall_name(100_000) is None
    assert syscalls("mips64") == {n: name for n, name in syscalls("x86_64").items() if n >= 424}
    assert syscalls("riscv64") == syscalls("aarch64")


def syscalls_by_name() -> dict[str, int]:
    return {name: number for number, name in syscalls().items()}


def test_signals_and_errors() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(int(signal.SIGRTMIN) + 1) == "SIGRTMIN+1"
    assert signal_name(0) is None
    assert (errno_name(2), errno_name(-13), errno_name(0)) == ("ENOENT", "-EACCES", None)


def test_interfaces_users_and_groups() -> None:
    assert interface_name(socket.if_nametoindex("lo")) == "lo"
    assert interface_name(0) is interface_name(1 << 31) is interface_name(1 << 40) is None
    assert (user_name(0), group_name(0)) == ("root", "root")
    assert user_name(4_000_000_123) is group_name(4_000_000_123) is None


def test_block_devices_have_the_kernels_numbers() -> None:
    numbers = [path.name for path in Path("/sys/dev/block").iterdir()]
    if not numbers:
        pytest.skip("there is no block device")
    major, minor = map(int, numbers[0].split(":"))
    assert (Path("/sys/class/block") / str(device_name(major << 20 | minor))).exists()
    assert device_name(4000 << 20) is None


@pytest.mark.kernel
def test_control_groups_have_paths() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next((Path(each[1]) for each in mounts if each[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("cgroup v2 is not mounted")
    made = root / f"osmia-names-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    try:
        assert cgroup_path(made.stat().st_ino) == f"/{made.name}"
        assert cgroup_path(root.stat().st_ino) == "/"
    finally:
        made.rmdir()
    assert cgroup_path(0) is cgroup_path(1 << 62) is None


def test_fields_say_by_name_or_type_what_their_numbers_are() -> None:
    assert name_of("sig", U32, 15) == "SIGTERM"
    assert name_of("args.syscall", U32, syscalls_by_name()["close"]) == "close"
    assert name_of("ingress_ifindex", U32, socket.if_nametoindex("lo")) == "lo"
    assert name_of("owner", IntCodec(4, False, "uid_t", "little"), 0) == "root"
    assert name_of("err", S32, 2) == "ENOENT"
    assert name_of("ret", S32, -2) == "-ENOENT"
    assert name_of("ret", S32, 2) is None  # a number of something
    assert name_of("ret", U32, 2) is None
    assert name_of("size", U64, 9) is None
    assert name_of("cgroup", U32, 1) is None  # an index, not an id: those have 64 bits
    assert name_of("sig", PointerCodec(8, "void *", "little"), 9) is None
    assert name_of("sig", None, 9) is None
