"""The demo that `make demo` runs: compile, load, run on packets, attach, watch, clean up.

Works on the kernel where bpf(2) is permitted, else in osmia's userspace engine.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

import osmia
from osmia.captures.packets import read_packets

HERE = Path(__file__).parent
VERDICTS = {0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS", 3: "XDP_TX", 4: "XDP_REDIRECT"}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
TOP_FLOWS = 8
SHOWN_EVENTS = 5
LIVE_SECONDS = 3.0

console = Console()


def main() -> int:
    """Run all parts; the exit code."""
    obj = compile_program()
    packets = [data for _, data in read_packets(HERE / "traffic.pcap")]
    with load(obj) as (bpf, engine):
        run_over_capture(bpf, packets)
        show_flows(bpf)
        show_events(bpf)
    measure(obj, engine, packets[0])
    if engine == "kernel":
        live(obj, packets)
    return 0


def headline(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def compile_program() -> osmia.Object:
    headline("Compile examples/flows.bpf.c")
    start = time.perf_counter()
    obj = osmia.compile(HERE / "flows.bpf.c")
    took = (time.perf_counter() - start) * 1000
    code = sum(function.instruction_count for function in obj.functions.values())
    console.print(
        f"{len(obj.programs)} program, {len(obj.functions)} functions, {code} instructions,"
        f" {len(obj.maps)} maps, {len(obj.data)} global variables; {took:.0f} ms"
    )
    obj.data["sample_rate"] = 16
    return obj


class load:  # noqa: N801 - reads as a verb where it is used
    """Load into the kernel, or where that is not permitted into the userspace engine."""

    def __init__(self, obj: osmia.Object) -> None:
        self.obj = obj
        self.bpf: Any = None

    def __enter__(self) -> tuple[Any, str]:
        headline("Load")
        start = time.perf_counter()
        try:
            self.bpf, engine = self.obj.load(), "kernel"
        except osmia.BpfPermissionError as error:
            console.print(f"[yellow]The kernel does not let this process use BPF:[/yellow] {error}")
            console.print("Run as root to see it in the kernel; using osmia's own engine now.")
            self.bpf, engine = self.obj.load(engine="vm"), "vm"
        took = (time.perf_counter() - start) * 1000
        tag = f", tag {self.bpf.programs['ingress'].info.tag}" if engine == "kernel" else ""
        console.print(f"into the {engine} engine in {took:.1f} ms{tag}")
        return self.bpf, engine

    def __exit__(self, *error: object) -> None:
        self.bpf.close()


def run_over_capture(bpf: Any, packets: list[bytes]) -> None:
    headline(f"Run it over examples/traffic.pcap: {len(packets):,} packets")
    run = bpf.programs["ingress"].run
    start = time.perf_counter()
    results = [run(packet) for packet in packets]
    took = time.perf_counter() - start
    verdicts = Counter(result.retval for result in results)
    for verdict, count in verdicts.most_common():
        console.print(f"{VERDICTS.get(verdict, verdict):<12} {count:>6,}")
    console.print(f"{len(packets) / took:,.0f} packets/s, one call from Python each")


def measure(obj: osmia.Object, engine: str, packet: bytes) -> None:
    """How fast the program itself is: many runs in one call, on maps of their own."""
    headline(f"One packet, over and over, in the {engine} engine")
    with obj.load(engine=engine) as bpf:
        result = bpf.programs["ingress"].run(packet, repeat=200_000)
    rate = 1e9 / max(result.duration_ns, 1)
    console.print(f"{rate:,.0f} packets/s ({result.duration_ns} ns a run)")


def address(raw: bytes) -> str:
    found = ipaddress.IPv6Address(raw)
    return str(found.ipv4_mapped or found)


def show_flows(bpf: Any) -> None:
    flows = sorted(bpf.maps["flows"].items(), key=lambda item: -item[1].bytes)
    headline(f"The largest of {len(flows):,} flows")
    table = Table("source", "destination", "protocol", "packets", "bytes", box=None)
    for column in table.columns[3:]:
        column.justify = "right"
    for key, flow in flows[:TOP_FLOWS]:
        protocol = PROTOCOLS.get(key.protocol, str(key.protocol))
        table.add_row(
            f"{address(key.source)} :{key.source_port}",
            f"{address(key.destination)} :{key.destination_port}",
            protocol,
            f"{flow.packets:,}",
            f"{flow.bytes:,}",
        )
    console.print(table)
    console.print("totals:", ", ".join(f"{n} {v:,}" for n, v in totals(bpf.data).items()))


def totals(data: Any) -> dict[str, int]:
    return {name: data[name] for name in data if isinstance(data[name], int) and data[name]}


def show_events(bpf: Any) -> None:
    ring = bpf.maps["events"]
    ring.event_codec = bpf.object.codec("flow_event")
    events = ring.read()
    headline(f"{len(events)} sampled events; the first {min(len(events), SHOWN_EVENTS)}")
    for event in events[:SHOWN_EVENTS]:
        key = event.key
        console.print(
            f"new flow {address(key.source)} :{key.source_port} →"
            f" {address(key.destination)} :{key.destination_port}"
            f" {PROTOCOLS.get(key.protocol, key.protocol)}, {event.size} bytes,"
            f" {VERDICTS[event.verdict]}"
        )


def live(obj: osmia.Object, packets: list[bytes]) -> None:
    """Attach to a veth pair in namespaces of our own and send traffic through it."""
    headline("Live: on a veth pair in network namespaces of its own")
    with ExitStack() as stack:
        try:
            wire = stack.enter_context(Wire())
        except OSError as error:
            console.print(f"this machine does not allow namespaces: {error}")
            return
        bpf = stack.enter_context(obj.load())
        with wire.inside("receiver"):
            link = stack.enter_context(bpf.programs["ingress"].attach("veth0"))
        console.print(f"attached to {link}")
        watch(bpf, wire, packets)
        link.detach()
        console.print("detached; namespaces and interfaces are removed")


def watch(bpf: Any, wire: Wire, frames: list[bytes]) -> None:
    """Send the capture's frames and datagrams of our own, and show the counters move."""
    sent, start, last_sent = 0, time.monotonic(), 0.0
    with Live(console=console, refresh_per_second=10, transient=True) as display:
        while (now := time.monotonic() - start) < LIVE_SECONDS:
            for frame in frames[sent % len(frames) :][:200]:
                wire.send_frame(frame)
                sent += 1
            wire.send_datagram(b"hello from osmia")
            if now - last_sent > 0.1:
                last_sent = now
                display.update(live_line(bpf, sent, now))
    console.print(live_line(bpf, sent, LIVE_SECONDS))


def live_line(bpf: Any, sent: int, seconds: float) -> str:
    data = bpf.data
    return (
        f"{seconds:3.1f} s: sent {sent:,} frames; seen {data['packets']:,} packets"
        f" ({data['packets'] / max(seconds, 0.1):,.0f}/s), {data['bytes']:,} bytes,"
        f" {data['dropped']:,} dropped, {len(bpf.maps['flows']):,} flows"
    )


class Wire:
    """Two network namespaces joined by a veth pair; both are gone when the block ends."""

    def __init__(self) -> None:
        self.names = {role: f"osmia-demo-{os.getpid()}-{role}" for role in ("receiver", "sender")}

    def __enter__(self) -> Wire:
        import socket

        from pyroute2 import IPRoute, netns

        self.stack = ExitStack()
        with ExitStack() as undo:
            for name in self.names.values():
                netns.create(name)
                undo.callback(netns.remove, name)
            with self.inside("sender"), IPRoute() as ip:
                peer = {"ifname": "veth0", "net_ns_fd": self.names["receiver"]}
                ip.link("add", ifname="veth1", kind="veth", peer=peer)
                configure(ip, "veth1", "192.0.2.2")
            with self.inside("receiver"), IPRoute() as ip:
                configure(ip, "veth0", "192.0.2.1")
            with self.inside("sender"):
                self.raw = undo.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
                self.raw.bind(("veth1", 0))
                self.udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.stack = undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def inside(self, role: str) -> Inside:
        return Inside(self.names[role])

    def send_frame(self, frame: bytes) -> None:
        try:
            self.raw.send(frame)
        except OSError:  # longer than the interface takes
            return

    def send_datagram(self, data: bytes) -> None:
        self.udp.sendto(data, ("192.0.2.1", 4242))


def configure(ip: Any, name: str, own_address: str) -> None:
    index = ip.link_lookup(ifname=name)[0]
    ip.addr("add", index=index, address=own_address, prefixlen=24)
    ip.link("set", index=index, state="up")


class Inside:
    """This thread is in another network namespace until the block ends."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        from pyroute2 import netns

        netns.pushns(self.name)

    def __exit__(self, *error: object) -> None:
        from pyroute2 import netns

        netns.popns()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except osmia.OsmiaError as error:
        console.print(f"[red]demo:[/red] {error}")
        sys.exit(1)
