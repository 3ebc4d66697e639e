"""Coverage as lcov's tracefile (geninfo(1)), which genhtml and most CI services read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from osmia.coverage.model import Branch, CoverageData, FunctionCounts


def lcov(data: CoverageData, name: str = "") -> str:
    """The tracefile; `name` is the test's. Lines that were merged are not in it. A branch of
    a jump that never ran is "-"."""
    branches: dict[str, list[Branch]] = {}
    for branch in data.branches():
        branches.setdefault(branch.file, []).append(branch)
    functions: dict[str, list[tuple[int, FunctionCounts]]] = {}
    for function in data.functions.values():
        first = function.lines.get(0)
        if first is not None:
            functions.setdefault(first.file, []).append((first.line, function))
    lines = [f"TN:{name}"]
    for file, here in data.lines().items():
        lines.append(f"SF:{Path(file).absolute()}")
        lines += _functions(functions.get(file, []))
        lines += _branches(branches.get(file, []))
        lines += (f"DA:{number},{each.hits}" for number, each in here.items())
        lines += (f"LF:{len(here)}", f"LH:{sum(each.hits > 0 for each in here.values())}")
        lines.append("end_of_record")
    return "\n".join(lines) + "\n"


def _functions(functions: list[tuple[int, FunctionCounts]]) -> Iterator[str]:
    entered: dict[str, int] = {}
    first: dict[str, int] = {}
    for line, function in sorted(functions, key=lambda each: (each[0], each[1].key)):
        first.setdefault(function.name, line)
        entered[function.name] = entered.get(function.name, 0) + function.entered
    yield from (f"FN:{line},{name}" for name, line in first.items())
    yield from (f"FNDA:{count},{name}" for name, count in entered.items())
    yield f"FNF:{len(entered)}"
    yield f"FNH:{sum(count > 0 for count in entered.values())}"


def _branches(branches: list[Branch]) -> Iterator[str]:
    there = hit = 0
    block: dict[int, int] = {}
    for branch in branches:
        number = block.get(branch.line, 0)
        block[branch.line] = number + 1
        for way, (_, count) in enumerate(branch.ways):
            there, hit = there + 1, hit + (count > 0)
            yield f"BRDA:{branch.line},{number},{way},{count if branch.reached else '-'}"
    yield from (f"BRF:{there}", f"BRH:{hit}")
