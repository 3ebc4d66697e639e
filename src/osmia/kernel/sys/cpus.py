"""The CPUs that the kernel has values for, and those that run now."""

from __future__ import annotations

import functools

from osmia.paths import text_of

_CPUS = "/sys/devices/system/cpu"


@functools.cache
def possible_cpus() -> int:
    """How many CPUs the kernel keeps per-CPU values for, in ascending order and without gaps."""
    return len(cpus_in(text_of(f"{_CPUS}/possible")))


def online_cpus() -> list[int]:
    """The CPUs that run now, ascending."""
    return cpus_in(text_of(f"{_CPUS}/online"))


def cpus_in(text: str) -> list[int]:
    """The numbers in the kernel's list format: "0-3,8"."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus
