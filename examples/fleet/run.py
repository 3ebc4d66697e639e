"""One object on three hosts: `make demo-fleet`, or

    sudo python examples/fleet/run.py

The hosts are made here, as namespaces, and gone at the end; on real ones the same lines run with
the address of a scheduler, as docs/fleet.md says. Several can run at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

import osmia
from osmia.fleet import Fleet, FleetError, Moves, Try
from osmia.fleet.certificates import make_certificates

#: The scheduler of the hosts that are made here.
HUB, PORT = "10.88.0.1", 8786
SOURCE = Path(__file__).resolve().with_name("limit.bpf.c")
HOSTS = 3
LIMIT = 20


def main() -> int:
    """Run all parts; the exit code."""
    match sys.argv[1:]:  # this file's own processes
        case ["scheduler", *files]:
            asyncio.run(_scheduler(*files))
        case ["host", name, address, *files]:
            _become_host(name, address)
            asyncio.run(_worker(name, *files))
        case ["inside"]:
            demo()
        case _ if os.geteuid() != 0:
            print("makes namespaces and loads BPF programs: run it as root", file=sys.stderr)
            return 1
        case _:
            apart()
    return 0


def demo() -> None:
    """All parts, on hosts that are made for it."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Path(folder)
        say(f"Make certificates, a scheduler, and {HOSTS} hosts")
        make_certificates(certificates)
        with cluster(HOSTS, certificates) as address:
            show(certificates, address)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def tell(name: str, value: object) -> None:
    print(f"  {name:<28}{value}", flush=True)


def show(certificates: Path, address: str) -> None:
    """What a fleet does."""
    with Fleet(
        address,
        ca=certificates / "ca.pem",
        cert=certificates / "client.pem",
        key=certificates / "client-key.pem",
        name="demo",
    ) as fleet:
        wait_for(lambda: len(fleet.hosts) == HOSTS)
        tell("hosts", ", ".join(host.name for host in fleet.hosts))
        say("Load limit.bpf.c everywhere, and attach it by a pattern")
        running = fleet.load(osmia.compile(SOURCE))
        running.data["limit"] = LIMIT
        for host, targets in running.attach("ingress", interface="eth*").items():
            tell(host, ", ".join(targets))
        traffic(running)
        upgrades(running)
        say("Close it")
        running.close()
        tell("objects that are left", sum(map(len, fleet.status().values())))
        fleet.close()


def traffic(running: Any) -> None:
    """Packets, what the maps say of them, and the events."""
    say("Send packets to each host")
    for number in range(HOSTS):
        send(number, LIMIT + 10 * number)
    say("Gather the map of sources, with the host of each row")
    for row in running.maps["sources"].to_arrow().to_pylist():
        tell(row["host"], f"{row['value']} packets of {row['key']}")
    say("Reduce it where it is: only sums travel")
    (row,) = running.maps["sources"].sum("value", by=["key"]).to_pylist()
    tell(str(row["key"]), f"{row['value']} packets")
    say("Read the events of all hosts")
    expected = sum(running.data["dropped"].values())
    counted: dict[str, int] = {}
    for batch in running.events("drops", wait=0.2, timeout=5):
        counted[batch.host] = counted.get(batch.host, 0) + len(batch.table)
        if sum(counted.values()) >= expected:
            break
    for host, count in sorted(counted.items()):
        tell(host, f"{count} packets dropped")


def upgrades(running: Any) -> None:
    """One that fails its check and goes back, one that does not."""
    packet = udp_packet()
    before = running.digest
    say("Upgrade to an object that fails its check")
    broken = osmia.compile(SOURCE, defines={"ABOVE_LIMIT": "XDP_ABORTED"})
    try:
        running.upgrade(broken, tries=[Try("ingress", packet, "XDP_DROP")])
    except FleetError as error:
        tell("refused", error)
    digests = {each["digest"] for each in running.status().values()}
    tell("all hosts as before", digests == {before})
    say("Upgrade to one that bounces packets: tried, moved link by link, watched")
    bouncing = osmia.compile(SOURCE, defines={"ABOVE_LIMIT": "XDP_TX"})
    with sending():
        running.upgrade(bouncing, tries=[Try("ingress", packet, "XDP_TX")], moves=[Moves("seen")])
    for host, result in running.run("ingress", packet).items():
        tell(host, result.verdict)


@contextmanager
def sending() -> Iterator[None]:
    """Packets to all hosts meanwhile."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for number in range(HOSTS):
                send(number, 1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def udp_packet() -> bytes:
    """An Ethernet frame of the hub's, as the program sees it."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton(HUB), bytes(4))
    return bytes(12) + b"\x08\x00" + ip + struct.pack("!HHHH", 9, 9, 8, 0) + bytes(18)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the hosts do not come up")
        time.sleep(0.1)


# Hosts to be: processes in network and mount namespaces of their own, joined by a bridge. Each is a
# Dask worker, as `dask worker` would be on a machine. Nothing here is osmia's.


def address_of(number: int) -> str:
    return f"10.88.0.{10 + number}"


def apart() -> None:
    """Go on in namespaces where nothing meets the machine's: networks, mounts, processes. All that
    is started there ends with this process."""
    namespaces = ["-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc"]
    command = [sys.executable, __file__, "inside"]
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", *namespaces, *command])


@contextmanager
def cluster(hosts: int, certificates: Path) -> Iterator[str]:
    """A scheduler and so many hosts (host0, host1, …); the scheduler's address."""
    security = _files(certificates, "scheduler")
    with ExitStack() as held, IPRoute() as network:
        _up(network, "lo")
        network.link("add", ifname="bridge0", kind="bridge")
        _up(network, "bridge0", HUB)
        held.enter_context(_process("scheduler", *security))
        for number in range(hosts):
            name = f"host{number}"
            words = ["host", name, address_of(number), *_files(certificates, "worker")]
            host = held.enter_context(_process(*words, namespaces=["unshare", "-n", "-m"]))
            assert host.stdout is not None
            host.stdout.readline()  # it is in its namespaces
            peer = {"ifname": "eth0", "net_ns_fd": f"/proc/{host.pid}/ns/net"}
            network.link("add", ifname=f"veth{number}", kind="veth", peer=peer)
            (bridge,) = network.link_lookup(ifname="bridge0")
            (cable,) = network.link_lookup(ifname=f"veth{number}")
            network.link("set", index=cable, master=bridge, state="up")
        yield f"tls://{HUB}:{PORT}"


def send(number: int, packets: int) -> None:
    """UDP packets from the hub to a host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(packets):
            sender.sendto(b"x" * 32, (address_of(number), 9))
            time.sleep(0.0005)


def _files(certificates: Path, role: str) -> list[str]:
    return [str(certificates / name) for name in ("ca.pem", f"{role}.pem", f"{role}-key.pem")]


@contextmanager
def _process(*words: str, namespaces: list[str] | None = None) -> Iterator[Any]:
    command = [*(namespaces or []), sys.executable, __file__, *words]
    quiet = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=quiet)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _up(network: IPRoute, interface: str, address: str = "") -> None:
    (index,) = network.link_lookup(ifname=interface)
    if address:
        network.addr("add", index=index, address=address, prefixlen=24)
    network.link("set", index=index, state="up")


def _become_host(name: str, address: str) -> None:
    """What a machine is: a bpffs, interfaces, a name."""
    subprocess.run(["mount", "-t", "bpf", "none", "/sys/fs/bpf"], check=True)
    print("ready", flush=True)
    os.environ["OSMIA_FLEET_HOST"] = name
    with IPRoute() as network:
        _up(network, "lo")
        while not network.link_lookup(ifname="eth0"):
            time.sleep(0.01)
        _up(network, "eth0", address)


def _security(role: str, ca: str, certificate: str, key: str) -> Any:
    import distributed

    security: Any = distributed.Security
    own = {f"tls_{role}_cert": certificate, f"tls_{role}_key": key}
    return security(tls_ca_file=ca, require_encryption=True, **own)


async def _scheduler(*files: str) -> None:
    from distributed import Scheduler

    security = _security("scheduler", *files)
    where: dict[str, Any] = {"protocol": "tls", "host": HUB, "port": PORT, "dashboard": False}
    async with Scheduler(security=security, **where) as scheduler:
        await scheduler.finished()


async def _worker(name: str, *files: str) -> None:
    from distributed import Worker

    security = _security("worker", *files)
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"nthreads": 1, "dashboard": False, "local_directory": folder}
        async with Worker(f"tls://{HUB}:{PORT}", name=name, security=security, **how) as worker:
            await worker.finished()


if __name__ == "__main__":
    sys.exit(main())
