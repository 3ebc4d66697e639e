"""runqlat: how long threads wait for a CPU, as histograms."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated

from osmia.summaries.histogram import Histogram
from osmia.tools.latencies import measuring
from osmia.tools.running import Summary
from osmia.tools.text import process_name


def runqlat(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    processes: Annotated[bool, "A histogram for each process."] = False,
    milliseconds: Annotated[bool, "In milliseconds, not microseconds."] = False,
) -> AbstractContextManager[Summary[Histogram]]:
    """Show how long threads wait for a CPU when they could run."""

    def label(key: int) -> str:
        return process_name(key) if processes else ""

    settings = {"only_pid": pid, "by_process": processes}
    return measuring("runqlat", "process", label, settings, milliseconds=milliseconds)
