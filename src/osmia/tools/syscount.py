"""syscount: how often system calls are made, how many fail, how long they take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from osmia.summaries.names import syscall_name
from osmia.tools.running import Summary, attached
from osmia.tools.text import process_name

LINE = "{%s:<23} {calls:>10} {failed:>10}"


@contextmanager
def syscount(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    processes: Annotated[bool, "By process, not by system call."] = False,
    latency: Annotated[bool, "With how long they take, in milliseconds; costs more."] = False,
    top: Annotated[int, "So many, those that are called most; 0: all."] = 10,
) -> Iterator[Summary[dict[str, float]]]:
    """Count system calls: which are made, how many fail, how long they take."""
    key = "process" if processes else "syscall"
    line = LINE % key + (" {ms:>14.3f}" if latency else "")
    settings = {"only_pid": pid, "by_process": processes}
    with attached("syscount", settings, without=() if latency else ("entered",)) as loaded:

        def counts() -> dict[str, dict[str, float]]:
            found = {}
            for number, each_cpus in loaded.maps["counts"].items():
                label = process_name(number) if processes else syscall_name(number) or str(number)
                found[label] = {
                    "calls": sum(one.calls for one in each_cpus),
                    "failed": sum(one.failed for one in each_cpus),
                    "ms": sum(one.ns for one in each_cpus) / 1e6,
                }
                if not latency:
                    del found[label]["ms"]
            return found

        yield Summary(key, line, counts, top)
