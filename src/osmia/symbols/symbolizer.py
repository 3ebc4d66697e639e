"""One place to ask: the kernel's names and those of processes, each read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from osmia.locks import make_lock
from osmia.symbols.binaries import Binaries
from osmia.symbols.frames import Frame
from osmia.symbols.kernel_symbols import KernelSymbols
from osmia.symbols.process_symbols import NoSuchProcessError, ProcessSymbols, start_time
from osmia.values.stacks import KERNEL_START, FilePlace, Stack

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
        stack = Stack(stack)
        found = dict(self._named(stack, pid))
        return [frame for index in range(len(stack)) for frame in found[index]]

    def _named(self, stack: Stack, pid: int | None) -> Iterable[tuple[int, tuple[Frame, ...]]]:
        """Of each element its index and frames."""
        kernel = [i for i, each in enumerate(stack) if _address(each) >= KERNEL_START]
        user = [i for i, each in enumerate(stack) if 0 <= _address(each) < KERNEL_START]
        yield from zip(
            kernel,
            self.kernel.symbolize([_address(stack[i]) for i in kernel], stack=True),
            strict=True,
        )
        process = self._process(pid)
        addresses = [_address(stack[i]) for i in user]
        if process is None:
            yield from zip(user, [(Frame(each),) for each in addresses], strict=True)
        else:
            yield from zip(user, process.symbolize(addresses, stack=True), strict=True)
        for index, place in enumerate(stack):
            if isinstance(place, FilePlace):
                unknown = (Frame(place.offset, module=f"build id {place.build_id}"),)
                yield index, process.place(place, returned_to=index > 0) if process else unknown

    def _process(self, pid: int | None) -> ProcessSymbols | None:
        if not pid:
            return None
        try:
            return self.process(pid)
        except NoSuchProcessError:
            return None


def _address(element: int | FilePlace) -> int:
    return -1 if isinstance(element, FilePlace) else element
