"""`osmia.cover`: counts what runs of loaded objects' programs, on the engines that can."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from osmia.coverage.model import CoverageData, FunctionCounts
from osmia.engine.loaded import LoadedObject
from osmia.errors import ClosedError, NotSupportedError
from osmia.isa.disassembler import format_instruction
from osmia.isa.forms import Form

if TYPE_CHECKING:
    from osmia.vm.code import Code, CodeFunction
    from osmia.vm.counting import Counters

_Counts = tuple[Mapping[int, int], Mapping[tuple[int, int], int]]


def cover(*loaded: LoadedObject) -> Coverage:
    """Count what runs of the programs of loaded objects, from now until the end of a `with`.

        with osmia.cover(bpf) as coverage:
            bpf.programs["ingress"].run(packet)
        print(coverage.text())

    Counted are runs by every executor of the userspace engine, batches, tail calls and programs
    that others call too. Raises NotSupportedError for objects of an engine that does not count.
    """
    return Coverage(*loaded)


class Coverage:
    """What `osmia.cover` counts; `data` is what was counted until now. A context manager."""

    def __init__(self, *loaded: LoadedObject) -> None:
        for each in loaded:
            if each.engine != "vm":
                raise NotSupportedError(
                    f"coverage on engine {each.engine!r}: programs are counted in the userspace"
                    ' engine, load(engine="vm")'
                )
            if each.closed:
                raise ClosedError(f"object {each.name!r} is closed")
        self._data = CoverageData()
        self._counted: list[tuple[Any, Sequence[tuple[Code, Counters, _Counts]]]] = []
        for each in dict.fromkeys(loaded):
            self._start(each)

    def _start(self, loaded: Any) -> None:
        programs = [program for program in loaded.programs.values() if not program.closed]
        counting = loaded.vm.need_counting()
        counters = counting.begin(programs)
        parts = [
            (program.code, each, each.read())
            for program, each in zip(programs, counters, strict=True)
        ]
        self._counted.append((loaded, parts))

    @property
    def data(self) -> CoverageData:
        """What was counted until now; of an object that is closed, until then."""
        made = CoverageData().merge(self._data)
        for _, parts in self._counted:
            for code, counters, before in parts:
                for function in _functions(code, counters.read(), before):
                    made.add(function)
        return made

    def stop(self) -> CoverageData:
        """Count no longer; gives what was counted. A further time changes nothing."""
        for loaded, parts in self._counted:
            if not loaded.vm.closed:
                loaded.vm.counting.end([counters for _, counters, _ in parts])
        self._data, self._counted = self.data, []
        return self._data

    def text(self) -> str:
        """A report of plain text; see `osmia.coverage.text.report`."""
        from osmia.coverage.text import report

        return report(self.data)

    def write(self, path: Any, format: str | None = None) -> None:  # noqa: A002
        """Write a file; see `osmia.coverage.writing.write`."""
        from osmia.coverage.writing import write

        write(self.data, path, format)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _functions(code: Code, now: _Counts, before: _Counts) -> Iterator[FunctionCounts]:
    """The functions of a program, and what of them ran between two times."""
    slots = {slot: count - before[0][slot] for slot, count in now[0].items()}
    ways = {way: count - before[1][way] for way, count in now[1].items()}
    for function in code.functions.values():
        yield _function(code, function, slots, ways)


def _function(
    code: Code,
    function: CodeFunction,
    slots: Mapping[int, int],
    ways: Mapping[tuple[int, int], int],
) -> FunctionCounts:
    start = function.start
    own = [
        (slot, i)
        for slot, i in enumerate(code.instructions[start : function.end], start)
        if i is not None
    ]
    lines = {slot - start: line for slot, _ in own if (line := code.line_at(slot)) is not None}
    digest = hashlib.sha256()
    for slot, i in own:
        # Addresses, handles and distances to other functions are a load's own.
        fixed = code.forms[slot] not in (Form.LOAD_IMM64, Form.CALL)
        digest.update(f"{slot - start} {i.opcode} {i.dst} {i.src} {i.offset}".encode())
        digest.update(f" {i.imm if fixed else ''} {lines.get(slot - start, ())[1:3]};".encode())
    inside = {way: count for way, count in ways.items() if start <= way[0] < function.end}
    jumps = {slot for slot, _ in inside}
    return FunctionCounts(
        function.name,
        digest.hexdigest()[:16],
        {slot - start: max(slots.get(slot, 0), 0) for slot, _ in own},
        {(slot - start, target - start): count for (slot, target), count in inside.items()},
        lines,
        {slot - start: format_instruction(i) for slot, i in own if slot in jumps},
    )
