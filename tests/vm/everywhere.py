"""One assembly program on every executor: the kernel, the interpreter (strict), compiled code.

A program gets numbers through the map `given` (8 × u64) and leaves what it found in `found`
(256 bytes); in its text both are written {given} and {found}, as pointers to their value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from osmia.engine.maps import Map
from osmia.errors import KernelError
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm

GIVEN, FOUND = 64, 256
VM_EXECUTORS = ("interpreter", "generated", "jit")


@dataclass(frozen=True)
class Outcome:
    """What can be seen of a run: of one that was refused, only the error."""

    retval: int = 0
    data: bytes = b""
    context: bytes = b""
    found: bytes = b""
    error: int | None = 0


@dataclass(frozen=True)
class Everywhere:
    """A program that is loaded in the kernel and in a vm."""

    kernel: KernelProgram
    vm: Any
    maps: dict[str, tuple[Any, Any]]  # by engine: given, found

    def run(self, packet: bytes, ctx: Any = None, given: Sequence[int] = ()) -> dict[str, Outcome]:
        """What each executor makes of a packet, by its name."""
        outcomes = {"kernel": self._run("kernel", lambda: self.kernel.run(packet, ctx), given)}
        for name in VM_EXECUTORS:
            outcomes[name] = self._run(
                "vm", lambda name=name: self.vm.run(packet, ctx, executor=name), given
            )
        if ctx is None and self.vm.type is ProgramType.XDP:
            # Of a context that it was not given, the kernel tells nothing.
            outcomes = {name: replace(held, context=b"") for name, held in outcomes.items()}
        return outcomes

    def agree(self, packet: bytes, ctx: Any = None, given: Sequence[int] = ()) -> Outcome:
        """Assert that all give the same; that."""
        outcomes = self.run(packet, ctx, given)
        expected = outcomes.pop("kernel")
        for name, outcome in outcomes.items():
            assert outcome == expected, f"{name} differs for {ctx} and {list(given)}"
        return expected

    def _run(self, engine: str, run: Any, given: Sequence[int]) -> Outcome:
        numbers, found = self.maps[engine]
        words = [number & (1 << 64) - 1 for number in given]
        numbers[0] = struct.pack(f"<{len(words)}Q", *words).ljust(GIVEN, b"\0")
        found[0] = bytes(FOUND)
        try:
            result = run()
        except KernelError as error:
            return Outcome(error=error.errno)
        return Outcome(result.retval, result.data, bytes(result.ctx_data), bytes(found[0]))


@contextmanager
def everywhere(text: str, program_type: ProgramType) -> Iterator[Everywhere]:
    """Load an assembly program in the kernel and in a vm."""
    with ExitStack() as stack:
        vm = stack.enter_context(Vm(memory=1 << 25, cpus=2))
        maps: dict[str, tuple[Any, ...]] = {
            "kernel": tuple(
                stack.enter_context(
                    Map.create(MapType.ARRAY, key_size=4, value_size=size, max_entries=1)
                )
                for size in (GIVEN, FOUND)
            ),
            "vm": tuple(vm.create_map(MapType.ARRAY, value_size=n) for n in (GIVEN, FOUND)),
        }
        numbers = {
            "kernel": [held.fileno() for held in maps["kernel"]],
            "vm": [held.id for held in maps["vm"]],
        }
        code = {
            engine: assemble(
                text.format(given=f"map[fd:{given}][0]+0", found=f"map[fd:{found}][0]+0")
            )
            for engine, (given, found) in numbers.items()
        }
        kernel = stack.enter_context(
            KernelProgram.load(program_type, code["kernel"], license="GPL")
        )
        loaded = vm.load_program(code["vm"], type=program_type)
        yield Everywhere(kernel, loaded, maps)
