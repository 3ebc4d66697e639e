"""One place to ask: the kernel's names and those of processes, each read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from osmia.locks import make_lock
from osmia.symbols.binaries import Binaries
from osmia.symbols.frames import Frame
from osmia.symbols.kernel_symbols import KernelSymbols
from osmia.symbols.process_symbols import NoSuchProcessError, ProcessSymbols, start_time
from osmia.values.stacks import KERNEL_START, FilePlace

#: How many processes are remembered; those asked for last.
_REMEMBERED = 4096


class Symbols:
    """The names of addresses on this machine. It remembers what it read: files by device, inode
    and time of change, processes by number and start; also those that are gone since."""

    def __init__(self) -> None:
        self.kernel = KernelSymbols()
        self._binaries = Binaries()
        self._processes: OrderedDict[int, ProcessSymbols] = OrderedDict()
        self._lock = make_lock()

    def process(self, pid: int) -> ProcessSymbols:
        """The names in a process; NoSuchProcessError for one that neither is there nor was when
        it was asked for before."""
        with self._lock:
            known = self._processes.get(pid)
            if known is not None and start_time(pid) in (known.started, None):
                self._processes.move_to_end(pid)
                return known
            found = self._processes[pid] = ProcessSymbols(pid, self._binaries)
            self._processes.move_to_end(pid)
            if len(self._processes) > _REMEMBERED:
                self._processes.popitem(last=False)
            return found

    def remember(self, pids: Iterable[int]) -> None:
        """Read what processes have mapped, so that their addresses have names when they ended."""
        for pid in pids:
            try:
                self.process(pid).remember()
            except NoSuchProcessError:
                continue

    def frames(self, stack: Iterable[int | FilePlace], pid: int | None = None) -> list[Frame]:
        """The frames of a stack, innermost first; functions that were inlined stand before the
        one that they are in. `pid` is the process whose stack it is: without it, or when nothing
        is known of it any more, what is in user space has no names."""
        return [frame for group in self.grouped(stack, pid) for frame in group]

    def grouped(
        self, stack: Iterable[int | FilePlace], pid: int | None = None, *, returns: bool = True
    ) -> list[tuple[Frame, ...]]:
        """The same, the frames of each element as a tuple. Without `returns` addresses are no
        stack, but each where something is."""
        elements = list(stack)
        addresses = [-1 if isinstance(each, FilePlace) else each for each in elements]
        kernel = [index for index, each in enumerate(addresses) if each >= KERNEL_START]
        user = [index for index, each in enumerate(addresses) if 0 <= each < KERNEL_START]
        in_kernel = self.kernel.symbolize([addresses[i] for i in kernel], stack=returns)
        found = dict(zip(kernel, in_kernel, strict=True))
        process = self._process(pid)
        if process is not None:
            in_process = process.symbolize([addresses[i] for i in user], stack=returns)
            found |= zip(user, in_process, strict=True)
        for index, each in enumerate(elements):
            if isinstance(each, FilePlace) and process is not None:
                found[index] = process.place(each, returned_to=returns and index > 0)
        return [found.get(index) or (_unknown(each),) for index, each in enumerate(elements)]

    def _process(self, pid: int | None) -> ProcessSymbols | None:
        if not pid:
            return None
        try:
            return self.process(pid)
        except NoSuchProcessError:
            return None


def _unknown(element: int | FilePlace) -> Frame:
    if isinstance(element, FilePlace):
        return Frame(element.offset, module=f"build id {element.build_id}")
    return Frame(element)
