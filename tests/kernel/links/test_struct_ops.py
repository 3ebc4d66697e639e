"""A congestion control algorithm of three tiny programs, registered and used."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from osmia.btf import BTF, Kind, kernel_btf
from osmia.btf import types as kinds
from osmia.errors import KernelError
from osmia.kernel.links import attach_struct_ops, register_struct_ops
from osmia.kernel.probes import btf_probes, features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import load_btf
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import LinkType, MapFlag, MapType, ProgramType

from ..conftest import Counter, Network

pytestmark = [pytest.mark.kernel, pytest.mark.one_at_a_time("congestion-control")]

Make = Callable[..., KernelProgram]
NAME = b"osmia_test"
REQUIRED = ("ssthresh", "undo_cwnd", "cong_avoid")


def members(btf: BTF, name: str) -> dict[str, tuple[int, int]]:
    """(index, byte offset) of a structure's members by name."""
    found = btf.type(btf.find(name, Kind.STRUCT))
    assert isinstance(found, kinds.Struct)
    return {
        member.name: (index, member.bit_offset // 8) for index, member in enumerate(found.members)
    }


@pytest.fixture
def congestion_control(counting: Make) -> Iterator[Callable[[int], tuple[FileDescriptor, bytes]]]:
    """Make a struct_ops map with these flags, and the value that goes in it."""
    btf = kernel_btf()
    ops = btf.find("tcp_congestion_ops", Kind.STRUCT)
    value_type = btf.find("bpf_struct_ops_tcp_congestion_ops", Kind.STRUCT)
    layout = members(btf, "tcp_congestion_ops")
    start = members(btf, "bpf_struct_ops_tcp_congestion_ops")["data"][1]
    with ExitStack() as made:

        def make(flags: int) -> tuple[FileDescriptor, bytes]:
            value = bytearray(btf.size_of(value_type))
            for name in REQUIRED:
                index, offset = layout[name]
                program = counting(ProgramType.STRUCT_OPS, 10, index, attach_btf_id=ops, name=name)
                struct.pack_into("=Q", value, start + offset, program.fileno())
            offset = start + layout["name"][1]
            value[offset : offset + len(NAME)] = NAME
            # The kernel wants BTF of the object too, though it looks at none of it.
            own = made.enter_context(load_btf(btf_probes.INTEGER))
            fd = syscall.map_create(
                MapType.STRUCT_OPS,
                key_size=4,
                value_size=len(value),
                max_entries=1,
                flags=flags,
                name="osmia_test",
                btf_fd=own.fileno(),
                btf_vmlinux_value_type_id=value_type,
            )
            return made.enter_context(FileDescriptor(fd, "struct_ops map")), bytes(value)

        yield make


def converse(network: Network) -> None:
    with socket.socket() as server, socket.socket() as client:
        for each in (server, client):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, NAME)
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            for _ in range(20):
                client.send(bytes(10_000))
                received = 0
                while received < 10_000:
                    received += len(accepted.recv(10_000))


def is_registered() -> bool:
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, NAME)
        except OSError:
            return False
    return True


def test_a_link_registers_and_unregisters(
    congestion_control: Callable[[int], tuple[FileDescriptor, bytes]],
    network: Network,
    counter: Counter,
) -> None:
    if not features.has_link_type(LinkType.STRUCT_OPS):
        pytest.skip("needs Linux 6.4")
    made, value = congestion_control(MapFlag.LINK)
    assert not syscall.map_element(
        syscall.Command.MAP_UPDATE_ELEM, made.fileno(), key=bytes(4), value=value
    )
    with attach_struct_ops(made, "osmia_test") as link:
        assert link.info.type is LinkType.STRUCT_OPS
        converse(network)
        assert counter.value > 0
    assert not is_registered()


def test_without_a_link_the_value_registers(
    congestion_control: Callable[[int], tuple[FileDescriptor, bytes]],
    network: Network,
    counter: Counter,
) -> None:
    made, value = congestion_control(0)
    with register_struct_ops(made, value, "osmia_test"):
        converse(network)
        assert counter.value > 0
    assert not is_registered()


def test_a_value_that_the_kernel_refuses_is_an_error(
    congestion_control: Callable[[int], tuple[FileDescriptor, bytes]], network: Network
) -> None:
    made, value = congestion_control(0)
    with pytest.raises(KernelError, match="register struct_ops 'osmia_test'"):
        register_struct_ops(made, bytes(len(value)), "osmia_test")
