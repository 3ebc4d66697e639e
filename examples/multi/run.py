"""Three objects, compiled apart and loaded apart, that share what one of them has.

    python examples/multi/run.py vm
    sudo python examples/multi/run.py kernel

`conntrack.bpf.c` is a library: functions, a map, counters. `egress.bpf.c` (tc) opens connections
with it, `ingress.bpf.c` (XDP) drops what belongs to none. Both are linked against the library
when they are loaded; it stays as it is, and more could come. In the kernel the traffic goes
over a veth pair in a network namespace of its own, in the vm it is given to the programs.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import osmia

HERE = Path(__file__).resolve().parent
CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


class Packet(NamedTuple):
    """A UDP datagram to be; the local end is the one that `ingress` protects."""

    leaves: bool
    local: tuple[str, int]
    remote: tuple[str, int]
    size: int = 60

    def frame(self) -> bytes:
        """The packet from its Ethernet header on."""
        ends = (self.local, self.remote) if self.leaves else (self.remote, self.local)
        addresses = b"".join(ipaddress.ip_address(address).packed for address, _ in ends)
        ports = struct.pack(">2H", *(port for _, port in ends))
        ip = struct.pack(">BBHHHBBH", 0x45, 0, self.size - 14, 0, 0, 64, 17, 0) + addresses
        return (bytes(12) + b"\x08\x00" + ip + ports).ljust(self.size, b"\0")


HOME, NAMES, STRANGER = ("10.9.0.1", 4000), ("10.9.0.53", 53), ("10.9.0.66", 53)
TRAFFIC = (
    Packet(False, HOME, NAMES),  # nobody asked
    Packet(True, HOME, NAMES, 80),
    Packet(False, HOME, NAMES, 200),
    Packet(False, HOME, STRANGER),
    Packet(True, HOME, NAMES),
    Packet(False, HOME, NAMES, 100),
    Packet(True, ("10.9.0.1", 4001), NAMES),
    Packet(False, ("10.9.0.1", 4002), NAMES),
)


class Seen(NamedTuple):
    """What the library counted: by connection (local port, remote address) packets and bytes."""

    opened: int
    refused: int
    connections: dict[tuple[int, str], tuple[list[int], list[int]]]


def sources() -> dict[str, osmia.Object]:
    """The three objects by name."""
    names = ("conntrack", "egress", "ingress")
    return {name: osmia.compile(HERE / f"{name}.bpf.c", includes=[HERE]) for name in names}


def run(engine: str, objects: dict[str, osmia.Object]) -> Seen:
    """Load the objects into an engine, send the traffic, and tell what the library saw."""
    with (
        objects["conntrack"].load(engine) as library,
        objects["egress"].load(engine, imports=[library]) as egress,
        objects["ingress"].load(engine, imports=[library]) as ingress,
    ):
        send = over_veth if engine == "kernel" else by_hand
        send(egress.programs["egress"], ingress.programs["ingress"])
        assert ingress.data["refused"] == library.data["refused"]
        return seen(library)


def seen(library: osmia.LoadedObject) -> Seen:
    """What the library holds now."""
    connections = {
        (socket.ntohs(key.local_port), str(ipaddress.ip_address(struct.pack("=I", key.remote)))): (
            list(value.packets),
            list(value.bytes),
        )
        for key, value in library.maps["connections"].items()
    }
    return Seen(library.data["opened"], library.data["refused"], connections)


def by_hand(egress: osmia.Program, ingress: osmia.Program) -> None:
    """Give each packet to the program that it would meet."""
    for packet in TRAFFIC:
        (egress if packet.leaves else ingress).run(packet.frame())


def over_veth(egress: osmia.Program, ingress: osmia.Program) -> None:
    """Send the packets over a veth pair, "inside" to "outside" and back."""
    with namespace(), egress.attach("inside"), ingress.attach("inside"):
        for packet in TRAFFIC:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("inside" if packet.leaves else "outside", 0))
                sender.send(packet.frame())
            time.sleep(0.02)  # the next one may depend on it, and comes on another CPU


@contextmanager
def namespace() -> Iterator[None]:
    """A network namespace for this thread, with the pair in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
            for command in (
                "link add inside type veth peer name outside",
                "link set inside up",
                "link set outside up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            yield
        finally:
            _libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def main() -> None:
    engine = sys.argv[1] if len(sys.argv) > 1 else "vm"
    found = run(engine, sources())
    print(f"{found.opened} connections opened, {found.refused} packets refused")
    for (port, remote), (packets, size) in sorted(found.connections.items()):
        print(f"{port} ⇄ {remote}: {packets[0]} out ({size[0]} bytes), {packets[1]} in ({size[1]})")


if __name__ == "__main__":
    main()
