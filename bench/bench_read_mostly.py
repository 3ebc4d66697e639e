"""What `.data.read_mostly` saves: a constant read on one CPU while another writes counters.

Run as root on two CPUs: `.venv/bin/python bench/bench_read_mostly.py`. The reader loads one
variable 1,000 times a run. It stands beside a counter in `.data`, or in `.data.read_mostly`,
which is a map of its own on its own page; a second process increments the counter all the
time. What the same reader takes without a writer is the floor. (Programs of tc: XDP test
runs wait for each other.)
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import osmia
from osmia.kernel.programs.program import KernelProgram

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
volatile __u64 counter = 1, beside = 2;
volatile __u64 apart SEC(".data.read_mostly") = 2;

#define READER(name, variable)                                         \\
	SEC("tc") int name(struct __sk_buff *ctx)                      \\
	{                                                              \\
		__u64 sum = 0;                                         \\
		for (int i = 0; i < 1000; i++) sum += variable;        \\
		return sum & 1;                                        \\
	}
READER(read_beside, beside)
READER(read_apart, apart)

SEC("tc") int write(struct __sk_buff *ctx)
{
	for (int i = 0; i < 1000; i++) __sync_fetch_and_add(&counter, 1);
	return 0;
}
"""
PACKET = bytes(64)
REPEAT, ROUNDS = 5000, 100


def main() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        print("  needs two CPUs")
        return
    first, second, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    with osmia.compile(SOURCE).load() as bpf:
        alone = duration(bpf.programs["read_apart"])
        print(f"  {'nobody writes':<24} {alone:6.2f} ns a read")
        for title, name in (("in .data", "read_beside"), ("in .data.read_mostly", "read_apart")):
            with writing(bpf.programs["write"], second):
                before, started = bpf.data["counter"], time.perf_counter()
                reading = duration(bpf.programs[name])
                written = bpf.data["counter"] - before
            rate = written / (time.perf_counter() - started) / 1e6
            print(f"  {title:<24} {reading:6.2f} ns a read, {rate:6.0f} M increments/s beside it")


def duration(program: KernelProgram) -> float:
    """ns for one read: the best of several runs, each much longer than the writer's pauses."""
    runs = [program.run(PACKET, repeat=REPEAT).duration_ns for _ in range(ROUNDS)]
    return min(runs) / 1000


@contextmanager
def writing(writer: KernelProgram, cpu: int) -> Iterator[None]:
    """While another process runs the writer on `cpu`."""
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {cpu})
        while True:
            writer.run(PACKET, repeat=REPEAT)
    try:
        time.sleep(0.2)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
