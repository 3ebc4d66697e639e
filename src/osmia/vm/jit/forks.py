"""A vm's compiled code around a fork: runs of other threads end in the child, wherever they were.

Compiled programs take the locks of maps in memory, without Python's. A fork takes these too, so no
map is half changed in the child. A
door in which a helper of such a run was is replaced.
"""

from __future__ import annotations

import threading
import time

from osmia.locks import at_fork
from osmia.vm import layout
from osmia.vm.jit.door import Door

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.engine import Vm

_PATIENCE = 0.05
"""Seconds for all maps: a lock is held for long only while a program drains a user ring."""


class Forks:
    """What a compiler's vm does around a fork."""

    def __init__(self, vm: Vm, doors: dict[int, Door]) -> None:
        self._vm = vm
        self._doors = doors
        self._lost: list[Door] = []  # they can neither go on nor be closed
        self._taken: list[list[int]] = []
        at_fork(self)

    def before_fork(self) -> None:
        """Take the locks of all maps."""
        taken: list[int] = []
        self._taken.append(taken)
        if self._vm.closed:
            return
        deadline = time.monotonic() + _PATIENCE
        for word in self._words():
            while self._swap(word, 0, 1):
                if time.monotonic() > deadline:
                    break
                time.sleep(0)
            else:
                taken.append(word)

    def after_fork(self, child: bool) -> None:
        """Give them back; in a child all that are not this thread's."""
        taken = self._taken.pop() if self._taken else []
        if self._vm.closed:
            return
        for word in taken:
            self._swap(word, 1, 0)
        if child:
            self._forget_others()

    def _forget_others(self) -> None:
        if self._vm.cpus.idle:
            for word in self._words():
                self._swap(word, 1, 0)
        here = threading.get_ident()
        for number, door in list(self._doors.items()):
            if door.busy and door.thread != here:
                self._lost.append(self._doors.pop(number))
            else:
                door.forget_thread()

    def _words(self) -> list[int]:
        return [each.header + layout.MAP_LOCK for each in self._vm.lifetimes.maps.values()]

    def _swap(self, word: int, expected: int, value: int) -> int:
        return self._vm.natives.call("exchange32", word, expected, value)
