"""offcputime: where threads wait, and for how long, by stack; `osmia.symbols.recording` does it."""

from __future__ import annotations

from typing import Annotated

from osmia.symbols.recording import Recording, record_off_cpu
from osmia.symbols.recording_filters import Filters


def offcputime(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    cgroup: Annotated[str, "In this cgroup (v2 directory) or below it."] = "",
    cpu: Annotated[tuple[int, ...], "On this CPU."] = (),
) -> Recording:
    """Sum up, by stack, how long threads do not run (`osmia offcpu`)."""
    return record_off_cpu(filters=Filters(pid, cgroup, frozenset(cpu)))
