"""tcpconnect and tcplife see connections that a process makes in a network of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from osmia.tools.tcpconnect import Connecting, tcpconnect
from osmia.tools.tcplife import tcplife

from .conftest import PATIENCE, first

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("both_kernels")]

PORT = 7117

#: Connects to itself once it may, says something both ways, and is refused by another port.
CONVERSATION = f"""
import ctypes, os, socket, subprocess, sys
assert ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = socket.create_server((sys.argv[1], {PORT}), family=socket.{{family}})
print("ready", flush=True)
input()
client = socket.create_connection((sys.argv[1], {PORT}))
there, _ = server.accept()
client.sendall(bytes(5000))
got = 0
while got < 5000:
    got += len(there.recv(10000))
there.sendall(bytes(70))
assert len(client.recv(100)) == 70
client.close()
assert there.recv(1) == b""
there.close()
refused = socket.socket(socket.{{family}})
refused.connect_ex((sys.argv[1], {PORT} + 1))
refused.close()
input()
"""


@contextmanager
def conversation(address: str) -> Iterator[subprocess.Popen[str]]:
    family = "AF_INET6" if ":" in address else "AF_INET"
    command = [sys.executable, "-c", CONVERSATION.format(family=family), address]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_connects_is_shown_with_where_to(address: str) -> None:
    with conversation(address) as process, tcpconnect(pid=process.pid) as connections:
        go(process)
        accepted = first(connections, lambda row: row.port == PORT)
        refused = first(connections, lambda row: True)
    assert accepted == Connecting(process.pid, 0, accepted.process, address, address, PORT)
    assert accepted.process.startswith("python")
    assert refused.port == PORT + 1


def test_other_ports_are_left_out() -> None:
    with conversation("127.0.0.1") as process, tcpconnect(port=PORT + 1) as connections:
        go(process)
        assert first(connections, lambda row: row.pid == process.pid).port == PORT + 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_both_sides_of_a_connection_are_shown_when_it_ended(address: str) -> None:
    with conversation(address) as process, tcplife(port=PORT) as lives:
        go(process)
        client = first(lives, lambda row: row.pid == process.pid and row.to == PORT)
        server = first(lives, lambda row: row.port == PORT and row.to == client.port)
    assert client[:6] == (process.pid, client.process, address, client.port, address, PORT)
    assert client.process.startswith("python")
    for size in (client.sent, server.got):
        assert 5000 <= size <= 5002  # SYN and FIN count for one each
    for size in (client.got, server.sent):
        assert 70 <= size <= 72
    assert 0 < client.ms < 1000 * PATIENCE


def test_a_refused_connection_lived_for_a_moment() -> None:
    with conversation("127.0.0.1") as process, tcplife(pid=process.pid, port=PORT + 1) as lives:
        go(process)
        life = first(lives, lambda row: True)
    assert (life.to, life.sent, life.got) == (PORT + 1, 0, 0)
