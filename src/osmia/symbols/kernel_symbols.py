"""The names of addresses in the kernel: its own, its modules', those of BPF programs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from contextlib import suppress

from osmia.errors import OsmiaError
from osmia.kernel.inventory.iterate import program_ids
from osmia.locks import make_lock
from osmia.named_tuples import NamedTuple
from osmia.symbols.bpf_code import BpfCode, BpfFunction
from osmia.symbols.frames import Frame
from osmia.values.stacks import KERNEL_START

#: How far behind a symbol code may be and belong to it, where no other symbol follows.
_FARTHEST = 4 << 20


class _Symbol(NamedTuple):
    name: str
    module: str
    start: int


class KernelSymbols:
    """The kernel's symbols, read once, and again when an address is unknown and modules or BPF
    programs came since. Who may not see addresses in /proc/kallsyms (kernel.kptr_restrict) gets
    frames without names."""

    def __init__(self) -> None:
        self._table: _Table | None = None
        self._state: object = None
        self._bpf = BpfCode()
        self._lock = make_lock()

    def frame(self, address: int) -> Frame:
        """The function, or datum, at an address; of BPF programs the source line too."""
        return self.symbolize([address])[0][0]

    def symbolize(
        self, addresses: Iterable[int], *, stack: bool = False
    ) -> list[tuple[Frame, ...]]:
        """The same of many, each as a tuple of one frame, as `ProcessSymbols.symbolize` has it.
        With `stack` all but the first are where calls return to."""
        wanted = list(addresses)
        with self._lock:
            looked_up = [each - (stack and index > 0) for index, each in enumerate(wanted)]
            found = self._find(looked_up)
            return [
                (self._frame(address, place, symbol),)
                for address, place, symbol in zip(wanted, looked_up, found, strict=True)
            ]

    def _find(self, addresses: list[int]) -> list[_Symbol | None]:
        if self._table is None:
            self._read()
        assert self._table is not None
        found = list(map(self._table.find, addresses))
        # What is there now may have replaced what was there: programs come and go.
        if any(each is None or each.module == "bpf" for each in found) and self._read():
            found = list(map(self._table.find, addresses))
        return found

    def _read(self) -> bool:
        """Read the symbols, unless no module or program came since; whether they were."""
        identifiers: tuple[int, ...] = ()
        with suppress(OsmiaError):
            identifiers = tuple(program_ids())
        state = identifiers, _contents("/proc/modules")
        if state == self._state:
            return False
        self._table = _Table(_contents("/proc/kallsyms"))
        self._bpf.update(identifiers)
        self._state = state
        return True

    def _frame(self, address: int, looked_up: int, symbol: _Symbol | None) -> Frame:
        function = None
        if symbol is None or symbol.module == "bpf":
            function = self._bpf.find(looked_up)
        if function is not None:
            return self._bpf_frame(address, looked_up, function, symbol)
        if symbol is None:
            return Frame(address, module="kernel" if address >= KERNEL_START else "")
        return Frame(address, symbol.name, symbol.module, address - symbol.start)

    def _bpf_frame(
        self, address: int, looked_up: int, function: BpfFunction, symbol: _Symbol | None
    ) -> Frame:
        name = symbol.name if symbol and symbol.start == function.start else function.name
        line = self._bpf.line(function, looked_up)
        return Frame(
            address,
            name,
            "bpf",
            address - function.start,
            line.file if line else "",
            line.line if line else 0,
        )


class _Table:
    """/proc/kallsyms by address."""

    def __init__(self, text: bytes) -> None:
        lines = text.splitlines()
        addresses = [int(line[:16], 16) for line in lines]
        # CPUs' variables have offsets for addresses, and hidden addresses are 0.
        if addresses != sorted(addresses) or (addresses and addresses[0] < KERNEL_START):
            kept = [each for each in zip(addresses, lines, strict=True) if each[0] >= KERNEL_START]
            kept.sort(key=lambda each: each[0])
            addresses, lines = [each for each, _ in kept], [line for _, line in kept]
        self._addresses = addresses
        self._lines = lines

    def find(self, address: int) -> _Symbol | None:
        after = bisect_right(self._addresses, address)
        if not after:
            return None
        start = self._addresses[after - 1]
        if address - start >= _FARTHEST:
            return None
        # Of several at one address the first, as the kernel has it.
        _, _, name, *module = self._lines[bisect_left(self._addresses, start)].split()
        inside = module[0].decode().strip("[]") if module else "kernel"
        return _Symbol(name.decode("utf-8", "replace"), inside, start)


def _contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""
