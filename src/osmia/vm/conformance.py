"""A plugin for the public bpf_conformance runner: `python -m osmia.vm.conformance`.

The runner's protocol: the memory that r1 points to comes in hex as the first argument (r2 is
its length), the program in hex on standard input; r0 goes to standard output in hex. A
program that is refused or goes wrong leaves a line on standard error and exit status 1.

    python -m osmia.vm.conformance [MEMORY] [--executor interpreter|jit] < program.hex

`--program HEX` replaces standard input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import cast

from osmia.errors import OsmiaError
from osmia.vm.engine import Vm
from osmia.vm.words import Executor


def execute(code: bytes, memory: bytes, executor: Executor) -> int:
    """r0 of a raw program, in a vm of its own. Runs are not strict: the runner's programs may
    read what they did not write."""
    with Vm(memory=1 << 23, cpus=1) as vm:
        program = vm.load_program(code)
        return program.run(memory, executor=executor, strict=False).retval


def _from_hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise SystemExit(f"osmia: the {what} is not hexadecimal: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; gives the exit status."""
    parser = argparse.ArgumentParser(prog="osmia.vm.conformance", description=__doc__)
    parser.add_argument("memory", nargs="?", default="", help="r1's memory, in hex")
    parser.add_argument("--program", help="the program in hex, instead of standard input")
    parser.add_argument("--executor", choices=("interpreter", "jit"), default="interpreter")
    given = parser.parse_args(arguments)
    text = given.program if given.program is not None else sys.stdin.read()
    code, memory = _from_hex(text, "program"), _from_hex(given.memory, "memory")
    try:
        result = execute(code, memory, cast(Executor, given.executor))
    except OsmiaError as error:
        print(f"osmia: {error}", file=sys.stderr)
        return 1
    print(f"{result:x}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
