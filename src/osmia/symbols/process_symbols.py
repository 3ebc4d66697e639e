"""The names of addresses in a process: of its files, of the vdso, of what JIT compilers told."""

from __future__ import annotations

import os
from collections.abc import Iterable

from osmia.errors import OsmiaError
from osmia.locks import make_lock
from osmia.symbols.binaries import Binaries, Binary
from osmia.symbols.foreign_files import open_regular, reopen_regular
from osmia.symbols.frames import Frame
from osmia.symbols.jit_map import JitMap
from osmia.symbols.memory_maps import Mapping, MemoryMaps
from osmia.symbols.vdso import vdso_binary
from osmia.values.stacks import FilePlace

#: Former contents of a process's memory that are remembered: before exec, before dlclose.
_GENERATIONS = 8


class NoSuchProcessError(OsmiaError, ProcessLookupError):
    """A process that is gone, and of which nothing was remembered."""


class ProcessSymbols:
    """Names in the memory of one process. What it has mapped is read when it is asked for, and
    remembered: addresses keep their names after exec, dlclose, and the process's end.

    NoSuchProcessError for a process that is not there. Without the right to look at the process
    (its own user, or CAP_SYS_PTRACE) nothing has a name.
    """

    def __init__(self, pid: int, binaries: Binaries | None = None) -> None:
        self.pid = pid
        self.started = start_time(pid)
        if self.started is None:
            raise NoSuchProcessError(f"there is no process {pid}")
        self._binaries = binaries or Binaries()
        self._generations: list[tuple[MemoryMaps, dict[int, Binary | None]]] = []
        self._jit = JitMap(pid)
        self._jit_is_read = False
        self._lock = make_lock()
        self.remember()

    @property
    def alive(self) -> bool:
        """Whether the process is there still, and no other of its number."""
        return start_time(self.pid) == self.started

    def remember(self) -> bool:
        """Read what the process has mapped now, and open its files, so that addresses have names
        when it is gone. Whether it was there."""
        with self._lock:
            try:
                with open(f"/proc/{self.pid}/maps", "rb") as file:  # noqa: PTH123
                    text = file.read()
            except OSError:
                return False
            if not text or not self.alive:  # a zombie has no memory
                return False
            if self._generations and self._generations[0][0].text == text:
                return True
            self._add(MemoryMaps(text))
            if start_time(self.pid) != self.started:  # its number may be another's by now
                del self._generations[0]
            return True

    def symbolize(
        self, addresses: Iterable[int], *, stack: bool = False
    ) -> list[tuple[Frame, ...]]:
        """Of each address the function, behind those that the compiler put in its place: innermost
        first. With `stack` addresses are those of a stack: all but the first are where calls
        return to, and the lines are those of the calls."""
        self.remember()
        with self._lock:
            self._jit_is_read = False
            return [
                self._frames(address, address - (stack and index > 0))
                for index, address in enumerate(addresses)
            ]

    def frames(self, address: int) -> tuple[Frame, ...]:
        """The same for one address."""
        return self.symbolize([address])[0]

    def place(self, place: FilePlace, *, returned_to: bool = False) -> tuple[Frame, ...]:
        """The function at a place of a file that the process has mapped, by build id."""
        self.remember()
        with self._lock:
            for maps, files in self._generations:
                for mapping in maps.mappings:
                    if not mapping.executable or not mapping.is_file:
                        continue
                    binary = files.get(mapping.start)
                    if binary is not None and binary.build_id == place.build_id:
                        return _in_binary(binary, place.offset, place.offset, returned_to)
        return (Frame(place.offset, module=f"build id {place.build_id}"),)

    def _add(self, maps: MemoryMaps) -> None:
        """A new state of the memory; what is mapped is opened as long as it is there."""
        before, opened = self._generations[0] if self._generations else (None, {})
        files = {}
        for each in maps.mappings:
            if each.executable and (each.is_file or each.path == "[vdso]"):
                known = before is not None and before.find(each.start) == each
                files[each.start] = opened.get(each.start) if known else self._open(each)
        self._generations.insert(0, (maps, files))
        del self._generations[_GENERATIONS:]
        self._jit.update()

    def _open(self, mapping: Mapping) -> Binary | None:
        if not mapping.is_file:
            return vdso_binary(self.pid, mapping)
        root = f"/proc/{self.pid}/root"
        # The very file, whatever is at its path now and in whichever mount namespace; but the
        # kernel lets only privileged processes follow these links.
        link = f"/proc/{self.pid}/map_files/{mapping.start:x}-{mapping.end:x}"
        fd = reopen_regular(link)
        if fd is None:
            fd = open_regular(mapping.path, root)
            if fd is not None and os.fstat(fd).st_ino != mapping.inode:
                os.close(fd)
                fd = None
        if fd is None:
            return None
        return self._binaries.find(os.fstat(fd), Binary(fd, mapping.path, (root, "/")))

    def _frames(self, address: int, looked_up: int) -> tuple[Frame, ...]:
        for maps, files in self._generations:
            mapping = maps.find(looked_up)
            if mapping is None:
                continue
            frames: tuple[Frame, ...] = (Frame(address, module=mapping.path),)
            if (binary := files.get(mapping.start)) is not None:
                offset = looked_up - mapping.start + mapping.offset
                frames = _in_binary(binary, address, offset, address != looked_up)
            if frames[0].name:
                return frames
            compiled = self._compiled(address, looked_up)
            return frames if compiled is None else (compiled,)
        return (self._compiled(address, looked_up) or Frame(address),)

    def _compiled(self, address: int, looked_up: int) -> Frame | None:
        """What a JIT compiler told of an address."""
        function = self._jit.find(looked_up)
        if function is None and not self._jit_is_read:
            self._jit_is_read = True
            if self.alive and self._jit.update():
                function = self._jit.find(looked_up)
        if function is None:
            return None
        return Frame(address, function.name, "[jit]", address - function.start)


def _in_binary(binary: Binary, address: int, offset: int, returned_to: bool) -> tuple[Frame, ...]:
    """What is at an offset into a file, that of what is looked up."""
    looked_up = binary.image_address(offset)
    if looked_up is None:
        return (Frame(address, module=binary.path),)
    return binary.frames(address, looked_up + returned_to, looked_up)


def start_time(pid: int) -> int | None:
    """When a process began, in ticks since boot: with its number that says which one it is."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
