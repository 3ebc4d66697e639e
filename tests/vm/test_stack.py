"""How deep the stack goes: as deep as valid programs need it, and never out of its CPU's block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapType
from osmia.vm import layout
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

FULL = "the stack has no room"


def code_of(text: str, calls: dict[str, int]) -> bytes:
    """Assembled text in which a line is the name of a dispatcher to call."""
    nop = "r0 = 777"
    code = assemble("\n".join(nop if line in calls else line for line in text.split("\n")))
    (handle,) = calls.values()
    return code.replace(assemble(nop), bytes([0x85, 0x50, 0, 0]) + handle.to_bytes(4, "little"))


def chain(last: str) -> str:
    """Eight functions that call each other; what the last one does."""
    calls = "".join(f"call f{n}\nexit\nf{n}:\n" for n in range(1, layout.CALL_DEPTH))
    return f"{calls}*(u64 *)(r10 -512) = 1\n{last}"


def tail_call(array: Any) -> str:
    return f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\n"


@contextmanager
def on_the_second_cpu(vm: Vm) -> Iterator[None]:
    """Nothing that runs here changes the first CPU's block, which is below."""
    lease = vm.cpus.lease()
    with lease.token:
        first = lease.take()
        vm.memory.write(first.block, b"\xa5" * layout.CPU_STACK_SIZE)
        state = vm.memory.read(first.state, layout.CPU_STATE_SIZE)
        yield
        held = vm.memory.read(first.block, layout.CPU_STACK_SIZE)
        assert held == b"\xa5" * layout.CPU_STACK_SIZE
        assert vm.memory.read(first.state, layout.CPU_STATE_SIZE) == state


def test_a_circle_through_a_dispatcher_and_a_prog_array_ends(vm: Vm, executor: Any) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY)
    inner = vm.load_program(assemble(chain(f"{tail_call(array)}r0 = 0\nexit")), name="inner")
    calls = {"inner": vm.dispatcher(inner).handle}
    outer = vm.load_program(code_of(chain("inner\nr0 = 0\nexit"), calls), name="outer")
    array[0] = outer
    with on_the_second_cpu(vm), pytest.raises(ProgramFault, match=FULL):
        outer.run(bytes(16), executor=executor)


def test_33_tail_calls_of_whole_chains_and_one_more_program_fit(vm: Vm, executor: Any) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY)
    leaf = vm.load_program(assemble(chain("r0 = r10\nexit")), name="leaf")
    calls = {"leaf": vm.dispatcher(leaf).handle}
    text = chain(f"r6 = r1\n{tail_call(array)}r1 = r6\nleaf\nexit")
    array[0] = program = vm.load_program(code_of(text, calls), name="program")
    with on_the_second_cpu(vm):
        deepest = program.run(bytes(16), executor=executor).retval % layout.CPU_BLOCK
    top = layout.CPU_STACK_SIZE - layout.FRAME_SIZE
    assert top - deepest == (34 * 7 + 8) * layout.FRAME_STRIDE


#: A function calls a helper with its own handle, which is a number like any other.
CALLERS = {
    "loop": "r1 = 1\nr2 = {handle} ll\nr3 = 0\nr4 = 0\ncall bpf_loop\n",
    "array": "r1 = map[fd:{array}]\nr2 = {handle} ll\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\n",
    "hash": "r1 = map[fd:{hash}]\nr2 = {handle} ll\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\n",
    "computed": "call bpf_get_prandom_u32\nr0 >>= 32\nr1 = 1\nr2 = {handle} ll\nr2 += r0\nr3 = 0\n"
    "r4 = 0\ncall bpf_loop\n",
}


@pytest.mark.parametrize("kind", CALLERS)
def test_a_function_that_is_its_own_callback_ends(vm: Vm, executor: Any, kind: str) -> None:
    array = vm.create_map(MapType.ARRAY, value_size=8)
    hashed: Any = vm.create_map(MapType.HASH, value_size=8)
    hashed[1] = 1
    handle = layout.FUNCTION_HANDLE + (3 << layout.FUNCTION_HANDLE_SHIFT)
    again = CALLERS[kind].format(handle=f"{handle:#x}", array=array.id, hash=hashed.id)
    text = f"call f\nr0 = 0\nexit\nf:\n*(u64 *)(r10 -512) = 1\n{again}r0 = 0\nexit"
    program = vm.load_program(assemble(text))
    with on_the_second_cpu(vm), pytest.raises(ProgramFault, match=FULL):
        program.run(bytes(16), executor=executor, strict=False)
