"""A fleet of 1, 2, 4 and 8 hosts on this machine, beside one local object in the same run: time to
load everywhere, events gathered, a map of a million entries a host gathered and reduced.

Run it as root: `.venv/bin/python bench/bench_fleet.py [ENTRIES] [HOSTS …]` (1,000,000; 1 2 4 8).
Hosts are processes in namespaces of their own: with two processors the figures are ratios, and no
scaling. The aims: at one host at most a tenth of the local throughput is lost, and rows are
gathered at 1 M/s or more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
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

#: Events that a round sends on each host: they fit into the ring.
EVENTS = 30_000
ROUNDS = 5


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sizes = [int(each) for each in sys.argv[2:]] or [1, 2, 4, 8]
    obj = compiled(entries=entries)
    print(f"{entries:,} entries and {EVENTS:,} events a round on each host")
    heads = ("", "load, ms", "fill, s", "events, M/s", "gather, M rows/s", "sum, M rows/s")
    print("".join(f"{head:>18}" for head in heads))
    local = _local(obj, entries)
    with ExitStack() as held:
        logs = Path(held.enter_context(tempfile.TemporaryDirectory()))
        cluster = Cluster(held, logs)
        for number, hosts in enumerate(sizes):
            for host in range(hosts):
                if host >= (sizes[number - 1] if number else 0):
                    cluster.start(host)
            fleet = cluster.fleet(f"bench{hosts}", timeout=120)
            wait_for(lambda hosts=hosts, fleet=fleet: len(fleet.hosts) == hosts, 60)  # type: ignore[misc]
            found = _measure(fleet, obj, entries, hosts)
            if hosts == 1:
                lost = [1 - ours / alone for ours, alone in zip(found[2:], local[2:], strict=True)]
                told = ", ".join(f"{each:.0%}" for each in lost)
                print(f"lost at one host (aim 10%): events, gather, sum: {told}")
            fleet.close()


def _row(name: str, figures: list[float]) -> None:
    print(f"{name:>18}" + "".join(f"{each:>18.2f}" for each in figures), flush=True)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _best(work: Callable[[], object]) -> float:
    return min(_seconds(work) for _ in range(ROUNDS))


def _local(obj: Object, entries: int) -> list[float]:
    """The same with one object in this process."""
    import pyarrow

    loads = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        obj.load().close()
        loads.append(time.perf_counter() - begin)
    with obj.load() as bpf:
        fill = _seconds(lambda: _fill(bpf, entries))
        bpf.data["limit"] = 0
        flows: Any = bpf.maps["flows"]
        gather = _best(lambda: pyarrow.table(flows.to_arrow()))
        total = _best(
            lambda: (
                pyarrow.table(flows.to_arrow()).group_by([]).aggregate([("value.packets", "sum")])
            )
        )
        taken = []
        drops: Any = bpf.maps["drops"]
        for _ in range(ROUNDS):
            bpf.programs["ingress"].run(bytes(64), repeat=EVENTS)
            begin = time.perf_counter()
            assert len(pyarrow.table(drops.to_arrow())) == EVENTS
            taken.append(time.perf_counter() - begin)
    figures = [
        statistics.median(loads) * 1e3,
        fill,
        EVENTS / min(taken) / 1e6,
        entries / gather / 1e6,
        entries / total / 1e6,
    ]
    _row("local", figures)
    return figures


def _measure(fleet: Fleet, obj: Object, entries: int, hosts: int) -> list[float]:
    begin = time.perf_counter()
    running = fleet.load(obj, name="bench")
    load = time.perf_counter() - begin
    fill = _seconds(lambda: running.call(_fill, entries).checked("filling"))
    running.data["limit"] = 0
    flows = running.maps["flows"]
    rows = entries * hosts
    gather = _best(lambda: _counted(flows.to_arrow(), rows))
    total = _best(lambda: flows.sum("value.packets"))
    events = min(_events(running, hosts) for _ in range(ROUNDS))
    figures = [
        load * 1e3,
        fill,
        EVENTS * hosts / events / 1e6,
        rows / gather / 1e6,
        rows / total / 1e6,
    ]
    _row(f"{hosts} hosts", figures)
    return figures


def _counted(table: Any, rows: int) -> None:
    assert len(table) >= rows, (len(table), rows)


def _events(running: Running, hosts: int) -> float:
    """Seconds from the first table until all events of a round are here."""
    running.run("ingress", bytes(64), repeat=EVENTS).checked("sending")
    left = EVENTS * hosts
    stream = iter(running.events("drops", max_rows=1 << 20, wait=0.2))
    begin = time.perf_counter()
    for batch in stream:
        assert batch.table is not None
        left -= len(batch.table)
        if left <= 0:
            break
    return time.perf_counter() - begin


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
