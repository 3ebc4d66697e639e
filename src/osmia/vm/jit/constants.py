"""What a translation reads of the vm's memory: fields that never change, taken as constants.

They are noted down. Code that was kept is for a vm in which all of them are the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from osmia.vm.memory import Memory

Read = tuple[int, int, int]
"""An address, a size in bytes, the value."""


class Constants:
    """The constants of one module."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._values: dict[tuple[int, int], int] = {}

    def load(self, address: int, size: int) -> int:
        """An unsigned integer of 4 or 8 bytes."""
        value = self._values[address, size] = self._memory.load(address, size)
        return value

    def load32(self, address: int) -> int:
        """A u32."""
        return self.load(address, 4)

    def load64(self, address: int) -> int:
        """A u64."""
        return self.load(address, 8)

    @property
    def reads(self) -> tuple[Read, ...]:
        """All that was read."""
        return tuple((*place, value) for place, value in self._values.items())


def still_hold(memory: Memory, reads: Iterable[Read]) -> bool:
    """Whether a vm's memory has what another one's translation read."""
    return all(
        0 <= at <= memory.end - size and memory.load(at, size) == value for at, size, value in reads
    )
