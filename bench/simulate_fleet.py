"""A fleet of hundreds of hosts on one machine: Dask's scheduler, real workers with real agents,
many in a process, whose kernels are played from a record of a real one's.

    .venv/bin/python bench/simulate_fleet.py [HOSTS [SECONDS]]  # 1,000 hosts, idle for 10 s
    .venv/bin/python bench/simulate_fleet.py --record           # as root: fleet_record.json anew

All messages are those of a real fleet: what is simulated is the kernel's part (loading, attaching,
reading a map), which takes as long as it took when it was recorded, and answers with as many rows.
It runs in a network of its own, so that the bytes that are counted are its own. What is printed as
CPU is the scheduler's; the workers share the machine with it, so times are upper bounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve()
RECORD = HERE.with_name("fleet_record.json")
#: Workers of one process.
TOGETHER = 250
#: Seconds that an idle fleet is watched for.
IDLE = 10.0
#: Of a worker only what a fleet needs: no figures of the process, which many workers share.
SETTINGS = {
    "distributed.admin.system-monitor.interval": "1h",
    "distributed.admin.tick.interval": "1h",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "60s",
}
_SOURCE = """#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
struct flow { __u32 source; __u32 zone; };
struct traffic { __u64 packets; __u64 bytes; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, struct traffic);
} flows SEC(".maps");
__u64 limit;
SEC("xdp") int ingress(struct xdp_md *ctx)
{
	struct flow flow = {};
	struct traffic *known = bpf_map_lookup_elem(&flows, &flow);
	return known && known->packets > limit ? XDP_DROP : XDP_PASS;
}
char L[] SEC("license") = "GPL";
"""
#: Rows that a host's map has, in the record and in the simulation.
ROWS = 1000


def main() -> int:
    words = sys.argv[1:]
    match words:  # the first ones are how this file calls itself
        case ["--record"]:
            RECORD.write_text(json.dumps(record(), indent=1) + "\n")
        case ["--scheduler"]:
            asyncio.run(_scheduler())
        case ["--workers", address, first, count]:
            asyncio.run(_workers(address, int(first), int(count)))
        case ["--inside", hosts, seconds]:
            with _network_up():
                simulate(int(hosts), float(seconds))
        case [] | [_] | [_, _]:
            own = [] if os.geteuid() == 0 else ["-r"]
            again = [
                sys.executable,
                str(HERE),
                "--inside",
                *words,
                *("1000", str(IDLE))[len(words) :],
            ]
            os.execvp("unshare", ["unshare", *own, "-n", *again])
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


# What is measured.


def simulate(hosts: int, seconds: float) -> None:
    """Print what a fleet of so many hosts costs, and what when it is idle for so many seconds."""
    _raise_limits()
    obj = _compiled()
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"  # read when it is imported
    from osmia.fleet import Fleet

    with ExitStack() as held:
        scheduler = Scheduler(held)
        crowd = held.enter_context(Crowd(scheduler.address, hosts))
        with Fleet(scheduler.address, name="simulated", timeout=120) as fleet:

            def join() -> None:
                crowd.begin()
                _wait(lambda: len(fleet.hosts), hosts)

            _phase(scheduler, f"{hosts} hosts join", join)
            _idle(scheduler, "idle, nothing loaded", seconds)
            held_running: list[Any] = []
            _phase(
                scheduler, "load", lambda: held_running.append(fleet.load(obj, name="simulated"))
            )
            running = held_running[0]
            _phase(scheduler, "attach", lambda: running.attach("ingress", interface="eth*"))
            _phase(scheduler, "set a variable", lambda: running.data.update({"limit": 5}))
            _phase(scheduler, "status", lambda: _all(fleet.status(), hosts))
            flows = running.maps["flows"]
            _phase(scheduler, f"sum of {hosts * ROWS:,} rows", lambda: flows.sum("value.packets"))
            _phase(scheduler, f"gather {hosts * ROWS:,} rows", flows.to_arrow)
            _idle(scheduler, "idle, loaded", seconds)
            crowd.end()
            _wait(lambda: len(fleet.hosts), 0)

            def catch_up() -> None:
                crowd.begin()
                _wait(
                    lambda: sum("ingress" in each.get("targets", {}) for each in _status(running)),
                    hosts,
                )

            _phase(scheduler, "all join again, catch up", catch_up)
            _phase(scheduler, "close", running.close)


def _status(running: Any) -> list[Any]:
    return list(running.status().values())


def _all(answers: Any, hosts: int) -> None:
    assert len(answers) == hosts, (len(answers), answers.errors)


def _wait(count: Callable[[], int], expected: int) -> None:
    end = time.monotonic() + 300
    while (found := count()) != expected:
        assert time.monotonic() < end, (found, expected)
        time.sleep(0.2)


def _phase(scheduler: Scheduler, what: str, work: Callable[[], object]) -> None:
    begin = scheduler.now()
    work()
    _row(what, scheduler.since(begin))


def _idle(scheduler: Scheduler, what: str, seconds: float) -> None:
    begin = scheduler.now()
    time.sleep(seconds)
    _row(what, scheduler.since(begin))


def _row(what: str, found: dict[str, float]) -> None:
    told = ", ".join(f"{value:,.2f} {name}" for name, value in found.items())
    print(f"{what}: {told}", flush=True)


class Scheduler:
    """Dask's scheduler in a process of its own."""

    def __init__(self, held: ExitStack) -> None:
        self._process = held.enter_context(_process("--scheduler", stdout=subprocess.PIPE))
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().decode().strip()

    def now(self) -> tuple[float, float, int]:
        """Seconds, seconds of this process on a CPU, bytes that went through the network."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), cpu, _bytes("lo")

    def since(self, before: tuple[float, float, int]) -> dict[str, float]:
        seconds, cpu, sent = (a - b for a, b in zip(self.now(), before, strict=True))
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (resident,) = (
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")
        )
        return {
            "s": seconds,
            "% CPU": 100 * cpu / seconds,
            "KB/s": sent / seconds / 1e3,
            "MB resident": resident / 1e3,
        }


class Crowd:
    """The processes of the workers, which can end and begin again."""

    def __init__(self, address: str, hosts: int) -> None:
        self._address, self._hosts = address, hosts
        self._held = ExitStack()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        for first in range(0, self._hosts, TOGETHER):
            count = min(TOGETHER, self._hosts - first)
            words = ("--workers", self._address, str(first), str(count))
            self._held.enter_context(_process(*words))

    def end(self) -> None:
        self._held.close()


@contextmanager
def _process(*words: str, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(HERE), *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def _network_up() -> Iterator[None]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield


def _raise_limits() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _compiled() -> Any:
    from osmia.toolchain.objects import compile_object

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.bpf.c"
        path.write_text(_SOURCE)
        return compile_object(path)


# The processes of the simulation.


async def _scheduler() -> None:
    import dask
    from distributed import Scheduler as DaskScheduler

    _raise_limits()
    dask.config.set(SETTINGS)
    async with DaskScheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()


async def _workers(address: str, first: int, count: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import dask
    from distributed import Worker

    _raise_limits()
    dask.config.set(SETTINGS)
    _play_kernel(random.Random(first))
    # Kernels work at the same time: the threads only sleep.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(count))
    with tempfile.TemporaryDirectory() as folder:
        names = [f"host{number:04}" for number in range(first, first + count)]
        workers = [
            Worker(address, nthreads=1, name=name, dashboard=False, local_directory=folder)
            for name in names
        ]
        await asyncio.gather(*workers)
        await asyncio.Event().wait()


_host: ContextVar[str] = ContextVar("_host")


def _play_kernel(chance: random.Random) -> None:
    """Have this process's agents find what the record says, each on a host of its own."""
    from osmia.fleet import agent, installed

    delays: dict[str, list[float]] = json.loads(RECORD.read_text())["seconds"]

    def take(what: str) -> None:
        time.sleep(chance.choice(delays[what]))

    class Held:
        """An agent's claim of a host that nobody else is on."""

        held = True

        def __init__(self, fleet: str) -> None:
            pass

        def take(self) -> bool:
            return True

        def give_up(self) -> None:
            pass

    setup = agent.Agent.setup

    async def named(self: Any, worker: Any) -> None:
        _host.set(worker.name)
        await setup(self, worker)

    def load(self: Any, wish: Any, *_: Any) -> Any:
        take("load")
        return _loaded(wish.obj, lambda: take("table"))

    def attach(self: Any, wish: Any) -> None:
        if len(self.links) < len(wish.attachments):
            take("attach")
        link = SimpleNamespace(update=lambda program: None, detach=_nothing, close=_nothing)
        keys = [(installed._hashable(each), "eth0") for each in wish.attachments]
        self.links = {key: self.links.get(key, link) for key in keys}

    played: Any = agent
    played.Claim, played.host_name = Held, _host.get
    played.Agent.setup = named
    class_of: Any = installed.Installed
    class_of._load, class_of._attach = load, attach


def _nothing() -> None:
    pass


def _loaded(obj: Any, read: Callable[[], None]) -> Any:
    """What stands for an object that the kernel has."""
    import pyarrow

    columns = ("key.source", "key.zone", "value.packets", "value.bytes")
    table = pyarrow.table({name: pyarrow.array(range(ROWS), pyarrow.uint64()) for name in columns})

    def to_arrow(**options: Any) -> Any:
        read()
        return table

    info = SimpleNamespace(id=1, tag="0123456789abcdef", run_cnt=1_000_000, run_time_ns=90_000_000)
    programs = {name: SimpleNamespace(name=name, info=info) for name in obj.programs}
    maps = {name: SimpleNamespace(to_arrow=to_arrow) for name in obj.maps}
    return SimpleNamespace(programs=programs, maps=maps, data={"limit": 0}, close=_nothing)


# The record.


def record() -> dict[str, Any]:
    """What two real hosts do: how long their kernels take, what an idle agent sends."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.fleet.conftest import Cluster, wait_for

    obj = _compiled()
    with ExitStack() as held:
        logs = Path(held.enter_context(tempfile.TemporaryDirectory()))
        cluster = Cluster(held, logs)
        cluster.start(0)
        cluster.start(1)
        fleet = cluster.fleet("recorded", timeout=60)
        wait_for(lambda: len(fleet.hosts) == 2, 60)
        begin = fleet.client.run(_bytes, "eth0")
        time.sleep(IDLE)
        end = fleet.client.run(_bytes, "eth0")
        idle = [(end[each] - begin[each]) / IDLE for each in begin]
        running = fleet.load(obj, name="recorded")
        seconds: dict[str, list[float]] = {}
        for found in running.call(_measured, obj, ROWS).checked("recording").values():
            for what, each in found.items():
                seconds.setdefault(what, []).extend(round(one, 6) for one in each)
        fleet.close()
    return {"seconds": seconds, "idle_bytes_received_per_second": [round(each) for each in idle]}


def _bytes(interface: str) -> int:
    """What came over an interface of this process's network."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()
    (figures,) = (line.split() for line in lines if line.strip().startswith(f"{interface}:"))
    return int(figures[1])


def _measured(loaded: Any, obj: Any, rows: int, rounds: int = 20) -> dict[str, list[float]]:
    """How long a host's kernel takes to load, to attach, and to give a map of so many rows."""
    flows = loaded.maps["flows"]
    flows.update({(number, 1): (number, 64) for number in range(rows)})
    works: dict[str, Callable[[], object]] = {
        "load": lambda: obj.load().close(),
        "attach": lambda: loaded.programs["ingress"].attach("eth0").close(),
        "table": flows.to_arrow,
    }
    return {what: [_timed(work) for _ in range(rounds)] for what, work in works.items()}


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    threading.stack_size(256 * 1024)  # of the many that sleep
    sys.exit(main())
