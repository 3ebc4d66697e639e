"""Strict mode: what a program may touch, and which bytes of its stack hold anything yet.

The rules are those of the verifier, applied to the addresses of a real run: stack frames
of the active calls, the context's fields, the packet between data and data_end, live map
values and open ring buffer reservations. Whatever else is reached is a fault.
"""

from __future__ import annotations

import bisect

from osmia.protocols import Protocol
from osmia.vm import layout


class AccessError(Exception):
    """An access that the rules forbid; the interpreter adds the place."""


class Owner(Protocol):
    """Whoever owns an area of the region."""

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """Why an access that starts in this area is forbidden; None when it is not."""


class Areas:
    """The areas of the region that belong to somebody, ordered by address.

    A signal's handler may add and remove some between any two steps: each change is one.
    """

    def __init__(self) -> None:
        self._areas: list[tuple[int, int, Owner]] = []  # start, end

    def add(self, start: int, size: int, owner: Owner) -> None:
        """Say that `size` bytes from `start` belong to `owner`."""
        bisect.insort(self._areas, (start, start + size, owner))

    def remove(self, start: int) -> None:
        """Forget the area that starts there."""
        self._areas.remove(self._areas[bisect.bisect_left(self._areas, (start,))])

    def owner(self, address: int) -> Owner | None:
        """Who owns the byte at an address."""
        index = bisect.bisect(self._areas, (address, _EVERYWHERE)) - 1
        if index < 0:
            return None
        _, end, owner = self._areas[index]
        return owner if address < end else None


_EVERYWHERE = 1 << 64
"""Beyond every address."""


class StackFrame:
    """One frame of the stack and which of its bytes were written."""

    __slots__ = ("end", "start", "written")

    def __init__(self, pointer: int) -> None:
        self.start = pointer - layout.FRAME_SIZE
        self.end = pointer
        self.written = bytearray(layout.FRAME_SIZE)

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `Owner`."""
        offset = address - self.start
        if address + size > self.end:
            return f"an access of {size} bytes at r10{address - self.end:+} runs over the frame"
        if write:
            self.written[offset : offset + size] = b"\1" * size
        elif 0 in self.written[offset : offset + size]:
            return f"reads {size} bytes of stack at r10{address - self.end:+}, not all written yet"
        return None


class Room(Owner, Protocol):
    """A part of the stack: a frame, or what a helper handed over there."""

    start: int
    end: int


class Stack:
    """The active frames of a run, the innermost last."""

    def __init__(self) -> None:
        self.frames: list[Room] = []

    def frame_of(self, address: int) -> Room | None:
        """The active frame that an address lies in."""
        for frame in reversed(self.frames):
            if frame.start <= address < frame.end:
                return frame
        return None

    def wrote(self, address: int, size: int) -> None:
        """Say that a helper wrote to memory: of a frame it holds something now."""
        frame = self.frame_of(address)
        if isinstance(frame, StackFrame):
            first = address - frame.start
            size = min(size, layout.FRAME_SIZE - first)
            frame.written[first : first + size] = b"\1" * size


class Access:
    """Every rule for one run: its stack, its context and packet, the vm's areas."""

    def __init__(self, areas: Areas, context: Owner | None, block: int) -> None:
        self.stack = Stack()
        self._areas = areas
        self._context = context
        self._block = block

    def check(self, address: int, size: int, write: bool) -> None:
        """Raise AccessError when the rules forbid an access."""
        why = self._forbids(address, size, write)
        if why is not None:
            raise AccessError(why)

    def leads_nowhere(self, address: int) -> bool:
        """Whether an address is neither in this run's block nor anybody's."""
        if self._block <= address < self._block + layout.CPU_BLOCK:
            return False
        return self._areas.owner(address) is None

    def check_there(self, address: int, size: int) -> None:
        """Raise AccessError when memory is not all there, written yet or not."""
        frame = self.stack.frame_of(address)
        if frame is None:
            self.check(address, size, False)
        elif address + size > frame.end:
            raise AccessError(f"an access of {size} bytes at {address:#x} runs over the frame")

    def _forbids(self, address: int, size: int, write: bool) -> str | None:
        if size == 0:
            return None
        if self._block <= address < self._block + layout.CPU_BLOCK:
            frame = self.stack.frame_of(address)
            if frame is not None:
                return frame.forbids(address, size, write)
            if address >= self._block + layout.CPU_CONTEXT and self._context is not None:
                return self._context.forbids(address, size, write)
            return f"address {address:#x} is in no frame of the active calls"
        owner = self._areas.owner(address)
        if owner is not None:
            return owner.forbids(address, size, write)
        if address < layout.FIRST_ADDRESS:
            return f"a null pointer (address {address:#x})"
        return f"address {address:#x} belongs to nothing"
