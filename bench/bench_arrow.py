"""Into Arrow: records of a ring buffer and entries of a hash, beside to_numpy of the same.

Run it as root: `.venv/bin/python bench/bench_arrow.py [RING_MIB] [ENTRIES]` (16, a power of two,
and 1,000,000). Prints million records or entries a second and ns for each, the best of several
rounds, in time of the CPU (nothing here waits); the way into a consumer too, for those that are
installed. The aims: 100 M/s records of 16 bytes, 3 M/s entries.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from bench_events import EVENT, ring_filler

from osmia.engine.maps import KeyedMap, Map
from osmia.events import RingBuffer
from osmia.kernel.sys import syscall
from osmia.object.uapi import MapType
from osmia.values import Table, plain_codec

ROUNDS = 7


def main() -> None:
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 16) << 20
    entries = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    print(f"{'':<44}{'M/s':>10}{'ns each':>10}{'count':>10}")
    _ring(size)
    _hash(entries)


def _consumers() -> Iterator[tuple[str, Callable[[Any], object]]]:
    for package, name in (("pyarrow", "table"), ("polars", "DataFrame"), ("nanoarrow", "Array")):
        with suppress(ImportError):
            yield f"{package}.{name}", getattr(importlib.import_module(package), name)


def _ring(size: int) -> None:
    fd = syscall.map_create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=size)
    with ring_filler(fd, size // 24) as fill, RingBuffer(fd, size, codec=EVENT) as ring:

        def batches(rows: int) -> Callable[[], int]:
            return lambda: sum(map(_exported, ring.arrow_batches(max_rows=rows, timeout=0)))

        ways: list[tuple[str, Callable[[], int]]] = [
            ("to_numpy()", lambda: len(ring.to_numpy())),
            ("to_arrow()", lambda: _exported(ring.to_arrow())),
            ("arrow_batches() of 65,536 rows", batches(65_536)),
            ("arrow_batches() of 4,096 rows", batches(4_096)),
            ("to_columns()", lambda: len(ring.to_columns()["pid"])),
        ]
        for name, consume in _consumers():
            ways.append((f"{name}(to_arrow())", _consumed(ring.to_arrow, consume)))
        _compare("ring buffer", fill, ways)
    os.close(fd)


def _hash(entries: int) -> None:
    key, value = plain_codec(4), plain_codec(8)
    with Map.create(
        MapType.HASH, name="bench", max_entries=entries, key_codec=key, value_codec=value
    ) as target:
        assert isinstance(target, KeyedMap)
        keys = np.arange(entries, dtype=np.uint32)
        target.update_arrays(keys, keys.astype(np.uint64))
        ways: list[tuple[str, Callable[[], int]]] = [
            ("to_numpy()", lambda: len(target.to_numpy())),
            ("to_arrow()", lambda: _exported(target.to_arrow())),
            ("to_columns()", lambda: len(target.to_columns()["key"])),
        ]
        with suppress(ImportError):
            importlib.import_module("pandas")
            ways.append(("to_pandas()", lambda: len(target.to_pandas())))
        for name, consume in _consumers():
            ways.append((f"{name}(to_arrow())", _consumed(target.to_arrow, consume)))
        _compare("hash", lambda: None, ways)


def _exported(table: Table) -> int:
    """Its rows, when it was given away."""
    table.__arrow_c_array__()
    return len(table)


def _consumed(make: Callable[[], Table], consume: Callable[[Any], object]) -> Callable[[], int]:
    def run() -> int:
        table = make()
        consume(table)
        return len(table)

    return run


def _compare(
    source: str, fill: Callable[[], object], ways: list[tuple[str, Callable[[], int]]]
) -> None:
    """A row for each way. They take turns, so that what else the machine does hits all alike."""
    best, counts = [float("inf")] * len(ways), [0] * len(ways)
    for _ in range(ROUNDS):
        for index, (_, drain) in enumerate(ways):
            fill()
            start = time.thread_time()
            counts[index] = drain()
            best[index] = min(best[index], (time.thread_time() - start) / counts[index])
    for (what, _), seconds, count in zip(ways, best, counts, strict=True):
        name = f"{source}: {what}"
        print(f"{name:<44}{1e-6 / seconds:>10.2f}{seconds * 1e9:>10.1f}{count:>10}")


if __name__ == "__main__":
    main()
