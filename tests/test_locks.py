"""Locks around signals and forks: nobody waits for a thread that is not there, or for itself."""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import locks
from osmia.errors import KernelError
from osmia.isa import assemble
from osmia.object.uapi import MapFlag, MapType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

SUITE = Path(__file__).parent / "engine" / "suite.bpf.c"
LATEST = 20.0
"""Seconds after which a child is taken to hang: most take 0.1, the machine may have other work."""


def in_child(work: Callable[[], object]) -> tuple[int, float]:
    """The status of a child made by fork that does something, and after how many seconds; -9 for
    one that had to be killed."""
    begin = time.monotonic()
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    ended = os.pidfd_open(child)
    try:
        if not select.select([ended], [], [], LATEST)[0]:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.monotonic() - begin


@contextmanager
def meanwhile(*works: Callable[[], object]) -> Iterator[None]:
    """Threads that do things again and again."""
    over = threading.Event()
    failures: list[BaseException] = []

    def again(work: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                work()
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures


# The locks themselves.


def test_what_another_thread_has_for_long_is_free_in_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    lock = locks.make_lock()
    has, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait()

    def take() -> None:
        assert lock.acquire(timeout=0.5)
        lock.release()
        assert not locks.held_here(lock)

    try:
        assert in_child(take)[0] == 0
        assert not lock.acquire(blocking=False)  # the parent's is as it was
    finally:
        over.set()
        thread.join()
    assert lock.acquire(blocking=False)
    lock.release()


def test_a_fork_waits_until_what_a_lock_guards_is_whole() -> None:
    lock, halves = locks.make_lock(), [0, 0]

    def change() -> None:
        with lock:
            halves[0] += 1
            time.sleep(0.002)
            halves[1] += 1

    def look() -> None:
        with lock:
            assert halves[0] == halves[1]

    with meanwhile(change, change):
        for _ in range(20):
            assert in_child(look)[0] == 0


def test_what_the_forking_thread_has_it_has_in_both_processes() -> None:
    lock = locks.make_lock()

    def release() -> None:
        assert locks.held_here(lock)
        lock.release()
        assert not locks.held_here(lock)

    with lock:
        assert in_child(release)[0] == 0
        assert locks.held_here(lock)
    assert not locks.held_here(lock)


def test_a_fork_takes_outer_locks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [locks.make_lock(order) for order in reversed(locks.Order)]
    there = list(locks._all_locks())
    assert sorted(made, key=there.index) == made[::-1]


def test_dropped_locks_and_owners_are_forgotten() -> None:
    class Owner:
        def before_fork(self) -> None:
            pass

        def after_fork(self, child: bool) -> None:
            pass

    gc.collect()
    before = len(list(locks._all_locks())), len(locks._owners)
    lock, owner = locks.make_lock(), Owner()
    locks.at_fork(owner)
    assert len(list(locks._all_locks())) == before[0] + 1
    del lock, owner
    gc.collect()
    assert (len(list(locks._all_locks())), len(locks._owners)) == before


def test_a_property_that_another_thread_computes_is_computed_anew_in_the_child() -> None:
    from osmia.isa import cfg as module

    owner = next(
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and any(isinstance(each, cached_property) for each in vars(kind).values())
    )
    one: Any = next(each for each in vars(owner).values() if isinstance(each, cached_property))
    lock = getattr(one, "lock", None)
    if lock is None:
        return  # Python 3.12: there is none
    has, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            over.wait()

    def take() -> None:
        assert lock.acquire(timeout=0.5)

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait()
    try:
        assert in_child(take)[0] == 0
    finally:
        over.set()
        thread.join()


def test_a_module_that_another_thread_imports_is_imported_anew_in_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, over = threading.Event(), threading.Event()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(locks, "test_events", (here, over), raising=False)
    (tmp_path / "slowly_imported.py").write_text(
        "from osmia.locks import test_events\n"
        "here, over = test_events\n"
        "again = here.is_set()\n"
        "here.set()\n"
        "again or over.wait()\n"
    )

    def take() -> None:
        module = __import__("slowly_imported")
        assert module.again

    thread = threading.Thread(target=__import__, args=("slowly_imported",))
    thread.start()
    try:
        here.wait()
        assert in_child(take)[0] == 0
    finally:
        over.set()
        thread.join()
        sys.modules.pop("slowly_imported", None)


# A vm.

COUNT = """call bpf_get_prandom_u32
r0 &= 63
*(u32 *)(r10 -4) = r0
*(u64 *)(r10 -16) = 1
r1 = map[fd:{map}]
r2 = r10
r2 += -4
r3 = r10
r3 += -16
r4 = 0
call bpf_map_update_elem
r1 = map[fd:{map}]
r2 = r10
r2 += -4
call bpf_map_delete_elem
r0 = 0
exit"""
RESERVE = """r1 = map[fd:{map}]
r2 = 8
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto end
*(u64 *)(r0 +0) = 7
r1 = r0
r2 = 0
call bpf_ringbuf_submit
end: r0 = 0
exit"""


@pytest.fixture(params=["interpreter", "generated", "jit"])
def executor(request: pytest.FixtureRequest) -> str:
    if request.param == "jit":
        pytest.importorskip("llvmlite")
    return str(request.param)


def waits() -> int:
    time.sleep(0)
    return 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_child_goes_on_with_a_vm_that_other_threads_use(executor: str, seed: int) -> None:
    compiled = executor == "jit"
    with Vm(memory=1 << 26, cpus=6, jit=compiled) as vm:
        table: Any = vm.create_map(MapType.HASH, key_size=4, value_size=8, max_entries=128)
        oldest: Any = vm.create_map(MapType.LRU_HASH, key_size=4, value_size=8, max_entries=64)
        trie: Any = vm.create_map(
            MapType.LPM_TRIE, key_size=8, value_size=8, max_entries=8, flags=MapFlag.NO_PREALLOC
        )
        ring: Any = vm.create_map(MapType.RINGBUF, key_size=0, value_size=0, max_entries=4096)
        events = ring.events
        counts = [vm.load_program(assemble(COUNT.format(map=m.id))) for m in (table, oldest)]
        sends = vm.load_program(assemble(RESERVE.format(map=ring.id)))
        vm.helpers["ktime_get_ns"] = waits
        asks = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
        loads = vm.load_program(assemble("r0 = 1\nexit"))
        slots: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=2)

        def run(program: Any, times: int = 500) -> None:
            program.run(bytes(16), executor=executor, repeat=times if compiled else 1)

        def make() -> None:
            code = assemble(f"r0 = {random.randrange(1 << 20) if not compiled else 5}\nexit")
            program = vm.load_program(code)
            run(program, 1)
            slots[0] = program
            program.close()

        def change() -> None:
            table.update(77, 1)
            trie.update(f"10.0.0.{random.randrange(8)}/32", 5)
            trie.delete(next(iter(trie)))
            list(oldest.items())

        def work() -> None:
            for program in (*counts, sends, asks):
                run(program, 3)
            table.update(78, 2)
            assert table[78] == 2
            trie.update("11.0.0.0/8", 3)
            assert trie["11.0.0.0/8"] == 3
            assert len(dict(oldest)) <= 64
            events.read()
            make()
            assert len(vm.cpus._taken()) == 0
            vm.close()
            assert vm.closed

        randomness = random.Random(seed)
        for program in (*counts, sends, asks, loads):
            run(program, 1)
        with meanwhile(
            lambda: run(counts[0]),
            lambda: run(counts[1]),
            lambda: run(sends, 10),
            lambda: run(asks, 3),
            make,
            change,
            events.read,
        ):
            for _ in range(8):
                time.sleep(randomness.random() * 0.01)
                status, took = in_child(work)
                assert status == 0
                assert took < LATEST
        events.close()


def test_a_child_has_the_cpus_of_other_threads_runs(executor: str) -> None:
    """A run that is in a helper of Python's, on the only CPU."""
    with Vm(memory=1 << 23, cpus=1) as vm:
        inside, over = threading.Event(), threading.Event()
        first = [True]

        def helper() -> int:
            if first.pop() if first else False:
                inside.set()
                over.wait()
            return 3

        vm.helpers["ktime_get_ns"] = helper
        program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
        if executor == "jit":
            vm.need_jit().program(program)
        results: list[int] = []
        thread = threading.Thread(
            target=lambda: results.append(program.run(bytes(16), executor=executor).retval)  # type: ignore[arg-type]
        )
        thread.start()
        inside.wait()

        def work() -> None:
            assert vm.cpus.idle
            assert program.run(bytes(16), executor=executor).retval == 3  # type: ignore[arg-type]
            vm.close()

        try:
            assert in_child(work)[0] == 0
            assert not vm.cpus.idle
        finally:
            over.set()
            thread.join()
        assert results == [3]


def test_a_helper_may_fork_and_its_run_goes_on_in_both(executor: str) -> None:
    with Vm(memory=1 << 23, cpus=1) as vm:
        children: list[int] = []

        def helper() -> int:
            children.append(os.fork())
            return 5 if children[-1] else 6

        vm.helpers["ktime_get_ns"] = helper
        program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
        retval = -1
        try:
            retval = program.run(bytes(16), executor=executor).retval  # type: ignore[arg-type]
        finally:
            if children == [0]:
                os._exit(0 if retval == 6 else 1)
        assert retval == 5
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


# The kernel.


@pytest.mark.kernel
@pytest.mark.slow
def test_a_child_goes_on_with_what_the_kernel_has_for_other_threads() -> None:
    obj = osmia.compile(SUITE)
    packet = bytes(64)
    with obj.load(engine="kernel") as bpf:
        program, counts, variables = bpf.programs["ingress"], bpf.maps["sizes"], bpf.data

        def load() -> None:
            with obj.load(engine="kernel") as other:
                other.programs["ingress"].run(packet)

        def work() -> None:
            program.run(packet)
            counts.update(1, 5)
            assert counts[1] == 5
            assert variables["packets"]
            load()
            bpf.close()

        randomness = random.Random(7)
        with meanwhile(
            lambda: program.run(packet),
            load,
            lambda: counts.update(2, 3),
            lambda: variables["packets"],
        ):
            for _ in range(20):
                time.sleep(randomness.random() * 0.01)
                status, took = in_child(work)
                assert status == 0
                assert took < LATEST


# Handlers.


@contextmanager
def alarms(handler: Callable[[], object], every: float = 0.0005) -> Iterator[None]:
    """A signal's handler that is called again and again in this, the main, thread."""
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_barrier_in_the_middle_of_a_barrier_waits_for_nothing() -> None:
    from osmia.events.ordering import locked_barrier

    hits: list[int] = []

    def handler() -> None:
        locked_barrier()
        hits.append(1)

    with alarms(handler):
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            locked_barrier()
    assert hits


def test_a_handler_stores_programs_while_its_thread_does() -> None:
    """Slots of one prog array that compiled code jumps to directly: the same and another one."""
    pytest.importorskip("llvmlite")
    with Vm(memory=1 << 24, cpus=2) as vm:
        slots: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
        targets = [vm.load_program(assemble(f"r0 = {n}\nexit")) for n in range(4)]
        code = "r2 = map[fd:{0}]\nr3 = {1}\ncall bpf_tail_call\nr0 = 9\nexit"
        callers = [vm.load_program(assemble(code.format(slots.id, n))) for n in range(2)]
        for caller in callers:
            vm.need_jit().program(caller)
        for target in targets:
            vm.need_jit().program(target)

        def handler() -> None:
            slots[0] = targets[2]
            slots[1] = targets[3]

        def agree() -> None:
            for caller in callers:
                found = [
                    caller.run(bytes(16), executor=each).retval
                    for each in ("interpreter", "generated", "jit")
                ]
                assert found[0] == found[1]

        for _ in range(40):
            with alarms(handler, 0.0003):
                for n in range(10):
                    slots[n & 1] = targets[n & 1]
            agree()


def test_a_handler_uses_a_vm_while_its_thread_does(executor: str) -> None:
    with Vm(memory=1 << 24, cpus=4, jit=executor == "jit") as vm:
        table: Any = vm.create_map(MapType.HASH, key_size=4, value_size=8, max_entries=64)
        program = vm.load_program(assemble(COUNT.format(map=table.id)))
        program.run(bytes(16), executor=executor)  # type: ignore[arg-type]
        done: list[int] = []

        def handler() -> None:
            with suppress(KernelError):  # EBUSY: in the middle of an operation in Python
                table.update(1, 1)
            made = vm.create_map(MapType.ARRAY, value_size=8)
            made.close()
            loaded = vm.load_program(assemble("r0 = 1\nexit"))
            loaded.close()
            with suppress(KernelError, ProgramFault):
                program.run(bytes(16), executor=executor)  # type: ignore[arg-type]
            done.append(1)

        with alarms(handler, 0.005):
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                table.update(2, 2)
                vm.create_map(MapType.ARRAY, value_size=8).close()
                vm.load_program(assemble("r0 = 1\nexit")).close()
        assert done
        assert vm.cpus.idle
