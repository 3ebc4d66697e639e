"""What is closed, and who still has it: programs keep their maps; numbers are never used again."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine.maps import MapOfMaps, ProgramArray
from osmia.errors import ClosedError, KernelError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.programs import VmProgram

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNT = """
    r1 = 7
    *(u64 *)(r10 - 8) = r1
    r1 = map[fd:{number}]
    r2 = r10
    r2 += -8
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_map_update_elem
    exit
"""
FOREVER = """
    r2 = map[fd:{number}][0]+0
top: r3 = 1
    lock *(u64 *)(r2 + 0) += r3
    goto top
    exit
"""


def returning(vm: Vm, value: int) -> VmProgram:
    return vm.load_program(assemble(f"r0 = {value}\nexit"), type=ProgramType.XDP)


def free_bytes(vm: Vm) -> int:
    return sum(end - start for start, end in vm.memory.control._free)


def test_a_program_keeps_the_maps_it_names(vm: Vm, executor: Any) -> None:
    table: Any = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    program = vm.load_program(assemble(COUNT.format(number=table.id)))
    if executor == "jit":
        assert program.run(executor="jit").retval == 0
    closed = table.id
    table.close()
    others: list[Any] = [
        vm.create_map(MapType.PROG_ARRAY, max_entries=64),
        vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4),
    ]
    assert program.run(executor=executor).retval == 0
    assert [len(other) for other in others] == [0, 0]
    assert closed not in {other.id for other in others}
    assert closed not in vm.maps
    with pytest.raises(ClosedError):
        len(table)
    for other in others:
        other.close()
    used = free_bytes(vm)
    vm.forget_programs()
    assert free_bytes(vm) > used
    assert not vm.lifetimes.maps
    assert vm.memory.load64(vm.map_table + 8 * closed) == 0


def test_a_map_of_maps_keeps_its_maps(vm: Vm) -> None:
    outer = vm.create_map(MapType.ARRAY_OF_MAPS, max_entries=2)
    assert isinstance(outer, MapOfMaps)
    inner = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    outer[0] = inner
    inner.close()
    assert inner.id in vm.lifetimes.maps
    with pytest.raises(ClosedError):
        outer[1] = inner
    outer.close()
    assert not vm.lifetimes.maps


def test_a_map_that_was_opened_lives_as_long_as_that(vm: Vm) -> None:
    """Its maker closed it, and the map that it was in let it go."""
    outer: Any = vm.create_map(MapType.ARRAY_OF_MAPS, max_entries=2)
    inner: Any = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    outer[0] = inner
    inner[7] = 70
    opened = outer.open(0)
    inner.close()
    del outer[0]
    assert opened[7] == 70
    program = vm.load_program(assemble(COUNT.format(number=opened.id)))
    assert program.run().retval == 0
    assert opened[7] == 7
    opened.close()
    with pytest.raises(ClosedError):
        opened[7]
    vm.unload([program])
    assert set(vm.lifetimes.maps) == {outer.id}


@pytest.mark.parametrize(
    "use",
    [
        lambda array, program: array.update(0, program),
        lambda array, program: array.get(0),
        lambda array, program: list(array),
        lambda array, program: array.clear(),
    ],
)
def test_a_closed_prog_array_says_so(
    vm: Vm, use: Callable[[ProgramArray, VmProgram], object]
) -> None:
    array = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
    assert isinstance(array, ProgramArray)
    program = returning(vm, 1)
    array.close()
    with pytest.raises(ClosedError):
        use(array, program)


def test_forgotten_programs_are_closed_and_never_taken_for_new_ones(vm: Vm, executor: Any) -> None:
    old = returning(vm, 1)
    assert old.run(bytes(64), executor=executor).retval == 1
    vm.forget_programs()
    new = returning(vm, 2)
    assert new.number != old.number
    assert new.run(bytes(64), executor=executor).retval == 2
    for use in (lambda: old.run(bytes(64)), lambda: old.run_batch([bytes(64)])):
        with pytest.raises(ClosedError, match="program"):
            use()
    with pytest.raises(ClosedError):
        vm.dispatcher(old)


def test_an_unloaded_program_stays_where_it_is_attached(vm: Vm, executor: Any) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
    text = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 9\nexit"
    caller = vm.load_program(assemble(text), type=ProgramType.XDP)
    callee, attached = returning(vm, 5), returning(vm, 6)
    array[0] = callee
    dispatcher = vm.dispatcher(attached)
    vm.unload([callee, attached])
    assert caller.run(bytes(64), executor=executor).retval == 5
    assert dispatcher.run(bytes(64), executor=executor).retval == 6
    del array[0]
    vm.unload([callee])
    assert callee.closed and not attached.closed
    assert caller.run(bytes(64), executor=executor).retval == 9


@pytest.mark.parametrize("interruptible", [True, False])
def test_closing_a_vm_ends_its_runs_or_waits_for_them(interruptible: bool) -> None:
    """At once, or when their budget is used up."""
    vm = Vm(memory=1 << 23, cpus=2, interruptible=interruptible)
    words: Any = vm.create_map(MapType.ARRAY, value_size=8)
    program = vm.load_program(assemble(FOREVER.format(number=words.id)))
    vm.need_jit().program(program)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            program.run(bytes(8), executor="jit", budget=1 << (60 if interruptible else 27))
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while vm.cpus.idle and thread.is_alive():
        time.sleep(0.001)
    vm.close()
    thread.join()
    assert [type(error).__name__ for error in ended] == ["ClosedError"]
    with pytest.raises(ClosedError):
        program.run(bytes(8))
    with pytest.raises(ClosedError):
        words[0]


def test_a_run_cannot_close_its_own_vm(vm: Vm, executor: Any) -> None:
    refusals: list[int | None] = []

    def clock() -> int:
        try:
            vm.close()
        except KernelError as error:
            refusals.append(error.errno)
        return 1

    vm.helpers["ktime_get_ns"] = clock
    program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
    assert program.run(executor=executor).retval == 1
    assert refusals == [16]


def test_an_object_leaves_nothing_in_a_vm_that_goes_on(vm: Vm) -> None:
    obj = osmia.compile(EXAMPLES / "flows.bpf.c")
    loaded = obj.load(engine="vm", vm=vm)
    program = next(iter(loaded.programs.values()))
    loaded.close()
    assert program.closed
    assert not vm.programs and not vm.lifetimes.maps and not vm.lifetimes.programs


def raw(vm: Vm, text: str) -> VmProgram:
    return vm.load_program(assemble(text))


def calling(vm: Vm, dispatcher: Dispatcher, then: str = "") -> VmProgram:
    """A program that calls what a dispatcher has, and gives what that gave."""
    call = bytes([0x85, 0x50, 0, 0]) + dispatcher.handle.to_bytes(4, "little")
    return vm.load_program(assemble("r1 = 0") + call + assemble(f"{then}\nexit"))


def test_a_program_stays_while_another_calls_it_through_a_released_dispatcher(
    vm: Vm, executor: Any
) -> None:
    callee = raw(vm, "r0 = 5\nexit")
    dispatcher = vm.dispatcher(callee)
    caller = calling(vm, dispatcher)
    vm.lifetimes.release(dispatcher.handle)
    vm.unload([callee])
    assert not callee.closed
    assert caller.run(executor=executor).retval == 5
    taken = free_bytes(vm)
    vm.unload([caller])
    assert caller.closed and callee.closed
    assert not vm.dispatchers
    assert free_bytes(vm) == taken + 8  # the dispatcher's slot
    assert vm.create_map(MapType.ARRAY).id  # which looks again for what can go


def test_a_chain_of_calls_keeps_all_that_is_in_it(vm: Vm, executor: Any) -> None:
    last = raw(vm, "r0 = 5\nexit")
    middle = calling(vm, vm.dispatcher(last), "r0 += 1")
    first = calling(vm, vm.dispatcher(middle), "r0 += 1")
    for handle in list(vm.dispatchers):
        vm.lifetimes.release(handle)
    vm.unload([last])
    vm.unload([middle])
    assert first.run(executor=executor).retval == 7
    vm.unload([first])
    assert last.closed and middle.closed and not vm.dispatchers


def test_a_caller_in_a_prog_array_keeps_what_it_calls(vm: Vm, executor: Any) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
    jump = raw(vm, f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 9\nexit")
    dispatcher = vm.dispatcher(raw(vm, "r0 = 5\nexit"))
    array[0] = caller = calling(vm, dispatcher)
    vm.lifetimes.release(dispatcher.handle)
    vm.unload([caller, dispatcher.program])
    assert jump.run(executor=executor).retval == 5
    del array[0]
    vm.unload([])
    assert caller.closed and not vm.dispatchers
    assert vm.programs == [jump]


def test_a_dispatcher_of_the_users_outlives_its_callers(vm: Vm, executor: Any) -> None:
    dispatcher = vm.dispatcher(raw(vm, "r0 = 5\nexit"))
    vm.unload([calling(vm, dispatcher), dispatcher.program])
    assert not dispatcher.program.closed
    assert dispatcher.run(executor=executor).retval == 5


def test_a_replaced_program_goes_when_it_was_unloaded(vm: Vm, executor: Any) -> None:
    old, new = raw(vm, "r0 = 5\nexit"), raw(vm, "r0 = 6\nexit")
    dispatcher = vm.dispatcher(old)
    caller = calling(vm, dispatcher)
    vm.unload([old, new])
    assert new.closed and not old.closed
    with pytest.raises(ClosedError):
        dispatcher.update(new)
    assert caller.run(executor=executor).retval == 5
    dispatcher.update(raw(vm, "r0 = 7\nexit"))
    vm.unload([])
    assert old.closed
    assert caller.run(executor=executor).retval == 7


def test_what_is_unloaded_by_a_run_goes_after_it(vm: Vm, executor: Any) -> None:
    """A helper drops what the run that called it is about to call."""
    dispatcher = vm.dispatcher(raw(vm, "r0 = 5\nexit"))
    callee = dispatcher.program
    gone: list[bool] = []
    code = bytes([0x85, 0x50, 0, 0]) + dispatcher.handle.to_bytes(4, "little")
    caller = vm.load_program(assemble("call bpf_ktime_get_ns") + code + assemble("exit"))

    def clock() -> int:
        vm.lifetimes.release(dispatcher.handle)
        vm.unload([caller, callee])
        gone.extend((caller.closed, callee.closed))
        return 1

    vm.helpers["ktime_get_ns"] = clock
    assert caller.run(executor=executor).retval == 5
    assert gone == [False, False]
    vm.unload([])
    assert caller.closed and callee.closed and not vm.dispatchers


def test_the_machine_code_of_a_program_goes_with_it(vm: Vm) -> None:
    program = returning(vm, 1)
    code = weakref.ref(vm.need_jit().program(program))
    gc.collect()
    assert code() is not None
    vm.unload([program])
    gc.collect()
    assert code() is None


def test_a_closed_vm_has_no_maps_to_open() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        number = vm.create_map(MapType.ARRAY, max_entries=1).id
    with pytest.raises(ClosedError, match="the vm is closed"):
        vm.open_map(number)
