"""The memory of a vm: one reservation, typed access, and allocators for its two parts.

See `osmia.vm.layout` for what lies where and docs/vm.md for why.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import mmap
import sys
from functools import cached_property
from struct import Struct

from osmia.errors import ClosedError, KernelError
from osmia.vm import layout

DEFAULT_REGION = 1 << 30
SMALLEST_REGION = 1 << 23
LARGEST_REGION = 1 << 32

#: From this size on whole pages are given back instead of being written: those that nobody touched
#: since stay the system's, and cost nothing. Only Linux promises that zeros come back.
_WORTH_RETURNING = 1 << 16 if sys.platform == "linux" else LARGEST_REGION

_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_PAGE = mmap.PAGESIZE

_U16 = Struct("<H")
_U32 = Struct("<I")
_U64 = Struct("<Q")
_LOADS = {size: Struct(code) for size, code in ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"))}


class Memory:
    """The region that programs address, and the control memory behind it.

    `size` is the region's, in bytes: a power of two from 8 MiB to 4 GiB. The system gives
    pages when they are first written, so an unused region costs nothing. Addresses are
    counted from the region's start; `base` is where that is in this process.
    """

    def __init__(self, size: int = DEFAULT_REGION) -> None:
        if size & (size - 1) or not SMALLEST_REGION <= size <= LARGEST_REGION:
            raise ValueError(f"a region of {size} bytes: not a power of two from 8 MiB to 4 GiB")
        self.size = size
        self.mask = size - 1
        self.control_start = size + layout.GUARD
        self.end = self.control_start + size
        self._map = _reserve(self.end + layout.GUARD)
        self.view = memoryview(self._map)
        self._views: dict[str, memoryview] = {}
        self.closed = False
        """Whether `close` was called."""
        self.region = Allocator(self, layout.FIRST_ADDRESS, size)
        self.control = Allocator(self, self.control_start, self.end)

    def close(self) -> None:
        """Give the reservation back. Views that were handed out must be released first."""
        if self.closed:
            return
        for view in (*self._views.values(), self.view):
            view.release()
        # A view that a caller still holds keeps the pages: they go with its last reference.
        with contextlib.suppress(BufferError):
            self._map.close()
        self.base = 0
        self.closed = True

    @cached_property
    def base(self) -> int:
        """Where the region begins in this process; 0 once it is closed."""
        import ctypes  # only compiled code asks

        anchor = ctypes.c_char.from_buffer(self._map)
        return ctypes.addressof(anchor) + layout.GUARD

    def views(self) -> dict[str, memoryview]:
        """The memory and the guard before it, as bytes and as words of the machine's order; until
        it is closed."""
        if not self._views:
            cast = self.view.cast
            words = {"words16": cast("H"), "words32": cast("I"), "words64": cast("Q")}
            self._views = {"bytes8": cast("B")} | words
        return self._views

    def load(self, address: int, size: int) -> int:
        """The unsigned integer of 1, 2, 4 or 8 bytes at an address."""
        value: int = _LOADS[size].unpack_from(self.view, address + layout.GUARD)[0]
        return value

    def store(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes (1, 2, 4 or 8) of an unsigned integer."""
        _LOADS[size].pack_into(self.view, address + layout.GUARD, value & ((1 << (8 * size)) - 1))

    def load8(self, address: int) -> int:
        """The byte at an address."""
        return self.view[address + layout.GUARD]

    def load16(self, address: int) -> int:
        """The u16 at an address."""
        value: int = _U16.unpack_from(self.view, address + layout.GUARD)[0]
        return value

    def load32(self, address: int) -> int:
        """The u32 at an address."""
        value: int = _U32.unpack_from(self.view, address + layout.GUARD)[0]
        return value

    def load64(self, address: int) -> int:
        """The u64 at an address."""
        value: int = _U64.unpack_from(self.view, address + layout.GUARD)[0]
        return value

    def store8(self, address: int, value: int) -> None:
        """Store a value's low byte."""
        self.view[address + layout.GUARD] = value & 0xFF

    def store16(self, address: int, value: int) -> None:
        """Store a value's low 16 bits."""
        _U16.pack_into(self.view, address + layout.GUARD, value & 0xFFFF)

    def store32(self, address: int, value: int) -> None:
        """Store a value's low 32 bits."""
        _U32.pack_into(self.view, address + layout.GUARD, value & 0xFFFFFFFF)

    def store64(self, address: int, value: int) -> None:
        """Store a value's low 64 bits."""
        _U64.pack_into(self.view, address + layout.GUARD, value & 0xFFFF_FFFF_FFFF_FFFF)

    def read(self, address: int, size: int) -> bytes:
        """A copy of `size` bytes."""
        start = address + layout.GUARD
        return bytes(self.view[start : start + size])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store bytes."""
        start = address + layout.GUARD
        self.view[start : start + len(data)] = data

    def zero(self, address: int, size: int) -> None:
        """Set `size` bytes to 0; whole pages of a large range go back to the system."""
        start, end = address + layout.GUARD, address + layout.GUARD + size
        if size >= _WORTH_RETURNING:
            first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
            self._map.madvise(mmap.MADV_DONTNEED, first, last - first)
            self.view[start:first] = bytes(first - start)
            self.view[last:end] = bytes(end - last)
        else:
            self.view[start:end] = bytes(size)

    def slice(self, address: int, size: int) -> memoryview:
        """A writable view of the memory itself; whoever asked releases it."""
        if self.closed:
            raise ClosedError("the vm is closed")
        start = address + layout.GUARD
        return self.view[start : start + size]


class Allocator:
    """First fit over one part of the memory: blocks are few (a map, a CPU) and mostly large.

    The list of free pieces is replaced, and only where it is still the one that was read: a
    signal's handler or a finalizer in between may allocate and free too.
    """

    def __init__(self, memory: Memory, start: int, end: int) -> None:
        self._memory = memory
        self._free: list[tuple[int, int]] = [(start, end)]
        self._sizes: dict[int, int] = {}

    def allocate(self, size: int, alignment: int = 8) -> int:
        """The address of `size` zeroed bytes; KernelError (ENOMEM) when there is no room."""
        size = max(size, 1)
        while True:
            known = self._free
            address, free = _without(known, size, alignment)
            if self._free is known:
                self._free = free
                break
        self._sizes[address] = size
        self._memory.zero(address, size)  # programs may have written there, unasked
        return address

    def claim(self, address: int, size: int) -> None:
        """Take a block that is free now back, as it is; KernelError (ENOMEM) where it is not."""
        size = max(size, 1)
        known = self._free
        for index, (start, end) in enumerate(known):
            if start <= address and address + size <= end:
                pieces = [(start, address), (address + size, end)]
                left = [piece for piece in pieces if piece[0] < piece[1]]
                self._free = known[:index] + left + known[index + 1 :]
                self._sizes[address] = size
                return
        raise KernelError(errno.ENOMEM, f"take {size} bytes at {address:#x} back")

    def size_of(self, address: int) -> int:
        """The bytes of a block that begins there; 0 for none."""
        return self._sizes.get(address, 0)

    def free(self, address: int) -> None:
        """Give a block back."""
        size = self._sizes.pop(address)
        while True:
            known = self._free
            free = _with(known, address, address + size)
            if self._free is known:
                self._free = free
                break


Pieces = list[tuple[int, int]]


def _without(free: Pieces, size: int, alignment: int) -> tuple[int, Pieces]:
    """An address for so many bytes, and what is free beside them."""
    for index, (start, end) in enumerate(free):
        address = -(-start // alignment) * alignment
        if address + size <= end:
            pieces = [(start, address), (address + size, end)]
            left = [piece for piece in pieces if piece[0] < piece[1]]
            return address, free[:index] + left + free[index + 1 :]
    raise KernelError(errno.ENOMEM, f"allocate {size} bytes of the vm's memory")


def _with(free: Pieces, start: int, end: int) -> Pieces:
    """What is free together with a piece."""
    free = free.copy()
    index = bisect.bisect_left(free, (start, end))
    if index < len(free) and free[index][0] == end:
        end = free.pop(index)[1]
    if index and free[index - 1][1] == start:
        index -= 1
        start = free.pop(index)[0]
    free.insert(index, (start, end))
    return free


def _reserve(size: int) -> mmap.mmap:
    flags = {}
    if hasattr(mmap, "MAP_PRIVATE"):
        flags["flags"] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    try:
        return mmap.mmap(-1, size, **flags)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOMEM
        raise KernelError(number, f"reserve {size} bytes of address space for the vm") from error
