"""What `.data.read_mostly` saves: a constant read on one CPU while another writes counters.

Run as root on two CPUs: `.venv/bin/python bench/bench_read_mostly.py`. The reader loads one
variable 1,000 times a run. It stands beside a counter in `.data`, or in `.data.read_mostly`,
which is a map of its own on its own page; a second process increments the counter all the
time. What the same reader takes without a writer is the floor.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import osmia
from osmia.kernel.programs import Program

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
volatile __u64 counter = 1, beside = 2;
volatile __u64 apart SEC(".data.read_mostly") = 2;

#define READER(name, variable)                                         \\
	SEC("xdp") int name(struct xdp_md *ctx)                        \\
	{                                                              \\
		__u64 sum = 0;                                         \\
		for (int i = 0; i < 1000; i++) sum += variable;        \\
		return sum & 1;                                        \\
	}
READER(read_beside, beside)
READER(read_apart, apart)

SEC("xdp") int write(struct xdp_md *ctx)
{
	for (int i = 0; i < 1000; i++) counter++;
	return 0;
}
"""
PACKET = bytes(64)
REPEAT, ROUNDS = 2000, 15


def main() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        print("  needs two CPUs")
        return
    first, second, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    with osmia.compile(SOURCE).load() as bpf:
        readers = {"in .data": "read_beside", "in .data.read_mostly": "read_apart"}
        for title, name in readers.items():
            program = bpf.programs[name]
            alone = duration(program)
            measure = partial(duration, program)
            with_writer = beside_a_writer(bpf.programs["write"], second, measure)
            print(f"  {title:<24} alone {alone:6.2f} ns a read, beside a writer {with_writer:6.2f}")


def duration(program: Program) -> float:
    """ns for one read."""
    runs = [program.run(PACKET, repeat=REPEAT).duration_ns for _ in range(ROUNDS)]
    return median(runs) / 1000


def beside_a_writer(writer: Program, cpu: int, measure: Callable[[], float]) -> float:
    """What `measure` gives while another process runs the writer on `cpu`."""
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {cpu})
        while True:
            writer.run(PACKET, repeat=REPEAT)
    try:
        time.sleep(0.2)
        return measure()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
