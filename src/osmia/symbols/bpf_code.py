"""BPF programs as the kernel compiled them: where their functions are, and their source lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from osmia.errors import OsmiaError
from osmia.kernel.inventory.code_listing import source_lines
from osmia.kernel.programs import info
from osmia.kernel.programs.program import KernelProgram
from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine

#: Functions of programs that are gone, and are remembered.
_REMEMBERED = 1 << 16


class BpfFunction(NamedTuple):
    """A function of a program: `size` bytes from the kernel address `start`. `name` is what
    /proc/kallsyms calls it, where that can be known without: that of a program's entry."""

    start: int
    size: int
    program: int
    name: str


class BpfCode:
    """The functions of all programs that were seen, by address; those that are gone too, until
    another has their place. Empty for who may not list programs (CAP_SYS_ADMIN)."""

    def __init__(self) -> None:
        self._programs: set[int] = set()
        self._functions: dict[int, BpfFunction] = {}
        self._starts: list[int] = []
        self._lines: dict[int, tuple[tuple[int, ...], list[SourceLine]]] = {}

    def update(self, identifiers: Iterable[int]) -> None:
        """Look at the programs of these ids that were not seen yet."""
        new = [each for each in identifiers if each not in self._programs]
        if not new:
            return
        self._programs.update(new)
        if len(self._functions) > _REMEMBERED:
            self._functions.clear()
        for identifier in new:
            for function in _functions(identifier):
                self._functions[function.start] = function
        self._starts = sorted(self._functions)

    def find(self, address: int) -> BpfFunction | None:
        """The function that an address is in."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        found = self._functions[self._starts[place]]
        return found if address < found.start + found.size else None

    def line(self, function: BpfFunction, address: int) -> SourceLine | None:
        """The source line of an address in a function, of programs with types (since 5.0)."""
        kept = self._lines.get(function.program)
        if kept is None:
            kept = self._lines[function.program] = _lines(function.program)
        addresses, lines = kept
        place = bisect_right(addresses, address) - 1
        if place < 0 or addresses[place] < function.start:
            return None
        return lines[place]


def _functions(identifier: int) -> list[BpfFunction]:
    try:
        with KernelProgram.from_id(identifier) as program:
            addresses = info.native_addresses(program.fileno())
            sizes = info.native_lengths(program.fileno())
            tag = program.info.tag
            name = program.name
    except OsmiaError:  # unloaded meanwhile, or hidden
        return []
    return [
        BpfFunction(start, size, identifier, "" if index else f"bpf_prog_{tag}_{name}")
        for index, (start, size) in enumerate(zip(addresses, sizes, strict=False))
        if start
    ]


def _lines(identifier: int) -> tuple[tuple[int, ...], list[SourceLine]]:
    """Addresses, ascending, and the source line from each on."""
    try:
        with KernelProgram.from_id(identifier) as program:
            addresses = info.native_line_addresses(program.fileno())
            lines = source_lines(program)
    except OsmiaError:
        return (), []
    pairs = sorted(zip(addresses, lines, strict=False), key=lambda each: each[0])
    return tuple(address for address, _ in pairs), [line for _, line in pairs]
