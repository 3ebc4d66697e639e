"""profile: what runs on the CPUs, by stack; `osmia.symbols.recording` does it."""

from __future__ import annotations

from typing import Annotated

from osmia.symbols.recording import Recording, record_cpu
from osmia.symbols.recording_filters import Filters


def profile(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    cgroup: Annotated[str, "In this cgroup (v2 directory) or below it."] = "",
    cpu: Annotated[tuple[int, ...], "On this CPU."] = (),
    frequency: Annotated[int, "Samples a second on each CPU."] = 99,
) -> Recording:
    """Sample the stacks of what runs on the CPUs (`osmia profile`)."""
    return record_cpu(frequency, filters=Filters(pid, cgroup, frozenset(cpu)))
