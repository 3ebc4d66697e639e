"""A fleet of 1, 2, 4 and 8 hosts on this machine, beside one local object in the same run: time to
load everywhere, events gathered, a map of a million entries a host gathered and reduced.

Run it as root: `.venv/bin/python bench/bench_fleet.py [ENTRIES] [HOSTS …]` (1,000,000; 1 2 4 8).
Hosts are processes in namespaces of their own: with two processors the figures are ratios, and no
scaling. At one host each round measures the local object and the fleet one after the other, and
the best of each is compared. The aims: a tenth of the local throughput is lost at most, and rows
are gathered at 1 M/s or more.

Events are measured twice: as programs send them (as fast as one processor runs the program), and
from a buffer that is full, which is as fast as anybody can read.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
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
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sizes = [int(each) for each in sys.argv[2:]] or [1, 2, 4, 8]
    obj = compiled(entries=entries, ring=RING_BYTES)
    print(f"{entries:,} entries and {EVENTS:,} events a round on each host")
    print(" " * 10 + "".join(f"{head:>18}" for head in HEADS), flush=True)
    with ExitStack() as held:
        logs = Path(held.enter_context(tempfile.TemporaryDirectory()))
        cluster = Cluster(held, logs)
        started = 0
        for hosts in sizes:
            while started < hosts:
                cluster.start(started)
                started += 1
            fleet = cluster.fleet(f"bench{hosts}", timeout=120)
            wait_for(lambda hosts=hosts, fleet=fleet: len(fleet.hosts) == hosts, 60)  # type: ignore[misc]
            _measure(fleet, obj, entries, hosts)
            fleet.close()


def _measure(fleet: Fleet, obj: Object, entries: int, hosts: int) -> None:
    loads = [_load(fleet, obj) for _ in range(ROUNDS)]
    running = fleet.load(obj, name="bench")
    running.call(_fill, entries).checked("filling")
    running.data["limit"] = 0
    with ExitStack() as held:
        rounds: list[Callable[[], list[float]]] = [lambda: _fleet_round(running, hosts, entries)]
        if hosts == 1:
            local = held.enter_context(obj.load())
            _fill(local, entries)
            local.data["limit"] = 0
            rounds.insert(0, lambda: _local_round(local, entries))
        found: list[list[list[float]]] = [[] for _ in rounds]
        for _ in range(ROUNDS):
            for each, results in zip(rounds, found, strict=True):
                results.append(each())
    best = [list(map(max, zip(*each, strict=True))) for each in found]
    if hosts == 1:
        _row("local", [min(_load_here(obj) for _ in range(ROUNDS)) * 1e3, *best[0]])
    _row(f"{hosts} hosts", [min(loads) * 1e3, *best[-1]])
    if hosts == 1:
        lost = [1 - ours / alone for alone, ours in zip(*best, strict=True)]
        told = "".join(f"{each:>18.0%}" for each in lost)
        print(f"{'lost':>10}{'(aim: 10%)':>18}{told}", flush=True)


def _row(name: str, figures: list[float]) -> None:
    print(f"{name:>10}" + "".join(f"{each:>18.2f}" for each in figures), flush=True)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


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


def _local_round(bpf: Any, entries: int) -> list[float]:
    """Millions a second: events as they are sent, from a full buffer, rows, rows reduced."""
    import pyarrow

    flows, drops = bpf.maps["flows"], bpf.maps["drops"]
    program = bpf.programs["ingress"]

    def read() -> float:
        return _until_all(
            (
                len(pyarrow.table(table))
                for table in drops.arrow_batches(max_rows=65536, max_delay=0.05)
            ),
            EVENTS,
        )

    sending = threading.Thread(target=lambda: program.run(bytes(64), repeat=EVENTS))
    sending.start()
    live = read()
    sending.join()
    program.run(bytes(64), repeat=EVENTS)
    full = read()
    gather = _seconds(lambda: pyarrow.table(flows.to_arrow()))
    total = _seconds(
        lambda: pyarrow.table(flows.to_arrow()).group_by([]).aggregate([("value.packets", "sum")])
    )
    return _rates(EVENTS, entries, live, full, gather, total)


def _fleet_round(running: Running, hosts: int, entries: int) -> list[float]:
    """The same of all hosts."""
    flows = running.maps["flows"]
    sending = threading.Thread(target=_send, args=(running,))
    sending.start()
    live = _events(running, hosts)
    sending.join()
    time.sleep(0.3)  # until the hosts' readers have gone
    _send(running)
    full = _events(running, hosts)
    time.sleep(0.3)
    rows = entries * hosts
    gather = _seconds(lambda: _counted(flows.to_arrow(), rows))
    total = _seconds(lambda: flows.sum("value.packets"))
    return _rates(EVENTS * hosts, rows, live, full, gather, total)


def _rates(
    events: int, rows: int, live: float, full: float, gather: float, total: float
) -> list[float]:
    return [events / live / 1e6, events / full / 1e6, rows / gather / 1e6, rows / total / 1e6]


def _counted(table: Any, rows: int) -> None:
    assert len(table) >= rows, (len(table), rows)


def _send(running: Running) -> None:
    running.run("ingress", bytes(64), repeat=EVENTS).checked("sending")


def _events(running: Running, hosts: int) -> float:
    stream = running.events("drops", wait=0.2, timeout=20.0)
    return _until_all((len(batch.table) for batch in stream if batch.table), EVENTS * hosts)


def _until_all(lengths: Any, events: int) -> float:
    """Seconds until so many events are here."""
    begin = time.perf_counter()
    left = events
    for length in lengths:
        left -= length
        if left <= 0:
            taken = time.perf_counter() - begin
            lengths.close()
            return taken
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
