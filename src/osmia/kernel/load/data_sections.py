"""Data sections while an object is loaded: the memory behind `LoadedObject.data`."""

from __future__ import annotations

import mmap

from osmia.errors import ClosedError
from osmia.kernel.load.arenas import ArenaSection
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.model import DataSection, Map
from osmia.object.uapi import MapFlag


class MappedSection:
    """A section shared with the kernel through mmap (since 5.5): reads and writes are direct.

    It is mapped when somebody first looks: that takes longer than making the map."""

    def __init__(self, fd: FileDescriptor, size: int, *, writable: bool) -> None:
        self._fd: FileDescriptor | None = fd
        self._size = size
        self._writable = writable
        self._memory: mmap.mmap | None = None
        self._view: memoryview | None = None

    def view(self) -> memoryview:
        """The section's memory. ClosedError after `close`."""
        view = self._view
        return view if view is not None else self._map()

    def _map(self) -> memoryview:
        if self._fd is None:
            raise ClosedError("the object is closed")
        length = -(-self._size // mmap.PAGESIZE) * mmap.PAGESIZE
        access = mmap.PROT_READ | mmap.PROT_WRITE if self._writable else mmap.PROT_READ
        memory = mmap.mmap(self._fd.fileno(), length, mmap.MAP_SHARED, access)
        self._memory, self._view = memory, memoryview(memory)
        return self._view

    def read(self, offset: int, size: int) -> bytes:
        """The bytes now."""
        return bytes(self.view()[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes; programs on other CPUs may see them one by one."""
        self.view()[offset : offset + len(data)] = data

    def close(self) -> None:
        """Unmap it."""
        self._fd = None
        if self._view is not None and self._memory is not None:
            self._view.release()
            self._view = None
            self._memory.close()


class CopiedSection:
    """A section that the kernel does not map: each read and write copies all of it."""

    def __init__(self, fd: FileDescriptor, size: int) -> None:
        self._fd = fd
        self._size = size

    def read(self, offset: int, size: int) -> bytes:
        """The bytes now."""
        return bytes(self._all()[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes. What programs write to the section meanwhile is overwritten."""
        contents = self._all()
        contents[offset : offset + len(data)] = data
        call = syscall.ElementCall(self._fd.fileno(), 4, self._size)
        call.value.raw = bytes(contents)
        _operate(call, syscall.Command.MAP_UPDATE_ELEM, "write global data")

    def _all(self) -> bytearray:
        call = syscall.ElementCall(self._fd.fileno(), 4, self._size)
        _operate(call, syscall.Command.MAP_LOOKUP_ELEM, "read global data")
        return bytearray(call.value.raw)

    def close(self) -> None:
        """Nothing to give back: the descriptor is somebody else's."""


class LoadedSection(NamedTuple):
    """A data section in the kernel: its map's descriptor and its memory."""

    section: DataSection
    definition: Map
    fd: FileDescriptor
    memory: MappedSection | CopiedSection | ArenaSection

    def close(self) -> None:
        """Unmap the memory and give the map up."""
        self.memory.close()
        self.fd.close()


def _operate(call: syscall.ElementCall, command: syscall.Command, what: str) -> None:
    error = call(command)
    if error:
        raise syscall.error_of(command, error, what)


def open_section(
    fd: FileDescriptor, size: int, flags: int, *, writable: bool
) -> MappedSection | CopiedSection:
    """The memory of a section's map: mapped where the map allows it."""
    if flags & MapFlag.MMAPABLE:
        return MappedSection(fd, size, writable=writable)
    return CopiedSection(fd, size)
