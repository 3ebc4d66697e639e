"""A datapath in iproute2's dialect, with real traffic, before and after `osmia convert`.

    sudo python examples/legacy/run.py

Two network namespaces, joined by a veth pair; UDP datagrams of both families go from one
to the other through `container.c`, answers go back through `host.c`. Both objects are loaded
as they are, then converted to libbpf's dialect and loaded again: same counters, same
verdicts, same program tags.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import osmia
from osmia.formats.elf_writer import write_object
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.rtnetlink import tc_filters
from osmia.kernel.sys import pins
from osmia.object import Object, ProgramType
from osmia.passes.attachment import for_attachment
from osmia.passes.convert import convert

HERE = Path(__file__).resolve().parent
CLONE_NEWNET = 0x4000_0000

#: Endpoints by address; and the ports that each may be reached at.
ENDPOINTS = {"10.7.0.10": 10, "10.7.0.20": 20, "fd07::10": 10, "fd07::20": 20}
ALLOWED = {10: 53, 20: 80}
#: Datagrams to send: address, port, how many.
TRAFFIC = (
    ("10.7.0.10", 53, 5),
    ("10.7.0.10", 80, 3),
    ("10.7.0.20", 80, 4),
    ("10.7.0.20", 53, 2),
    ("10.7.0.30", 53, 1),
    ("fd07::10", 53, 6),
    ("fd07::10", 99, 2),
    ("fd07::20", 80, 7),
    ("fd07::30", 80, 3),
)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Seen:
    """What the traffic met: counters by (reason, endpoint), datagrams that arrived by address
    and port, drop notices by (reason, endpoint, port), and the programs' tags."""

    metrics: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    arrived: Counter[tuple[str, int]] = field(default_factory=Counter)
    notices: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    tags: dict[str, str] = field(default_factory=dict)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        before = run_datapath(sources())
        after = run_datapath(converted(sources(), Path(directory)))
    for (reason, endpoint), (packets, size) in sorted(before.metrics.items()):
        print(f"reason {reason} endpoint {endpoint:2}: {packets:2} packets, {size} bytes")
    print(f"arrived: {sum(before.arrived.values())}, notices: {sum(before.notices.values())}")
    print("after conversion:", "the same" if before == after else f"different: {after}")
    sys.exit(before != after)


def sources() -> list[Object]:
    """The two objects, compiled."""
    return [osmia.compile(HERE / name, includes=[HERE]) for name in ("container.c", "host.c")]


def converted(objects: list[Object], directory: Path) -> list[Object]:
    """The objects in libbpf's dialect, by way of files."""
    again = []
    for number, obj in enumerate(objects):
        path = directory / f"{obj.name}{number}.o"
        path.write_bytes(write_object(convert(obj, ProgramType.SCHED_CLS).object))
        again.append(osmia.open(path))
    return again


def run_datapath(objects: list[Object]) -> Seen:
    """Load and attach the objects, send the traffic, and tell what it met."""
    seen = Seen()
    with ExitStack() as stack:
        root = stack.enter_context(own_bpffs())
        peer = stack.enter_context(namespaces())
        container, host = (
            _load(stack, obj, root, entry, seen)
            for obj, entry in zip(objects, ("entry", "to_container"), strict=True)
        )
        tc_filters.add_filter(container.programs["entry"], "left", "ingress")
        tc_filters.add_filter(host.programs["to_container"], "left", "egress")
        _configure(container.maps)
        maps: Mapping[str, Any] = container.maps
        notices = maps["events"].events
        seen.arrived = _exchange(peer)
        for _cpu, data in notices.read():
            reason, endpoint, port = struct.unpack_from("=III", data)
            seen.notices[reason, endpoint, port] += 1
        for key, value in maps["metrics"].items():
            seen.metrics[key.reason, key.endpoint] = (value.packets, value.bytes)
    return seen


def _load(stack: ExitStack, obj: Object, root: Path, entry: str, seen: Seen) -> KernelObject:
    prepared, _ = for_attachment(obj, ProgramType.SCHED_CLS, entry)
    loaded: KernelObject = stack.enter_context(prepared.load(pin_root=root / "tc" / "globals"))
    seen.tags |= {name: program.info.tag for name, program in loaded.programs.items()}
    return loaded


def _configure(maps: Mapping[str, Any]) -> None:
    for address, endpoint in ENDPOINTS.items():
        packed = ipaddress.ip_address(address).packed.ljust(16, b"\0")
        maps["endpoints"][packed] = endpoint
    for endpoint, port in ALLOWED.items():
        maps[f"policy_{endpoint}"][port] = 1


def _exchange(peer: str) -> Counter[tuple[str, int]]:
    """Send the traffic from the peer; who got how many datagrams. Each is answered."""
    arrived: Counter[tuple[str, int]] = Counter()
    with ExitStack() as stack:
        receivers = {}
        for address, port in {(address, port) for address, port, _ in TRAFFIC}:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            receiver.bind((address, port))
            receivers[receiver] = (address, port)
        subprocess.run(
            ["ip", "netns", "exec", peer, sys.executable, "-c", _SENDER, repr(TRAFFIC)], check=True
        )
        while ready := select.select(list(receivers), [], [], 0.3)[0]:
            for receiver in ready:
                data, sender = receiver.recvfrom(100)
                receiver.sendto(data, sender)
                arrived[receivers[receiver]] += 1
    return arrived


_SENDER = """
import ast, socket, sys
for address, port, count in ast.literal_eval(sys.argv[1]):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(b"datagram %d" % number, (address, port))
"""


@contextmanager
def own_bpffs() -> Iterator[Path]:
    """A bpffs that nobody else uses, said to tc and osmia by $TC_BPF_MNT."""
    said = os.environ.get("TC_BPF_MNT")
    with tempfile.TemporaryDirectory(prefix="osmia-bpffs-") as root:
        pins.mount_bpffs(root)
        os.environ["TC_BPF_MNT"] = root
        try:
            yield Path(root)
        finally:
            os.environ.pop("TC_BPF_MNT")
            if said is not None:
                os.environ["TC_BPF_MNT"] = said
            subprocess.run(["umount", root], check=True)


@contextmanager
def namespaces() -> Iterator[str]:
    """A namespace for this thread with "left", and one with "right"; gives the latter's name."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    peer = f"osmia-legacy-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", peer], check=True)
        if _libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            _join(peer)
            yield peer
        finally:
            _libc.setns(home, CLONE_NEWNET)
            subprocess.run(["ip", "netns", "del", peer], check=True)
    finally:
        os.close(home)


def _join(peer: str) -> None:
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip(
        "link",
        "add",
        "left",
        "address",
        "02:00:00:00:00:01",
        "type",
        "veth",
        "peer",
        "name",
        "right",
    )
    ip("link", "set", "right", "address", "02:00:00:00:00:02", "netns", peer)
    for address in ("10.7.0.1/24", "10.7.0.10/24", "10.7.0.20/24", "10.7.0.30/24"):
        ip("address", "add", address, "dev", "left")
    for address in ("fd07::1/64", "fd07::10/64", "fd07::20/64", "fd07::30/64"):
        ip("address", "add", address, "dev", "left", "nodad")
    ip("-n", peer, "address", "add", "10.7.0.2/24", "dev", "right")
    ip("-n", peer, "address", "add", "fd07::2/64", "dev", "right", "nodad")
    ip("-n", peer, "link", "set", "right", "up")
    ip("link", "set", "left", "up")
    for address in ("10.7.0.10", "10.7.0.20", "10.7.0.30", "fd07::10", "fd07::20", "fd07::30"):
        ip("-n", peer, "neigh", "add", address, "lladdr", "02:00:00:00:00:01", "dev", "right")
    for address in ("10.7.0.2", "fd07::2"):
        ip("neigh", "add", address, "lladdr", "02:00:00:00:00:02", "dev", "left")


if __name__ == "__main__":
    main()
