"""What ends a run ends it there: nothing that follows is done, on both executors. What signals
raise ends a run soon, and comes out as it is."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from osmia.errors import ClosedError, KernelError
from osmia.isa import assemble
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault


@pytest.fixture
def vm() -> Iterator[Vm]:
    """One whose compiled runs end when they are told to."""
    with Vm(memory=1 << 25, cpus=2, interruptible=True) as machine:
        yield machine


#: Something that faults, in a helper of the vm's own, in one of the user's, and in a tail call.
FAULTS = {
    "helper": "r1 = r10\nr1 += -8\nr2 = 0xffffffff ll\nr3 = 0\ncall bpf_probe_read_kernel\n",
    "mock": "call bpf_ktime_get_ns\n",
    "tail call": "r1 = 0\nr2 = *(u64 *)(r10 -8)\nr3 = 0\ncall bpf_tail_call\n",
    "budget": "again: goto again\n",
}
#: Where it happens; {count} counts how often a place is come by.
PLACES = {
    "program": "{count}{fault}{count}r0 = 0\nexit",
    "function": "call f\n{count}r0 = 0\nexit\nf:\n{count}{fault}r0 = 0\nexit",
    "callback": "r1 = 5\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_loop\n{count}r0 = 0\nexit\n"
    "f:\n{count}{fault}r0 = 0\nexit",
}


#: Callbacks cannot make tail calls: no such program is loaded.
CASES = [(f, p) for f in FAULTS for p in PLACES if (f, p) != ("tail call", "callback")]


@pytest.mark.parametrize("fault,place", CASES)
def test_nothing_is_done_after_a_fault(vm: Vm, executor: Any, fault: str, place: str) -> None:
    def broken() -> int:
        raise ValueError("broken")

    vm.helpers["ktime_get_ns"] = broken
    counter: Any = vm.create_map(MapType.ARRAY, value_size=8)
    count = f"r4 = map[fd:{counter.id}][0]+0\nr5 = 1\nlock *(u64 *)(r4 +0) += r5\n"
    body = f"*(u64 *)(r10 -8) = 0\n{FAULTS[fault]}"
    program = vm.load_program(assemble(PLACES[place].format(count=count, fault=body)))
    with pytest.raises(ProgramFault):
        program.run(bytes(16), executor=executor, strict=False, repeat=3, budget=10_000)
    assert counter[0] == 1
    if executor == "jit":
        with pytest.raises(ProgramFault):
            program.run_batch([bytes(16)] * 3, budget=10_000)
        assert counter[0] == 2


FOREVER = "r0 = 0\nagain: r0 += 1\ngoto again\nexit"
CALLBACKS = """r1 = 0x800000 ll\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit
f:\nr1 = 1000\nagain: r1 += -1\nif r1 != 0 goto again\nr0 = 0\nexit"""
SHORT = "r0 = 7\nexit"
MANY = 1 << 50
LATEST = 0.05
"""Seconds from a signal to its exception."""


@contextmanager
def interrupted(after: float = 0.2, latest: float = LATEST) -> Iterator[None]:
    """What runs here is interrupted as by Ctrl-C, and ends soon."""
    sent: list[float] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - sent[0] < latest
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)


RUNS: dict[str, Callable[[Any], object]] = {
    "one run": lambda p: p.run(bytes(16), executor="jit", budget=MANY),
    "repeated": lambda p: p.run(bytes(16), executor="jit", budget=MANY, repeat=MANY),
    "a batch": lambda p: p.run_batch([bytes(16)] * 64, budget=MANY, repeat=1 << 40),
}


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("code", [FOREVER, CALLBACKS, SHORT], ids=["loop", "callbacks", "short"])
def test_ctrl_c_ends_compiled_runs_whatever_the_budget(vm: Vm, code: str, how: str) -> None:
    if (code, how) in ((SHORT, "one run"),):
        pytest.skip("it is over before")
    program = vm.load_program(assemble(code))
    vm.need_jit().program(program)
    with interrupted():
        RUNS[how](program)
    assert vm.cpus.idle
    assert vm.load_program(assemble(SHORT)).run(bytes(16), executor="jit").retval == 7


@pytest.mark.parametrize("interruptible", [True, False])
def test_a_budget_counts_over_all_its_slices(interruptible: bool) -> None:
    """Exactly: what runs with a budget of so many instructions ends with one less."""
    with Vm(memory=1 << 25, cpus=1, interruptible=interruptible) as vm:
        count = "r0 = *(u32 *)(r1 +0)\nagain: r0 += -1\nif r0 > 0 goto again\nexit"
        program = vm.load_program(assemble(count))
        loops = 3 << 20
        packet = loops.to_bytes(4, "little") + bytes(12)
        needed = 2 * (loops - 1)
        assert program.run(packet, executor="jit", budget=needed).retval == 0
        assert program.run(packet, executor="jit", budget=needed, repeat=3).retval == 0
        assert list(program.run_batch([packet] * 3, budget=needed)) == [0] * 3
        with pytest.raises(ProgramFault):
            program.run(packet, executor="jit", budget=needed - 1)
        with pytest.raises(ProgramFault):
            program.run_batch([packet], budget=needed - 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_comes_out_of_a_helper_as_it_is(
    vm: Vm, executor: Any, error: type[BaseException]
) -> None:
    def ends() -> int:
        raise error

    vm.helpers["ktime_get_ns"] = ends
    program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
    for _ in range(2):
        with pytest.raises(error):
            program.run(bytes(16), executor=executor)
    vm.helpers["ktime_get_ns"] = lambda: 3
    assert program.run(bytes(16), executor=executor).retval == 3


@pytest.mark.alone
def test_ctrl_c_between_python_helpers_is_not_lost(vm: Vm) -> None:
    """It mostly arrives in compiled code, and is handled where Python code begins."""
    vm.helpers["ktime_get_ns"] = lambda: 3
    code = "again: call bpf_ktime_get_ns\ngoto again\nexit"
    program = vm.load_program(assemble(code))
    for _ in range(5):
        with interrupted(after=0.05):
            program.run(bytes(16), executor="jit", budget=MANY)


@pytest.mark.parametrize("cpus", [1, 3])
def test_a_helper_that_runs_programs_deeper_than_there_are_cpus_is_refused(
    executor: Any, cpus: int
) -> None:
    with Vm(memory=1 << 23, cpus=cpus) as vm:
        program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
        vm.helpers["ktime_get_ns"] = lambda: program.run(bytes(16), executor=executor).retval
        with pytest.raises(ProgramFault) as told:
            program.run(bytes(16), executor=executor)
        error: Any = told.value
        while isinstance(error, ProgramFault):
            error = error.__cause__
        assert isinstance(error, KernelError)
        assert error.errno == errno.EBUSY
        assert vm.cpus.idle


def test_two_threads_whose_helpers_wait_for_each_others_cpu_are_refused(executor: Any) -> None:
    with Vm(memory=1 << 23, cpus=2) as vm:
        inner = vm.load_program(assemble(SHORT))
        both = threading.Barrier(2)

        def helper() -> int:
            both.wait(10)
            return inner.run(bytes(16), executor=executor).retval

        vm.helpers["ktime_get_ns"] = helper
        outer = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
        ended: list[object] = []

        def run() -> None:
            try:
                ended.append(outer.run(bytes(16), executor=executor).retval)
            except ProgramFault as error:
                ended.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(ended) == 2
        assert any(isinstance(each, ProgramFault) for each in ended)


ENDLESS: dict[str, Callable[[Any], object]] = {
    "interpreted": lambda p: p.run(bytes(16), executor="interpreter", budget=MANY),
    "interpreted, hooked": lambda p: p.run(bytes(16), budget=MANY, hook=lambda _: None),
    **RUNS,
}


@pytest.mark.parametrize("how", ENDLESS)
def test_closing_a_vm_ends_runs_in_other_threads(how: str) -> None:
    vm = Vm(memory=1 << 23, cpus=2, interruptible=True)
    program = vm.load_program(assemble(FOREVER))
    vm.need_jit().program(program)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            ENDLESS[how](program)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while vm.cpus.idle and thread.is_alive():
        time.sleep(0.001)
    time.sleep(0.05)
    begin = time.monotonic()
    vm.close()
    assert time.monotonic() - begin < 5  # it would run for ever
    thread.join()
    assert [type(error) for error in ended] == [ClosedError]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in finalizers
def test_no_cpu_is_lost_wherever_a_signal_arrives(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble(SHORT))
    program.run(bytes(16), executor=executor)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    hits = 0
    try:
        for number in range(100):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + number * 2e-6)
                for _ in range(1000):
                    program.run(bytes(16), executor=executor)
            except KeyboardInterrupt:
                hits += 1
                assert vm.cpus.idle
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits > 50


@pytest.mark.alone
@pytest.mark.parametrize("how", ["repeated", "a batch"])
def test_many_short_runs_end_between_runs_in_any_vm(how: str) -> None:
    with Vm(memory=1 << 25, cpus=1) as plain:
        program = plain.load_program(assemble(SHORT))
        plain.need_jit().program(program)
        with interrupted():
            RUNS[how](program)
        assert plain.cpus.idle
