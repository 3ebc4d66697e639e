"""Maps that the kernel alone has, and its memory: arenas, sockets, cgroups, storage, stacks."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.errors import (
    KernelError,
)
from osmia.kernel.maps import MapTypes
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import MapFlag, MapType
from osmia.values.stacks import Stack

pytestmark = pytest.mark.kernel
MakeMap = Callable[..., Any]


def test_memory_outlives_the_map_object(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, flags=MapFlag.MMAPABLE)
    memory = numbers.memory()
    numbers[0] = 99
    numbers.close()
    part = memory[:8]
    del memory
    assert struct.unpack("=Q", part) == (99,)


def test_memory_that_nobody_uses_is_unmapped(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, flags=MapFlag.MMAPABLE)
    memory = numbers.memory()
    assert "bpf-map" in Path("/proc/self/maps").read_text()
    del memory
    assert "bpf-map" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("address", [0, 1 << 44])
def test_an_arena_is_memory(make_map: MakeMap, address: int) -> None:
    major, minor = os.uname().release.split(".")[:2]
    if (int(major), int(minor)) < (6, 9):
        pytest.skip("arenas are since Linux 6.9")
    arena = make_map(
        MapType.ARENA,
        key_size=0,
        value_size=0,
        max_entries=10,
        flags=MapFlag.MMAPABLE,
        map_extra=address,
    )
    memory = arena.memory()
    assert len(memory) == 10 * mmap.PAGESIZE
    memory[5 * mmap.PAGESIZE] = 7
    assert memory[5 * mmap.PAGESIZE] == 7


def test_cgroup_arrays_take_cgroups_and_tell_nothing(make_map: MakeMap) -> None:
    array = make_map(MapType.CGROUP_ARRAY, value_size=4)
    with FileDescriptor(os.open(cgroup2(), os.O_RDONLY), "cgroup") as group:
        array[0] = group
    with pytest.raises(KernelError, match="CGROUP_ARRAY maps have no such operation"):
        array[0]


def test_socket_maps_take_sockets_and_give_cookies(make_map: MakeMap) -> None:
    sockets = make_map(MapType.SOCKHASH, value_size=8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sockets[5] = receiver
        cookie = receiver.getsockopt(socket.SOL_SOCKET, 57, 8)  # SO_COOKIE
        assert sockets[5] == int.from_bytes(cookie, sys.byteorder)
        assert list(sockets.items()) == [(5, sockets[5])]


def cgroup2() -> str:
    for line in Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return fields[1]
    pytest.skip("no cgroup v2 is mounted")


def storage(make_map: MakeMap, map_type: MapType) -> Any:
    """Local storage demands BTF types."""
    btf = int_btf()
    fd, _ = syscall.btf_load(btf, len(btf))
    with FileDescriptor(fd, "BTF") as types:
        return make_map(
            map_type,
            max_entries=0,
            value_size=4,
            flags=MapFlag.NO_PREALLOC,
            types=MapTypes(btf_fd=types.fileno(), key_type_id=1, value_type_id=1),
        )


def int_btf() -> bytes:
    """BTF of one type, `int`."""
    strings = b"\0int\0"
    types = struct.pack("=IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def test_storage_is_keyed_by_whom_it_belongs_to(make_map: MakeMap) -> None:
    with (
        socket.socket() as owner_socket,
        tempfile.TemporaryFile() as owner_file,
        FileDescriptor(os.pidfd_open(os.getpid()), "pidfd") as owner_task,
        FileDescriptor(os.open(cgroup2(), os.O_RDONLY), "cgroup") as owner_cgroup,
    ):
        owners: dict[MapType, Any] = {
            MapType.SK_STORAGE: owner_socket,
            MapType.TASK_STORAGE: owner_task,
            MapType.CGRP_STORAGE: owner_cgroup,
            MapType.INODE_STORAGE: owner_file,
        }
        for map_type, owner in owners.items():
            try:
                values = storage(make_map, map_type)
            except KernelError:
                continue  # INODE_STORAGE needs the BPF LSM
            assert owner not in values
            values[owner] = 7
            assert values[owner.fileno()] == 7
            del values[owner]
            assert owner not in values
            with pytest.raises(KernelError, match="no such operation"):
                list(values)


def test_stack_traces_end_at_the_first_zero(make_map: MakeMap) -> None:
    stacks = make_map(MapType.STACK_TRACE, value_size=80)
    assert list(stacks.items()) == []
    assert stacks._decode_value(struct.pack("=10Q", 1, 2, 3, *[0] * 7)) == Stack([1, 2, 3])
    assert stacks.get(3) is None
