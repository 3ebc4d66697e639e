"""Programs and libraries that processes have mapped: what their addresses are."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence

from osmia.elf import ElfFile
from osmia.errors import ObjectFormatError
from osmia.locks import make_lock
from osmia.symbols.debug_files import build_id, checksum_of, debug_file_candidates
from osmia.symbols.demangling import demangled
from osmia.symbols.dwarf_lines import DwarfLines, read_lines
from osmia.symbols.frames import Frame
from osmia.symbols.plt import plt_entries
from osmia.symbols.symbol_files import has_lines, read_symbol_file
from osmia.symbols.symbol_table import SymbolTable

_EXECUTABLE = 1  # PF_X
#: How many files are remembered, each with a descriptor until its symbols are read.
_REMEMBERED = 256

#: The device, inode, time of change in ns and size of a file.
FileIdentity = tuple[int, int, int, int]


class Binary:
    """A program or library. Nothing is read before it is asked for; then symbols, and of a file
    with DWARF its lines, are read once."""

    def __init__(self, fd: int, path: str, roots: Sequence[str] = ("/",)) -> None:
        """Takes the descriptor over. `path` is the file's, `roots` the directories that it and
        its debug file are looked for in."""
        self.path = path
        self._fd = fd
        self._roots = roots
        self._elf: ElfFile | None = None
        self._table: SymbolTable | None = None
        self._lines: DwarfLines | None = None

    def close(self) -> None:
        """Close the file; names that were not read are unknown."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    @property
    def build_id(self) -> str:
        """In hexadecimal; "" without one."""
        self._read()
        return build_id(self._elf) if self._elf is not None else ""

    def image_address(self, offset: int) -> int | None:
        """The address in the file's image of a byte of the file that is code."""
        self._read()
        found = None
        for segment in self._elf.segments if self._elf is not None else ():
            inside = offset - segment.offset
            if 0 <= inside < segment.file_size:
                found = segment.address + inside
                if segment.flags & _EXECUTABLE:
                    break
        return found

    def frames(self, address: int, image: int, looked_up: int) -> tuple[Frame, ...]:
        """What an address is that is `image` in the file's image, innermost function first.
        What is looked up is `looked_up` in the image: for a return address the call before it."""
        self._read()
        symbol = self._table.find(looked_up) if self._table is not None else None
        places = self._lines.find(looked_up) if self._lines is not None else []
        if not places:
            if symbol is None:
                return (Frame(address, module=self.path),)
            offset = max(0, image - symbol.address)
            return (Frame(address, demangled(symbol.name), self.path, offset),)
        frames = [
            Frame(
                address,
                demangled(each.name),
                self.path,
                max(0, image - each.function_address),
                each.file,
                each.line,
                inlined=True,
            )
            for each in places
        ]
        outermost = frames[-1]._replace(inlined=False)
        if symbol is not None:  # the linker's name says more than DWARF's
            outermost = outermost._replace(
                name=demangled(symbol.name), offset=max(0, image - symbol.address)
            )
        return (*frames[:-1], outermost)

    def _read(self) -> None:
        if self._fd < 0:
            return
        try:
            elf = read_symbol_file(self._fd, self.path)
        except (ObjectFormatError, OSError, ValueError):
            self.close()
            return
        self._elf = elf
        try:
            self._read_symbols(elf)
        finally:
            self.close()

    def _read_symbols(self, elf: ElfFile) -> None:
        elves = [elf]
        if has_lines(elf):
            self._lines = read_lines(self._fd, elf)
        elif (found := self._debug_file(elf)) is not None:
            fd, debug = found
            try:
                elves.append(debug)
                if has_lines(debug):
                    self._lines = read_lines(fd, debug)
            finally:
                os.close(fd)
        self._table = SymbolTable(elves, plt_entries(elf))

    def _debug_file(self, elf: ElfFile) -> tuple[int, ElfFile] | None:
        """The separate debug file, open; the caller closes it."""
        own = os.fstat(self._fd)
        for fd, path, checksum in debug_file_candidates(elf, self.path, self._roots):
            try:
                if not os.path.samestat(os.fstat(fd), own):
                    debug = read_symbol_file(fd, path)
                    if (
                        build_id(debug) == build_id(elf)
                        if checksum is None
                        else checksum_of(fd) == checksum
                    ):
                        return fd, debug
            except (ObjectFormatError, OSError, ValueError):
                pass
            os.close(fd)
        return None


class Binaries:
    """Files by what they are, however many processes have them mapped; those used last."""

    def __init__(self) -> None:
        self._held: OrderedDict[FileIdentity, Binary] = OrderedDict()
        self._lock = make_lock()

    def find(self, status: os.stat_result, opened: Binary) -> Binary:
        """The one that is remembered of a file with this status, and `opened` is closed; or
        `opened`, remembered from now on."""
        key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        with self._lock:
            found = self._held.setdefault(key, opened)
            self._held.move_to_end(key)
            if found is not opened:
                opened.close()
            elif len(self._held) > _REMEMBERED:
                self._held.popitem(last=False)
            return found
