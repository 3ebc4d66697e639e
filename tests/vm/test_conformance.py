"""Every opcode and edge case of RFC 9669: the interpreter, the JIT and the kernel agree.

A case is a file: `-- asm` (or `-- raw`, in hex), `-- mem` in hex, `-- result` or `-- error`.
r1 is the memory's address, r2 its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from osmia.errors import OsmiaError
from osmia.isa import assemble
from osmia.vm.engine import Vm


@dataclass(frozen=True)
class Case:
    name: str
    code: bytes
    memory: bytes
    result: int | None
    error: str | None


def read(path: Path) -> Case:
    parts: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("-- "):
            parts[line[3:].strip()] = lines = []
        else:
            lines.append(line)
    text = {name: "\n".join(part).strip() for name, part in parts.items()}
    code = bytes.fromhex(text["raw"]) if "raw" in text else assemble(text["asm"])
    result = int(text["result"], 16) if "result" in text else None
    return Case(path.stem, code, bytes.fromhex(text.get("mem", "")), result, text.get("error"))


CASES = [read(path) for path in sorted((Path(__file__).parent / "conformance").glob("*.data"))]


@pytest.fixture(scope="module")
def vm() -> Iterator[Vm]:
    with Vm(memory=1 << 24, cpus=1) as machine:
        yield machine


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_interpreter_gives_the_result_or_says_what_is_wrong(vm: Vm, case: Case) -> None:
    if case.error is not None:
        with pytest.raises(OsmiaError, match=case.error):
            vm.load_program(case.code).run(case.memory, executor="interpreter", budget=10_000)
    else:
        result = vm.load_program(case.code).run(case.memory, executor="interpreter")
        assert result.retval == case.result


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.error is None], ids=lambda case: case.name
)
def test_compiled_code_gives_the_result(vm: Vm, case: Case) -> None:
    assert vm.load_program(case.code).run(case.memory, executor="jit").retval == case.result
