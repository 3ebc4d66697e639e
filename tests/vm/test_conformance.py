"""Every opcode and edge case of RFC 9669: interpreter, JIT and, where it loads, the kernel agree.

A case is a file: `-- asm` (or `-- raw`, in hex), `-- mem` in hex, `-- result` or `-- error`.
r1 is the memory's address, r2 its length.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osmia.errors import KernelError, OsmiaError, VerifierError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
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


#: Of the cases with a result, so many are for the kernel's verifier to take at least: it
#: refuses reading what was never written, and dead code that this suite is full of.
TAKEN_BY_THE_KERNEL = 350


def on_the_kernel(case: Case) -> int | None:
    """All 64 bits of r0 from the kernel; None where the verifier does not take the program.

    The case is a function there: its memory is a map's value, and so is what it returns.
    """
    from osmia.engine.maps import Map
    from osmia.kernel.programs.program import KernelProgram

    with ExitStack() as stack:
        size = max(len(case.memory), 1)
        made = Map.create(MapType.ARRAY, key_size=4, value_size=size, max_entries=1)
        memory: Any = stack.enter_context(made)
        content = case.memory.ljust(size, b"\0")
        memory[0] = int.from_bytes(content, "little") if size in (1, 2, 4, 8) else content
        made = Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
        result: Any = stack.enter_context(made)
        pointer = f"map[fd:{memory.fileno()}][0]+0" if case.memory else "0"
        begin = assemble(
            f"r1 = {pointer}\nr2 = {len(case.memory)}\ncall pc+5\n"
            f"r6 = map[fd:{result.fileno()}][0]+0\n*(u64 *)(r6 +0) = r0\nr0 = 0\nexit"
        )
        try:
            loaded = KernelProgram.load(ProgramType.SCHED_CLS, begin + case.code, license="GPL")
        except (VerifierError, KernelError):
            return None
        stack.enter_context(loaded).run(bytes(64))
        value: int = result[0]
        return value


@pytest.mark.kernel
def test_the_kernel_gives_the_same_results() -> None:
    found = {case.name: on_the_kernel(case) for case in CASES if case.error is None}
    wanted = {case.name: case.result for case in CASES if found.get(case.name) is not None}
    taken = {name: value for name, value in found.items() if value is not None}
    print(f"{len(taken)} of {len(found)} cases run on the kernel")
    assert taken == wanted
    assert len(taken) >= TAKEN_BY_THE_KERNEL


def plugin(*arguments: str, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "osmia.vm.conformance", *arguments]
    return subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)


ADD_FIRST_BYTES = assemble("r0 = *(u8 *)(r1 +0)\nr0 <<= 56\nr0 += r2\nexit").hex(" ")


@pytest.mark.parametrize("options", [[], ["--executor", "interpreter"], ["--executor", "jit"]])
def test_the_plugin_speaks_the_runners_protocol(options: list[str]) -> None:
    done = plugin("ab cd 01", *options, program=ADD_FIRST_BYTES + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ab00000000000003\n", "")


def test_the_plugin_takes_no_memory_and_a_program_as_an_argument() -> None:
    done = plugin("--program", assemble("r0 = r2\nexit").hex(), program="")
    assert (done.returncode, done.stdout) == (0, "0\n")


@pytest.mark.parametrize(
    "program", ["zz", "00", "ff" * 8, assemble("r0 = 1\ncall 9999\nexit").hex()]
)
def test_the_plugin_says_what_is_wrong_with_a_program(program: str) -> None:
    done = plugin(program=program)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("osmia: ")
    assert "Traceback" not in done.stderr
