"""Read the logs of verifications near the limit of a million instructions, and explain them.

Run as root: `.venv/bin/python bench/bench_verify.py`, or with the path of a log, which needs no
kernel. Two programs: one that is accepted just below the limit, with all paths in the log, and one
that is refused at it, with the last path. The kernel's own time, most of which goes into writing
the log, is told apart. The bar is 5 s for what `osmia verify` does. Times are of the CPU.
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import osmia
from osmia.kernel.load.verifying import verify
from osmia.verifier.files import read_log
from osmia.verifier.log import LogData, VerifierLog
from osmia.verifier.page import Page
from osmia.verifier.report import Report, report_of
from osmia.verifier.text import lines_of

BAR = 5.0
#: Rounds of 387 instructions: a load, a sum and a step for each of 64 bytes.
ACCEPTED, REFUSED = 2580, 2590
SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int near_the_limit(struct xdp_md *ctx)
{
    unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    unsigned sum = 0;
    if (data + 64 > end)
        return XDP_PASS;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 64; i++)
            sum = (sum << 1) ^ ((volatile unsigned char *)data)[i];
    return sum & 1 ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""
T = TypeVar("T")


def main(paths: list[str]) -> None:
    if paths:
        explain(read_log(paths[0]))
        return
    with tempfile.TemporaryDirectory() as directory:
        for rounds, level in ((REFUSED, 5), (ACCEPTED, 6)):
            path = Path(directory) / f"near{rounds}.bpf.c"
            path.write_text(SOURCE.replace("ROUNDS", str(rounds)))
            obj = osmia.compile(path)
            start = time.process_time()
            for each in verify(obj, log_level=level):
                verdict = "refused" if each.error else "accepted"
                took = time.process_time() - start
                print(f"{verdict}, log level {level}: the kernel took {took:.1f} s", flush=True)
                explain(each.log)


def explain(data: LogData) -> None:
    before = resident()
    log, reading = timed(lambda: VerifierLog(data))
    report, putting = timed(lambda: report_of(log, "near_the_limit"))
    _, telling = timed(lambda: list(lines_of(report)))
    took = resident() - before
    page, drawing = timed(lambda: page_of(report))
    total = reading + putting + telling
    print(f"  log {log.end / 1e6:,.0f} MB, {report.cost.visits:,} instructions")
    print(f"  read in {reading:.2f} s, put together in {putting:.2f}, told in {telling:.3f}")
    print(f"  {total:.2f} s in all: the bar of {BAR} s is {'met' if total <= BAR else 'MISSED'}")
    print(
        f"  memory beside the log {took / 1e6:,.0f} MB; page {page / 1e6:.1f} MB in {drawing:.2f} s"
    )


def page_of(report: Report) -> int:
    page = Page("bench")
    page.add(report)
    return len(page.text())


def timed(work: Callable[[], T]) -> tuple[T, float]:
    gc.collect()
    start = time.process_time()
    return work(), time.process_time() - start


def resident() -> int:
    """Bytes of this process's own memory at its peak; the log has been written by now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    main(sys.argv[1:])
