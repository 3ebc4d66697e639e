"""Programs on sockets, cgroups and network namespaces, with real datagrams and connections."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.links import (
    HookLink,
    attach_cgroup,
    attach_netfilter,
    attach_netns,
    attach_reuseport,
    attach_socket_filter,
    attach_sockmap,
)
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType

from ..conftest import Counter, Network

pytestmark = pytest.mark.kernel

Make = Callable[..., KernelProgram]
EGRESS = AttachType.CGROUP_INET_EGRESS
DROP, PASS = 0, 1


@pytest.fixture
def receiver(network: Network) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(0.2)
        yield made


def send(receiver: socket.socket, data: bytes = b"hello") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, receiver.getsockname())


def arrives(receiver: socket.socket) -> bool:
    try:
        return bool(receiver.recv(100))
    except TimeoutError:
        return False


def test_a_socket_filter_drops_while_attached(
    counting: Make, receiver: socket.socket, counter: Counter
) -> None:
    program = counting(ProgramType.SOCKET_FILTER, 0)
    with attach_socket_filter(program, receiver):
        send(receiver)
        assert not arrives(receiver)
        assert counter.value == 1
    send(receiver)
    assert arrives(receiver)


def test_a_socket_filter_is_updated_in_place(
    counting: Make, returning: Make, receiver: socket.socket
) -> None:
    with counting(ProgramType.SOCKET_FILTER, 0).attach(receiver) as link:
        link.update(returning(ProgramType.SOCKET_FILTER, 0xFFFF))
        send(receiver)
        assert arrives(receiver)


def test_a_filter_goes_with_its_socket(returning: Make, network: Network) -> None:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link = attach_socket_filter(returning(ProgramType.SOCKET_FILTER, 0), made)
    made.close()
    link.detach()


def test_a_reuseport_program_chooses_for_the_group(
    counting: Make, network: Network, counter: Counter
) -> None:
    program = counting(ProgramType.SK_REUSEPORT, DROP, AttachType.SK_REUSEPORT_SELECT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        one.settimeout(0.2)
        with attach_reuseport(program, one):
            send(one)
            assert not arrives(one)
            assert counter.value == 1
        send(one)
        assert arrives(one)


def test_socket_lookup_programs_rule_a_network_namespace(
    counting: Make, network: Network, counter: Counter
) -> None:
    program = counting(ProgramType.SK_LOOKUP, DROP, AttachType.SK_LOOKUP)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with attach_netns(program) as link:
            with socket.socket() as client, pytest.raises(ConnectionRefusedError):
                client.connect(server.getsockname())
            assert counter.value >= 1
            assert link.info.type is LinkType.NETNS
            inode = int(re.findall(r"\d+", str(Path("/proc/thread-self/ns/net").readlink()))[0])
            assert link.info.details["netns_inode"] == inode
        with socket.socket() as client:
            client.connect(server.getsockname())


def test_a_flow_dissector_is_attached_by_its_type(returning: Make, network: Network) -> None:
    program = returning(ProgramType.FLOW_DISSECTOR, 0, AttachType.FLOW_DISSECTOR)
    with program.attach() as link:
        assert link.info.details["attach_type"] is AttachType.FLOW_DISSECTOR


@pytest.fixture
def sockmap() -> Iterator[FileDescriptor]:
    made = syscall.map_create(MapType.SOCKMAP, key_size=4, value_size=4, max_entries=4)
    with FileDescriptor(made, "sockmap") as fd:
        yield fd


@pytest.fixture
def connection(network: Network) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.settimeout(2)
        with accepted:
            yield client, accepted


def put(sockmap: FileDescriptor, sock: socket.socket) -> None:
    key, value = bytes(4), struct.pack("=I", sock.fileno())
    assert not syscall.map_element(Command.MAP_UPDATE_ELEM, sockmap.fileno(), key=key, value=value)


def test_a_message_verdict_sees_what_sockets_send(
    counting: Make,
    sockmap: FileDescriptor,
    connection: tuple[socket.socket, socket.socket],
    counter: Counter,
) -> None:
    client, accepted = connection
    program = counting(ProgramType.SK_MSG, PASS, AttachType.SK_MSG_VERDICT)
    with attach_sockmap(program, sockmap) as link:
        put(sockmap, client)
        client.send(b"through the verdict")
        assert accepted.recv(100) == b"through the verdict"
        assert counter.value == 1
        assert isinstance(link, HookLink) is not features.has_link_type(LinkType.SOCKMAP)


def test_a_stream_verdict_sees_what_sockets_receive(
    counting: Make,
    sockmap: FileDescriptor,
    connection: tuple[socket.socket, socket.socket],
    counter: Counter,
) -> None:
    client, accepted = connection
    program = counting(ProgramType.SK_SKB, PASS, AttachType.SK_SKB_VERDICT)
    with program.attach(sockmap):
        put(sockmap, accepted)
        client.send(b"to the verdict")
        assert accepted.recv(100) == b"to the verdict"
    assert counter.value >= 1


@pytest.mark.parametrize("hook", ["input", "output"])
def test_netfilter_programs_drop(
    hook: str, counting: Make, receiver: socket.socket, counter: Counter
) -> None:
    if not features.has_link_type(LinkType.NETFILTER):
        pytest.skip("needs Linux 6.4")
    program = counting(ProgramType.NETFILTER, DROP, AttachType.NETFILTER)
    with attach_netfilter(program, "ipv4", hook, priority=-10) as link:
        try:
            send(receiver)
        except PermissionError:
            assert hook == "output"
        assert not arrives(receiver)
        assert counter.value == 1
        assert link.info.details == {
            "family": 2,
            "hook": {"input": 1, "output": 3}[hook],
            "priority": -10,
            "flags": 0,
        }
    send(receiver)
    assert arrives(receiver)


def test_netfilter_words_are_checked(returning: Make) -> None:
    program = returning(ProgramType.SOCKET_FILTER, 0)
    with pytest.raises(ValueError, match="'forward'"):
        attach_netfilter(program, "ipv4", "sideways")


def cgroup_root() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    pytest.skip("no cgroup v2 is mounted")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    made = cgroup_root() / f"osmia-test-{os.getpid()}"
    made.mkdir()
    yield made
    made.rmdir()


def send_from(cgroup: Path, receiver: socket.socket) -> bool:
    """Whether a process in the cgroup may send a datagram."""
    host, port = receiver.getsockname()
    script = (
        f"open('{cgroup}/cgroup.procs', 'w').write('0'); import socket;"
        f"socket.socket(2, 2).sendto(b'hello', ('{host}', {port}))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return run.returncode == 0


def test_cgroup_programs_rule_its_processes_only(
    counting: Make, cgroup: Path, receiver: socket.socket, counter: Counter
) -> None:
    program = counting(ProgramType.CGROUP_SKB, DROP, EGRESS)
    with attach_cgroup(program, cgroup) as link:
        assert not send_from(cgroup, receiver)
        assert counter.value == 1
        send(receiver)  # this process is elsewhere
        assert counter.value == 1
        assert link.info.type is LinkType.CGROUP
        assert link.info.details["attach_type"] is EGRESS
        assert link.info.details["cgroup_id"] == cgroup.stat().st_ino
    assert send_from(cgroup, receiver)


def test_cgroup_links_are_updated(
    counting: Make, returning: Make, cgroup: Path, receiver: socket.socket, counter: Counter
) -> None:
    with returning(ProgramType.CGROUP_SKB, PASS, EGRESS).attach(cgroup) as link:
        link.update(counting(ProgramType.CGROUP_SKB, PASS, EGRESS))
        assert send_from(cgroup, receiver)
    assert counter.value == 1


@pytest.mark.parametrize("legacy", ["exclusive", "override", "multi"])
def test_cgroup_programs_attach_without_links_too(
    legacy: str, counting: Make, cgroup: Path, receiver: socket.socket, counter: Counter
) -> None:
    program = counting(ProgramType.CGROUP_SKB, PASS, EGRESS)
    link = attach_cgroup(program, cgroup, legacy=legacy)
    program.close()
    assert send_from(cgroup, receiver)
    assert counter.value == 1
    link.detach()
    assert send_from(cgroup, receiver)
    assert counter.value == 1


def test_a_cgroup_order_needs_a_link(returning: Make, cgroup: Path) -> None:
    program = returning(ProgramType.CGROUP_SKB, PASS, EGRESS)
    with pytest.raises(NotSupportedError, match="needs a link"):
        attach_cgroup(program, cgroup, first=True, legacy="multi")


def test_cgroup_programs_run_in_the_order_asked_for(returning: Make, cgroup: Path) -> None:
    one, two = (returning(ProgramType.CGROUP_SKB, PASS, EGRESS) for _ in range(2))
    if features.kernel_is_older_than("6.17"):
        with pytest.raises(NotSupportedError) as caught:
            attach_cgroup(two, cgroup, first=True)
        assert caught.value.since == "6.17"
        return
    with attach_cgroup(one, cgroup) as first, attach_cgroup(two, cgroup, before=first):
        directory = os.open(cgroup, os.O_RDONLY)
        try:
            found = syscall.prog_query(target=directory, attach_type=EGRESS)
        finally:
            os.close(directory)
    assert found.prog_ids == (two.id, one.id)


def test_a_directory_that_is_no_cgroup_is_refused(returning: Make, tmp_path: Path) -> None:
    program = returning(ProgramType.CGROUP_SKB, PASS, EGRESS)
    with pytest.raises(KernelError, match="not one of a cgroup v2"):
        program.attach(tmp_path)


def test_a_hook_is_asked_for_when_the_program_names_none(returning: Make, cgroup: Path) -> None:
    program = returning(ProgramType.CGROUP_SKB, PASS)
    with pytest.raises(ValueError, match="give the attach type"):
        attach_cgroup(program, cgroup)
    with attach_cgroup(program, cgroup, AttachType.CGROUP_INET_INGRESS):
        pass


def test_device_programs_know_their_only_hook(returning: Make, cgroup: Path) -> None:
    with returning(ProgramType.CGROUP_DEVICE, PASS).attach(cgroup) as link:
        assert link.info.details["attach_type"] is AttachType.CGROUP_DEVICE
