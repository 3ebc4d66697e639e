"""Memory that a verifier log is written into: as much as a log may have, taken as it is written."""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from osmia.paths import text_of

#: The kernel's limit, UINT_MAX >> 2.
LARGEST = 0xFFFFFFFF >> 2
#: include/uapi/asm-generic/mman-common.h; Python has had the name since 3.13.
_MAP_NORESERVE = 0x4000
_LEAST = 1 << 20


def log_memory(size: int = LARGEST) -> mmap:
    """A private mapping of `size` bytes, or of half of the memory that is available, or of what
    this process may still map."""
    size = max(_LEAST, min(size, _available() // 2))
    while True:
        try:
            return mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS | _MAP_NORESERVE)
        except OSError:  # RLIMIT_AS, or vm.overcommit_memory=2
            if size == _LEAST:
                raise
            size = max(_LEAST, size // 4)


def _available() -> int:
    """Bytes of memory that are available, as the kernel estimates it."""
    for line in text_of("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return LARGEST
