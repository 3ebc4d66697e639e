"""What JIT compilers tell of their code: /tmp/perf-PID.map, as perf has it.

A line is "START SIZE name", numbers in hexadecimal; what is said later holds. Node, .NET, Java's
agents and Python (`-X perf`) write one. The file is only taken from its process's user or root.
"""

from __future__ import annotations

import os
from bisect import bisect_right

from osmia.named_tuples import NamedTuple
from osmia.symbols.foreign_files import open_regular, read_all

_MOST_BYTES = 256 << 20
_LONGEST_NAME = 4096


class JitFunction(NamedTuple):
    """Compiled code of a function: from `start`, `size` bytes."""

    start: int
    size: int
    name: str


class JitMap:
    """The functions in a process's map, read again when the file has grown."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: tuple[int, int, int] | None = None
        self._starts: list[int] = []
        self._functions: list[JitFunction] = []

    def find(self, address: int) -> JitFunction | None:
        """The function that an address is in."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        found = self._functions[place]
        return found if address < found.start + found.size else None

    def update(self) -> bool:
        """Read what is new. Whether there is anything; False too when the process is gone."""
        facts = _process_facts(self._pid)
        if facts is None:
            return False
        inner_pid, owners = facts
        fd = open_regular(f"/tmp/perf-{inner_pid}.map", f"/proc/{self._pid}/root")
        if fd is None:
            return False
        try:
            status = os.fstat(fd)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen or status.st_uid not in owners:
                return False
            data = read_all(fd, _MOST_BYTES)
        except OSError:
            return False
        finally:
            os.close(fd)
        self._seen = seen
        self._functions = parse_jit_map(data or b"")
        self._starts = [each.start for each in self._functions]
        return True


def parse_jit_map(data: bytes) -> list[JitFunction]:
    """The functions, by address; lines that are none are passed over."""
    found: dict[int, JitFunction] = {}
    for line in data.split(b"\n"):
        parts = line.split(None, 2)
        if len(parts) != 3:
            continue
        try:
            start, size = int(parts[0], 16), int(parts[1], 16)
        except ValueError:
            continue
        if 0 < start < 1 << 64 and 0 < size < 1 << 40:
            name = parts[2][:_LONGEST_NAME].decode("utf-8", "replace")
            found[start] = JitFunction(start, size, name)
    return [found[start] for start in sorted(found)]


def _process_facts(pid: int) -> tuple[int, set[int]] | None:
    """The process's number in its own pid namespace, and who may write its map."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
            fields = dict(line.partition(b":")[::2] for line in file.read().split(b"\n"))
        uids = {int(each) for each in fields[b"Uid"].split()}
        return int(fields.get(b"NSpid", str(pid).encode()).split()[-1]), uids | {0}
    except (OSError, KeyError, ValueError, IndexError):
        return None
