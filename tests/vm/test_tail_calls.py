"""Tail calls in both semantics: what they replace, the limit, failing ones, ownership."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from osmia.errors import KernelError
from osmia.isa import assemble
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.vm.engine import Vm

FIVE = "r0 = 5\nexit"


@pytest.fixture(params=["subprogram", "program"])
def machine(request: pytest.FixtureRequest) -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=1, tail_calls=request.param) as made:
        yield made


def programs(vm: Vm) -> Any:
    return vm.create_map(MapType.PROG_ARRAY, max_entries=4, name="programs")


def load(vm: Vm, text: str, **options: Any) -> Any:
    return vm.load_program(assemble(text), **options)


def call_of(array: Any, key: str = "r3 = 0") -> str:
    return f"r2 = map[fd:{array.id}]\n{key}\ncall bpf_tail_call\n"


def test_a_tail_call_in_a_subprogram_replaces_it_or_the_whole_program(
    machine: Vm, executor: Any
) -> None:
    array = programs(machine)
    caller = load(machine, f"call f\nr0 += 100\nexit\nf:\n{call_of(array)}r0 = 1\nexit")
    array[0] = load(machine, FIVE)
    expected = 105 if machine.tail_calls == "subprogram" else 5
    assert caller.run(executor=executor).retval == expected


@pytest.mark.parametrize("key", ["r3 = 1", "r3 = 4", "r3 = -1"])
def test_a_failing_tail_call_goes_on_with_registers_and_stack_intact(
    machine: Vm, executor: Any, key: str
) -> None:
    array = programs(machine)
    array[0] = load(machine, FIVE)
    text = f"r6 = 40\n*(u64 *)(r10 -8) = 2\n{call_of(array, key)}"
    caller = load(machine, text + "r0 = *(u64 *)(r10 -8)\nr0 += r6\nexit")
    assert caller.run(executor=executor).retval == 42


@pytest.mark.parametrize("key", ["r3 = 0", "r3 = r1\nr3 *= 0"], ids=["direct", "indirect"])
def test_33_tail_calls_are_taken_and_the_34th_goes_on(machine: Vm, executor: Any, key: str) -> None:
    array = programs(machine)
    counter = machine.create_map(MapType.ARRAY, value_size=8)
    count = f"r4 = map[fd:{counter.id}][0]+0\nr5 = 1\nlock *(u64 *)(r4 +0) += r5\n"
    chain = load(machine, f"{count}{call_of(array, key)}r0 = 7\nexit")
    array[0] = chain
    assert chain.run(executor=executor).retval == 7
    assert counter[0] == 34


def test_a_program_and_its_subprograms_share_the_counter(machine: Vm, executor: Any) -> None:
    """Two chains one after the other: the second finds nothing left."""
    array = programs(machine)
    counter = machine.create_map(MapType.ARRAY, value_size=8)
    count = f"r4 = map[fd:{counter.id}][0]+0\nr5 = 1\nlock *(u64 *)(r4 +0) += r5\n"
    array[0] = load(machine, f"{count}{call_of(array)}r0 = 7\nexit")
    twice = load(
        machine,
        f"r6 = r1\ncall f\nr1 = r6\ncall f\nr0 = 1\nexit\nf:\n{call_of(array)}r0 = 3\nexit",
    )
    twice.run(executor=executor)
    assert counter[0] == 33


def test_a_slot_can_be_changed_and_emptied_while_programs_use_it(
    machine: Vm, executor: Any
) -> None:
    array = programs(machine)
    caller = load(machine, f"{call_of(array)}r0 = 1\nexit")
    seen = [caller.run(executor=executor).retval]
    array[0] = load(machine, FIVE)
    seen.append(caller.run(executor=executor).retval)
    array[0] = load(machine, "r0 = 6\nexit")
    seen.append(caller.run(executor=executor).retval)
    del array[0]
    seen.append(caller.run(executor=executor).retval)
    assert seen == [1, 5, 6, 1]


@pytest.mark.parametrize(
    "other",
    [
        {"type": ProgramType.SCHED_CLS},
        {"type": ProgramType.XDP, "expected_attach_type": AttachType.XDP_DEVMAP},
        {"type": ProgramType.XDP, "return_type": "u64"},
    ],
    ids=["type", "attach type", "return type"],
)
def test_the_owner_of_an_array_decides_who_may_enter(vm: Vm, other: dict[str, Any]) -> None:
    array = programs(vm)
    array[0] = load(vm, FIVE, type=ProgramType.XDP, return_type="s32")
    with pytest.raises(KernelError, match="EINVAL"):
        array[1] = load(vm, FIVE, **{"return_type": "s32", **other})
    assert 1 not in array


def test_a_program_that_uses_an_array_owns_it(vm: Vm) -> None:
    array = programs(vm)
    load(vm, f"{call_of(array)}r0 = 1\nexit", type=ProgramType.XDP)
    with pytest.raises(KernelError, match="EINVAL"):
        array[0] = load(vm, FIVE, type=ProgramType.SCHED_CLS)
