"""`osmia prog attach` and `detach`: a program on a sockmap, which stays without a link."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from osmia import compile as compile_source
from osmia.kernel.load.loaded import KernelObject

from .conftest import Result

pytestmark = pytest.mark.kernel
Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, 4); __type(key, __u32);
         __type(value, __u32); } sockets SEC(".maps");
int sent;
SEC("sk_msg") int judges(struct sk_msg_md *message) { sent++; return SK_PASS; }
SEC("flow_dissector") int dissects(struct __sk_buff *skb) { return BPF_OK; }
"""


@pytest.fixture
def loaded() -> Iterator[KernelObject]:
    with compile_source(SOURCE).load() as bpf:
        yield bpf


@pytest.fixture
def connection(own_network: None) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def send(sender: socket.socket, receiver: socket.socket) -> None:
    receiver.settimeout(5)
    sender.send(b"hello")
    assert receiver.recv(16) == b"hello"


def test_a_program_stays_on_a_sockmap_until_it_is_detached(
    osmia: Cli, loaded: KernelObject, connection: tuple[socket.socket, socket.socket]
) -> None:
    client, accepted = connection
    sockets = loaded.maps["sockets"]
    place = ["id", loaded.programs["judges"].id, "sk_msg_verdict", "id", sockets.id]
    assert osmia("prog", "attach", *place).status == 0
    sockets[0] = client
    send(client, accepted)
    assert loaded.data["sent"] == 1
    assert osmia("prog", "detach", *place).status == 0
    sockets[1] = accepted  # sockets that are in the map keep what it had when they came
    send(accepted, client)
    assert loaded.data["sent"] == 1
    again = osmia("prog", "detach", *place)
    assert again.status == 1
    assert "detach program 'judges' from sk_msg_verdict" in again.err


def test_a_flow_dissector_needs_no_map(osmia: Cli, loaded: KernelObject, own_network: None) -> None:
    place = ["id", loaded.programs["dissects"].id, "flow_dissector"]
    assert osmia("prog", "attach", *place).status == 0
    assert osmia("prog", "detach", *place).status == 0
    assert osmia("prog", "detach", *place).status == 1


def test_wrong_words_are_explained(osmia: Cli, loaded: KernelObject) -> None:
    program = ["id", loaded.programs["judges"].id]
    for words in ([], ["xdp"], ["sk_msg_verdict"], ["flow_dissector", "id", "1"]):
        assert osmia("prog", "attach", *program, *words).status == 2
    assert "sk_skb_verdict" in osmia("prog", "attach", *program).err
