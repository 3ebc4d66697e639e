"""What a program in a vm sees of the machine: time, random numbers, the CPU, the task that runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from random import Random
from typing import TYPE_CHECKING, Any

from osmia.errors import NotSupportedError

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.vm.sockets import Socket
    from osmia.vm.structures import Structure

_CLOCKS = ("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns")
_JIFFY = 4_000_000  # ns

#: An hour after boot: programs take 0 for "never".
START = 3600 * 10**9


class Machine:
    """The machine as a test says that it is; helpers of the object's vm are replaced for it.

    >>> machine = Machine(bpf)
    >>> machine.advance(1.5); machine.cpu = 3; machine.random = [7, 8]

    The clock stands, at an hour after boot, until the test moves it; all clocks show the same
    `time` in ns. Random numbers are the same in each test. `cpu` is what the helper tells:
    per-CPU maps and perf buffers go by the vm's own. Raises NotSupportedError for objects in
    another engine.
    """

    def __init__(self, bpf: LoadedObject) -> None:
        if bpf.engine != "vm":
            raise NotSupportedError(f"engine {bpf.engine!r}: time and CPU are the machine's own")
        vm: Any = bpf.vm  # type: ignore[attr-defined]
        self._vm = vm
        self.helpers: Any = vm.helpers
        """Further helpers: names to callables that stand in for them."""
        self.lists: dict[str, Sequence[Structure]] = vm.lists
        """What iterators that programs open go over: "task", "css", "css_task", "task_vma" and
        "kmem_cache", each a list of structures."""
        self.time = START
        self.cpu = 0
        self._random: Iterator[int] = iter(())
        self.random = _seeded()
        for clock in _CLOCKS:
            self.helpers[clock] = lambda: self.time
        vm.clock = self
        self.helpers["jiffies64"] = lambda: self.time // _JIFFY
        self.helpers["get_prandom_u32"] = self._next
        self.helpers["get_smp_processor_id"] = lambda: self.cpu

    def advance(self, seconds: float) -> None:
        """Let time go by. What programs put off for then (timers, work queues) runs, in order, each
        with the clock at its time; `advance(0)` runs what is due now. ValueError for less than
        none: these clocks never go back.
        """
        if seconds < 0:
            raise ValueError(f"time goes by, not back: {seconds} seconds")
        until = self.time + round(seconds * 10**9)
        if self._vm.deferred is not None:
            from osmia.vm.deferred import run_due

            run_due(self._vm, until, self._move)
        self._move(until)

    def _move(self, time: int) -> None:
        self.time = max(self.time, time)

    def run_as(
        self,
        task: Structure | None = None,
        *,
        comm: str = "",
        pid: int = 0,
        tgid: int | None = None,
        uid: int = 0,
        gid: int = 0,
        cgroup: int = 1,
    ) -> Structure | None:
        """Say which task runs from now on; before, it is the process of the test. `pid` is the
        thread's number, `tgid` the process's (the same, if it is not given).

        `task` is a struct task_struct (`bpf.vm.struct`), which has these three of its own; without
        one it is made of them, where the target has the type. Gives what programs see as the
        running task.
        """
        from osmia.testing.task import Identity, running

        made = running(self._vm, task, comm, pid, tgid, Identity(uid, gid, cgroup))
        for name, answer in made.answers().items():
            self.helpers[name] = answer
        found: Structure | None = made.task
        return found

    @property
    def random(self) -> Iterator[int]:
        """The random numbers to come; set to one number for ever, or to several in turn."""
        return self._random

    @random.setter
    def random(self, numbers: int | Iterable[int]) -> None:
        self._random = repeat(numbers) if isinstance(numbers, int) else iter(numbers)

    @property
    def sockets(self) -> Sequence[Socket]:
        """The sockets that programs find when they look for one."""
        return self._vm.sockets.sockets if self._vm.sockets is not None else ()

    @sockets.setter
    def sockets(self, sockets: Sequence[Socket]) -> None:
        from osmia.vm.sockets import Sockets

        self._vm.sockets = Sockets(self._vm, sockets)

    @property
    def assigned(self) -> list[Socket | None]:
        """The sockets that programs assigned packets or connections to, in order."""
        return self._vm.sockets.assigned if self._vm.sockets is not None else []

    def _next(self) -> int:
        for number in self._random:
            return number & 0xFFFF_FFFF
        raise ValueError("the test has given no more random numbers")


def _seeded() -> Iterator[int]:
    source = Random(0)
    while True:
        yield source.getrandbits(32)
