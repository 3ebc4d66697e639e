"""Map reads: a single lookup beside C, a whole hash into numpy, iteration, bulk updates.

Run it as root: `.venv/bin/python bench/bench_maps.py [ENTRIES]` (1,000,000 by default).
Medians of several runs; the C loop is compiled on the spot where there is a `cc`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from osmia.engine.maps import KeyedMap, Map
from osmia.object.uapi import MapType
from osmia.values import plain_codec

_C_LOOKUP = r"""
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	unsigned int key = 1;
	unsigned long value, rounds = 1000000;
	struct timespec start, end;
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_id = atoi(argv[1]);
	int fd = syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)&value;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned long i = 0; i < rounds; i++)
		if (syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 32))
			return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%f\n", ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / rounds);
	return 0;
}
"""


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with Map.create(
        MapType.HASH,
        name="bench",
        max_entries=entries,
        key_codec=plain_codec(4),
        value_codec=plain_codec(8),
    ) as target:
        assert isinstance(target, KeyedMap)
        _single(target)
        _whole(target, entries)


def _single(target: KeyedMap) -> None:
    target[1] = 10
    rounds = range(100_000)

    def lookups() -> None:
        for _ in rounds:
            target[1]

    def misses() -> None:
        for _ in rounds:
            target.get(2)

    def updates() -> None:
        for _ in rounds:
            target[1] = 10

    c_lookup = _c_lookup(target)
    print(f"{'lookup in C':34}{c_lookup:10.0f} ns" if c_lookup else "no C compiler here")
    for name, operation in (
        ("map[key]", lookups),
        ("map.get(missing)", misses),
        ("map[key] = value", updates),
    ):
        nanoseconds = _seconds(operation) / len(rounds) * 1e9
        over = f", {nanoseconds - c_lookup:+.0f} ns over the C lookup" if c_lookup else ""
        print(f"{name:34}{nanoseconds:10.0f} ns{over}")
    del target[1]


def _whole(target: KeyedMap, entries: int) -> None:
    import numpy as np

    keys = np.arange(entries, dtype=np.uint32)
    values = keys.astype(np.uint64)

    def refill() -> None:
        target.clear()
        target.update_arrays(keys, values)

    cases: list[tuple[str, Callable[[], object]]] = [
        ("update_arrays", lambda: target.update_arrays(keys, values)),
        ("to_arrays", target.to_arrays),
        ("to_numpy", target.to_numpy),
        ("for key, value in map.items()", lambda: sum(1 for _ in target.items())),
        ("len(map)", lambda: len(target)),
        ("clear and fill again", refill),
    ]
    for name, operation in cases:
        seconds = _seconds(operation)
        print(f"{name:34}{entries / seconds / 1e6:10.2f} M entries/s")


def _seconds(operation: Callable[[], object], runs: int = 5) -> float:
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        operation()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _c_lookup(target: KeyedMap) -> float:
    """ns of one lookup of key 1 in C, 0.0 where it cannot be compiled."""
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "lookup.c"), Path(directory, "lookup")
        source.write_text(_C_LOOKUP)
        try:
            subprocess.run(["cc", "-O2", "-o", program, source], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return 0.0
        run = [str(program), str(target.id)]
        figures = [
            float(subprocess.run(run, check=True, capture_output=True).stdout) for _ in range(3)
        ]
        return statistics.median(figures)


if __name__ == "__main__":
    main()
