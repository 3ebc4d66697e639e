"""What native functions in Python stored while they held a map's lock, to take it back.

Compiled native functions are one step to signals; in Python a signal can come anywhere in one, and
what its handler raises would leave the map half changed and its lock taken. So stores under a lock
are remembered, and taken back where the function ends early, the lock's too. A handler that wants
the lock that its own thread has gets an error (EBUSY): it would wait for itself. All of it happens
under the lock of `Natives`.
"""

from __future__ import annotations

import errno

from osmia.errors import KernelError
from osmia.vm.memory import Memory


class UndoLog:
    """The stores since a lock was taken, and what they replaced; empty while none is."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._entries: list[tuple[int, bytes]] = []

    def lock(self, address: int) -> int:
        """Take a lock of control memory. Nobody has it but who a signal came into."""
        if self._entries:
            hint = "a signal came into an operation on a map; with llvmlite its handler may"
            raise KernelError(errno.EBUSY, "use a map", hint=hint)
        self._entries.append((address, bytes(4)))
        self._memory.store32(address, 1)
        return 0

    def unlock(self, address: int) -> int:
        """Release it: what was stored stays. A signal before the last step undoes all of it."""
        self._memory.store32(address, 0)
        self._entries.clear()
        return 0

    def before(self, address: int, size: int) -> None:
        """Remember bytes that are about to change."""
        if self._entries:
            self._entries.append((address, self._memory.read(address, size)))

    @property
    def pending(self) -> bool:
        """Whether a function holds a lock now."""
        return bool(self._entries)

    def take_back(self) -> None:
        """Restore all that changed since the lock was taken, which is free then."""
        while self._entries:
            address, old = self._entries[-1]
            self._memory.write(address, old)
            self._entries.pop()
