"""Programs that count stacks: their maps, and their code, which needs no compiler.

Stacks are numbered by the kernel, in a map with one place for each hash. A stack whose place is
taken goes to a second map, and is lost only where its place there is taken too. So that few are
in them there are two sets of maps: while programs write to one, what the other has is taken out
(`take`).
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from osmia.engine.maps import Map
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import MapType
from osmia.values.stacks import Stack

_DEEPEST = 127
#: Room for so many stacks in each set, and for so many keys.
_STACKS, _OTHER_STACKS = 1 << 14, 1 << 12
_COUNTS = 1 << 15
#: tgid, number of the user stack, of the kernel stack, nothing, comm.
_KEY = struct.Struct("=Iii4x16s")
#: Added to the numbers of stacks in the second map.
_OTHER = 1 << 20
_USER_STACK = 1 << 8  # BPF_F_USER_STACK
_NOEXIST = 1
_LOST = -errno.EEXIST
#: Longer than any program runs, in seconds.
_GRACE = 0.002


class Counted(NamedTuple):
    """Stacks of a process and how often they were there, or for how long. `lost` says that
    a stack was, but could not be kept."""

    pid: int
    process: str
    user: Stack
    kernel: Stack
    lost: bool
    value: int


class _Set(NamedTuple):
    """Maps: stacks by number, those whose places were taken, counts by key."""

    stacks: Any
    others: Any
    counts: Any

    def stack(self, number: int) -> Stack:
        """A stack by its number; an empty one for what is none."""
        if number < 0:
            return Stack()
        source = self.others if number & _OTHER else self.stacks
        found: Stack = source.get(number & ~_OTHER, Stack())
        return found


class StackCounter:
    """Counts in the kernel: two sets of maps, and the code that puts a stack into them."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        try:
            self._control = self.map(MapType.ARRAY, key_size=4, value_size=8, max_entries=2)
            self._sets = [self._set() for _ in range(2)]
        except BaseException:
            self.close()
            raise

    def _set(self) -> _Set:
        stacks, others = (
            self.map(MapType.STACK_TRACE, key_size=4, value_size=8 * _DEEPEST, max_entries=entries)
            for entries in (_STACKS, _OTHER_STACKS)
        )
        counts = self.map(MapType.HASH, key_size=_KEY.size, value_size=8, max_entries=_COUNTS)
        return _Set(stacks, others, counts)

    def map(self, kind: MapType, **options: Any) -> Any:
        """A map for programs that count, closed with the others."""
        return self._opened.enter_context(Map.create(kind, **options))

    def close(self) -> None:
        """Close the maps."""
        self._opened.close()

    @property
    def lost(self) -> int:
        """Events that were not counted, since there were too many different ones."""
        return int(self._control[1])

    def take(self, *, switch: bool = True) -> list[Counted]:
        """What was counted since, which is taken out. With `switch` programs count elsewhere
        meanwhile; without, they must have ended, or their counts stay in doubt."""
        current = int(self._control[0])
        if switch:
            self._control[0] = 1 - current
            time.sleep(_GRACE)
        return list(self._taken(self._sets[current]))

    def processes(self) -> set[int]:
        """The processes that were counted and are not taken out yet."""
        return {_KEY.unpack(key)[0] for each in self._sets for key in each.counts}

    def counted(self, key: bytes, value: int) -> Counted:
        """What a key in a program's own map says, with stacks of the set in use."""
        return _counted(self._sets[int(self._control[0])], key, value, {})

    @staticmethod
    def _taken(maps: _Set) -> Iterator[Counted]:
        taken = list(maps.counts.items())
        maps.counts.clear()
        known: dict[int, Stack] = {}
        for key, value in taken:
            yield _counted(maps, key, value, known)
        maps.stacks.clear()
        maps.others.clear()

    def key_code(self, out: str, stacks: str = "both") -> list[str]:
        """Put the key of the current process and its stacks on the stack, at r10 - 32; r6 is the
        context. Leaves for `out` when there is no process: a CPU that is idle. r7 is the set."""
        lines = [
            "call bpf_get_current_pid_tgid",
            "r0 >>= 32",
            f"if r0 == 0 goto {out}",
            "*(u32 *)(r10 - 32) = r0",
            "*(u32 *)(r10 - 28) = -1",
            "*(u32 *)(r10 - 24) = -1",
            "*(u32 *)(r10 - 20) = 0",
            "r1 = r10",
            "r1 += -16",
            "r2 = 16",
            "call bpf_get_current_comm",
            "*(u32 *)(r10 - 44) = 0",
            *_look_up(self._control, -44),
            f"if r0 == 0 goto {out}",
            "r7 = *(u64 *)(r0 + 0)",
        ]
        for number, maps in enumerate(self._sets):
            after = f"stacks_{number}_done"
            lines.append(f"if r7 != {number} goto {after}")
            if stacks != "kernel":
                lines += _stack_code(maps, _USER_STACK, -28, f"user_{number}")
            if stacks != "user":
                lines += _stack_code(maps, 0, -24, f"kernel_{number}")
            lines.append(f"{after}: r1 = 0")
        return lines

    def count_code(self, out: str) -> list[str]:
        """Add r9 to the count of the key at r10 - 32, in the set r7; then on to `out`."""
        lines = []
        for number, (_, _, counts) in enumerate(self._sets):
            lines += [
                f"if r7 != {number} goto count_{number}_done",
                *_look_up(counts, -32),
                f"if r0 != 0 goto add_{number}",
                "*(u64 *)(r10 - 56) = r9",
                f"r1 = map[fd:{counts.fileno()}]",
                "r2 = r10",
                "r2 += -32",
                "r3 = r10",
                "r3 += -56",
                f"r4 = {_NOEXIST}",
                "call bpf_map_update_elem",
                f"if r0 == 0 goto {out}",
                *_look_up(counts, -32),  # somebody else was faster, or it is full
                "if r0 == 0 goto lost",
                f"add_{number}: lock *(u64 *)(r0 + 0) += r9",
                f"goto {out}",
                f"count_{number}_done: r1 = 0",
            ]
        return [
            *lines,
            "lost: *(u32 *)(r10 - 44) = 1",
            *_look_up(self._control, -44),
            f"if r0 == 0 goto {out}",
            "r1 = 1",
            "lock *(u64 *)(r0 + 0) += r1",
            f"goto {out}",
        ]


def _counted(maps: _Set, key: bytes, value: int, known: dict[int, Stack]) -> Counted:
    pid, user, kernel, comm = _KEY.unpack(key)
    for number in (user, kernel):
        if number not in known:
            known[number] = maps.stack(number)
    name = comm.partition(b"\0")[0].decode("utf-8", "replace")
    return Counted(pid, name, known[user], known[kernel], _LOST in (user, kernel), value)


def _look_up(target: Any, place: int) -> list[str]:
    return [
        f"r1 = map[fd:{target.fileno()}]",
        "r2 = r10",
        f"r2 += {place}",
        "call bpf_map_lookup_elem",
    ]


def _stack_code(maps: _Set, flags: int, place: int, done: str) -> list[str]:
    """Put the number of the current stack at a place of the frame; r6 is the context."""
    calls = [
        ["r1 = r6", f"r2 = map[fd:{each.fileno()}]", f"r3 = {flags}", "call bpf_get_stackid"]
        for each in (maps.stacks, maps.others)
    ]
    return [
        *calls[0],
        f"if r0 != {_LOST} goto {done}",
        *calls[1],
        f"if r0 s< 0 goto {done}",
        f"r0 |= {_OTHER}",
        f"{done}: *(u32 *)(r10 {place}) = r0",
    ]
