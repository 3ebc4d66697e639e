"""A fleet of 1, 2, 4 and 8 hosts on this machine, beside one local object in the same run: time to
load everywhere, events gathered, a map of a million entries a host gathered and reduced.

Run it as root: `bench/bench_fleet.py [--tcp] [ENTRIES] [HOSTS …]` (1,000,000; 1 2 4 8).
Hosts are processes in namespaces of their own: with two processors the figures are ratios, and no
scaling. At one host each round measures the local object and the fleet one after the other, and
the best of each is compared. The aims: a tenth of the local throughput is lost at most, and rows
are gathered at 1 M/s or more.

On a machine with other work wall time says little: the second pair of lines is what a second on a
processor gives, of all processes together. `--tcp` is without TLS.

Events are measured twice: as programs send them (as fast as one processor runs the program), and
from a buffer that is full, which is as fast as anybody can read.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.fleet.conftest import Cluster, compiled, wait_for  # noqa: E402

from osmia.fleet import Fleet  # noqa: E402
from osmia.fleet.running import Running  # noqa: E402
from osmia.object import Object  # noqa: E402

#: Events that a round sends on each host, and the buffer that has room for all of them.
EVENTS = 2_000_000
RING_BYTES = 1 << 26
ROUNDS = 5
HEADS = ("load, ms", "live, M/s", "events, M/s", "gather, M rows/s", "sum, M rows/s")


def main() -> None:
    words = [each for each in sys.argv[1:] if each != "--tcp"]
    entries = int(words[0]) if words else 1_000_000
    sizes = [int(each) for each in words[1:]] or [1, 2, 4, 8]
    obj = compiled(entries=entries, ring=RING_BYTES)
    print(f"{entries:,} entries and {EVENTS:,} events a round on each host")
    print(" " * 12 + "".join(f"{head:>18}" for head in HEADS), flush=True)
    with ExitStack() as held:
        logs = Path(held.enter_context(tempfile.TemporaryDirectory()))
        cluster = Cluster(held, logs, secure="--tcp" not in sys.argv)
        started = 0
        for hosts in sizes:
            while started < hosts:
                cluster.start(started)
                started += 1
            fleet = cluster.fleet(f"bench{hosts}", timeout=120)
            wait_for(lambda hosts=hosts, fleet=fleet: len(fleet.hosts) == hosts, 60)  # type: ignore[misc]
            _measure(fleet, obj, entries, hosts, Meter(cluster))
            fleet.close()


class Meter:
    """Seconds that go by, and seconds on a processor of this process and a cluster's."""

    def __init__(self, cluster: Cluster) -> None:
        self._pids = [os.getpid(), cluster.scheduler.pid, *cluster.workers]

    def __call__(self, work: Callable[[], object]) -> tuple[float, float]:
        begin, cpu = time.perf_counter(), self._cpu()
        work()
        return time.perf_counter() - begin, max(self._cpu() - cpu, 0.01)

    def _cpu(self) -> float:
        ticks = 0
        for pid in self._pids:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")


#: By what is measured: millions in a second, millions in a second on a processor.
Rates = list[tuple[float, float]]


def _measure(fleet: Fleet, obj: Object, entries: int, hosts: int, meter: Meter) -> None:
    loads = [_load(fleet, obj) for _ in range(ROUNDS)]
    running = fleet.load(obj, name="bench")
    running.call(_fill, entries).checked("filling")
    running.data["limit"] = 0
    with ExitStack() as held:
        rounds: list[Callable[[], Rates]] = [lambda: _fleet_round(running, hosts, entries, meter)]
        if hosts == 1:
            local = held.enter_context(obj.load())
            _fill(local, entries)
            local.data["limit"] = 0
            rounds.insert(0, lambda: _local_round(local, entries, meter))
        found: list[list[Rates]] = [[] for _ in rounds]
        for _ in range(ROUNDS):
            for each, results in zip(rounds, found, strict=True):
                results.append(each())
    for which, unit in enumerate(("", " CPU")):
        best = [
            [max(each[which] for each in rates) for rates in zip(*results, strict=True)]
            for results in found
        ]
        if hosts == 1:
            alone = min(_load_here(obj) for _ in range(ROUNDS)) * 1e3
            _row(f"local{unit}", [alone, *best[0]])
        _row(f"{hosts} hosts{unit}", [min(loads) * 1e3, *best[-1]])
        if hosts == 1:
            lost = [1 - ours / theirs for theirs, ours in zip(*best, strict=True)]
            told = "".join(f"{each:>18.0%}" for each in lost)
            print(f"{'lost':>12}{'(aim: 10%)':>18}{told}", flush=True)


def _row(name: str, figures: list[float]) -> None:
    print(f"{name:>12}" + "".join(f"{each:>18.2f}" for each in figures), flush=True)


def _load(fleet: Fleet, obj: Object) -> float:
    begin = time.perf_counter()
    running = fleet.load(obj, name="loaded")
    taken = time.perf_counter() - begin
    running.close()
    return taken


def _load_here(obj: Object) -> float:
    begin = time.perf_counter()
    loaded = obj.load()
    taken = time.perf_counter() - begin
    loaded.close()
    return taken


def _local_round(bpf: Any, entries: int, meter: Meter) -> Rates:
    """Events as they are sent, from a full buffer, rows, rows reduced."""
    import pyarrow

    flows, drops = bpf.maps["flows"], bpf.maps["drops"]

    def send() -> None:
        bpf.programs["ingress"].run(bytes(64), repeat=EVENTS)

    def read() -> None:
        batches = drops.arrow_batches(max_rows=65536, max_delay=0.05)
        _take((len(pyarrow.table(table)) for table in batches), EVENTS)

    def total() -> None:
        pyarrow.table(flows.to_arrow()).group_by([]).aggregate([("value.packets", "sum")])

    live = meter(lambda: _meanwhile(send, read))
    send()
    taken = [live, meter(read), meter(lambda: pyarrow.table(flows.to_arrow())), meter(total)]
    return _rates([EVENTS, EVENTS, entries, entries], taken)


def _fleet_round(running: Running, hosts: int, entries: int, meter: Meter) -> Rates:
    """The same of all hosts."""
    flows = running.maps["flows"]
    events, rows = EVENTS * hosts, entries * hosts

    def send() -> None:
        running.run("ingress", bytes(64), repeat=EVENTS).checked("sending")

    def read() -> None:
        stream = running.events("drops", wait=0.2, timeout=20.0)
        _take((len(batch.table) for batch in stream if batch.table), events)

    live = meter(lambda: _meanwhile(send, read))
    send()
    full = meter(read)
    gather = meter(lambda: _counted(flows.to_arrow(), rows))
    total = meter(lambda: flows.sum("value.packets"))
    return _rates([events, events, rows, rows], [live, full, gather, total])


def _meanwhile(send: Callable[[], None], read: Callable[[], None]) -> None:
    sending = threading.Thread(target=send)
    sending.start()
    read()
    sending.join()


def _rates(counts: list[int], taken: list[tuple[float, float]]) -> Rates:
    return [
        (count / seconds / 1e6, count / cpu / 1e6)
        for count, (seconds, cpu) in zip(counts, taken, strict=True)
    ]


def _counted(table: Any, rows: int) -> None:
    assert len(table) >= rows, (len(table), rows)


def _take(lengths: Generator[int], events: int) -> None:
    """Read until so many events are here."""
    left = events
    for length in lengths:
        left -= length
        if left <= 0:
            lengths.close()
            return
    raise AssertionError(f"{left} of {events} events did not come")


def _fill(loaded: Any, entries: int) -> None:
    """Put entries into the map of flows, by batches."""
    flows = loaded.maps["flows"]
    step = 50_000
    for first in range(0, entries, step):
        flows.update(
            {(source, 1): (source, 64) for source in range(first, min(first + step, entries))}
        )


if __name__ == "__main__":
    main()
