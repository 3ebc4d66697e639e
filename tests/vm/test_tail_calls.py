"""Tail calls in both semantics: what they replace, the limit, failing ones, ownership."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from osmia.errors import ClosedError, CodecError, KernelError, VerifierError
from osmia.isa import assemble
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.vm.batch import Batch
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

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
    counter: Any = machine.create_map(MapType.ARRAY, value_size=8)
    count = f"r4 = map[fd:{counter.id}][0]+0\nr5 = 1\nlock *(u64 *)(r4 +0) += r5\n"
    chain = load(machine, f"{count}{call_of(array, key)}r0 = 7\nexit")
    array[0] = chain
    assert chain.run(executor=executor).retval == 7
    assert counter[0] == 34


def test_a_program_and_its_subprograms_share_the_counter(machine: Vm, executor: Any) -> None:
    """Two chains one after the other: the second finds nothing left."""
    array = programs(machine)
    counter: Any = machine.create_map(MapType.ARRAY, value_size=8)
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
    ],
    ids=["type", "attach type"],
)
def test_the_owner_of_an_array_decides_who_may_enter(vm: Vm, other: dict[str, Any]) -> None:
    array = programs(vm)
    array[0] = load(vm, FIVE, type=ProgramType.XDP)
    with pytest.raises(KernelError, match="EINVAL"):
        array[1] = load(vm, FIVE, **other)
    assert 1 not in array


@pytest.mark.parametrize("what", ["nothing", "a number", "a program of another vm"])
def test_only_programs_of_the_same_vm_go_into_a_slot(vm: Vm, what: str) -> None:
    array = programs(vm)
    array[0] = first = load(vm, FIVE)
    with Vm(memory=1 << 25, cpus=1) as other:
        value = {"nothing": None, "a number": 1}.get(what, load(other, FIVE))
        for key in (0, 1):
            with pytest.raises(CodecError, match="'programs', value: a program of this vm"):
                array[key] = value
    assert dict(array) == {0: first.number}


def test_a_program_that_is_gone_goes_into_no_slot(vm: Vm) -> None:
    array = programs(vm)
    gone = load(vm, FIVE)
    vm.unload([gone])
    with pytest.raises(ClosedError):
        array[0] = gone
    assert not list(array)


def test_a_program_that_uses_an_array_owns_it(vm: Vm) -> None:
    array = programs(vm)
    load(vm, f"{call_of(array)}r0 = 1\nexit", type=ProgramType.XDP)
    with pytest.raises(KernelError, match="EINVAL"):
        array[0] = load(vm, FIVE, type=ProgramType.SCHED_CLS)


@pytest.mark.parametrize("kind", [MapType.ARRAY, MapType.HASH], ids=["array", "hash"])
@pytest.mark.parametrize("key", ["r3 = 0", "r3 = r1"], ids=["direct", "indirect"])
def test_a_tail_call_through_another_map_is_refused_when_it_is_loaded(
    vm: Vm, kind: MapType, key: str
) -> None:
    other: Any = vm.create_map(kind, value_size=8, max_entries=4, name="other")
    with pytest.raises(VerifierError, match=r"map 'other', a (ARRAY|HASH), no PROG_ARRAY"):
        load(vm, f"{call_of(other, key)}r0 = 1\nexit")


#: Puts 0 into r4, as only the run tells: the packet begins with an "x".
ZERO = "r4 = *(u8 *)(r1 +0)\nr4 -= 120\n"

#: Something in r2 that is no prog array, as only the run tells; and a number that is no map.
NO_ARRAYS = {
    "array": f"r2 = map[fd:{{array}}]\n{ZERO}r2 += r4\n",
    "hash": f"r2 = map[fd:{{hash}}]\n{ZERO}r2 += r4\n",
    "no map": "r2 = 0xffff80000000f000 ll\n",
    "number": "r2 = 0\n",
    "unknown number": "r2 = r1\n",
}


@pytest.mark.parametrize("key", ["r3 = {key}", f"r3 = {{key}}\n{ZERO}r3 += r4"])
@pytest.mark.parametrize("what", NO_ARRAYS)
def test_a_tail_call_through_no_prog_array_jumps_nowhere(
    vm: Vm, executor: Any, what: str, key: str
) -> None:
    """Slots are looked for at address 0 where there are none: the program has put a filled
    one, and a map's header with one, there."""
    array: Any = vm.create_map(MapType.ARRAY, value_size=8, max_entries=1 << 16)
    hashed: Any = vm.create_map(MapType.HASH, value_size=8, max_entries=1 << 16)
    header = "".join(
        f"r5 = {value}\n*(u32 *)(r4 +{offset}) = r5\n"
        for offset, value in ((0, 3), (12, 4096), (56, 0), (0x100, 0x1000), (0x108, 1))
    )
    find = NO_ARRAYS[what].format(array=array.id, hash=hashed.id)
    text = f"r4 = 0\n{header}{find}{key.format(key=0x10)}\ncall bpf_tail_call\nr0 = 1\nexit"
    program = load(vm, text)
    with pytest.raises(ProgramFault, match=r"no prog array|is no map"):
        program.run(b"x" * 16, executor=executor, strict=False)


def test_compiled_tail_calls_go_on_while_a_helper_is_replaced(vm: Vm) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
    tail = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit"
    caller = vm.load_program(assemble(tail), type=ProgramType.XDP)
    array[0] = vm.load_program(assemble("r0 = 2\nexit"), type=ProgramType.XDP)
    batch = Batch([bytes(64)] * 20_000)
    caller.run_batch(batch)
    verdicts: list[int] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            verdicts.extend(set(caller.run_batch(batch, repeat=20)))

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(5):
        vm.helpers["anything"] = lambda: 0
        time.sleep(0.02)
    stop.set()
    thread.join()
    assert set(verdicts) == {2}


def test_replacing_a_helper_leaves_the_slots_of_prog_arrays_filled(vm: Vm) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
    vm.need_jit()
    array[0] = vm.load_program(assemble("r0 = 2\nexit"), type=ProgramType.XDP)
    entry = vm.memory.load64(array.raw.slot(0))
    assert entry
    vm.helpers["anything"] = lambda: 0
    assert vm.memory.load64(array.raw.slot(0)) == entry


def test_a_long_chain_of_programs_is_compiled(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 60
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=count + 1)
    programs = []
    for number in range(count):
        text = (
            f"r2 = map[fd:{array.id}]\nr3 = {number + 1}\ncall bpf_tail_call\nr0 = {number}\nexit"
        )
        programs.append(vm.load_program(assemble(text), type=ProgramType.XDP))
        array[number] = programs[-1]
    jit = vm.need_jit()
    monkeypatch.setattr(jit, "level", 0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_depth() + 120)
    try:
        jit.program(programs[0])
    finally:
        sys.setrecursionlimit(limit)
    assert programs[0].run(bytes(64), executor="jit").retval == 33


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
