"""Dispatchers: a program is replaced while others call it and threads run it; what fits."""

from __future__ import annotations

import ctypes
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import ClosedError, KernelError
from osmia.isa import assemble
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.vm.batch import Batch, kind_of
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.jit import compiler, stubs
from osmia.vm.jit.kept import Loaded
from osmia.vm.jit.mapping import MappedCode
from osmia.vm.jit.stub_code import ARM64
from osmia.vm.programs import VmProgram

PACKET = bytes(64)
SIGNATURE = "u64(u64, u64)"
needs_stubs = pytest.mark.skipif(not stubs.supported(), reason="no stubs on this machine")


def verdict(vm: Vm, number: int, **options: Any) -> VmProgram:
    """An XDP program that always gives this number."""
    return vm.load_program(assemble(f"r0 = {number}\nexit"), type=ProgramType.XDP, **options)


def raw(vm: Vm, text: str) -> VmProgram:
    return vm.load_program(assemble(text), signature=SIGNATURE)


def call(dispatcher: Dispatcher) -> bytes:
    return bytes([0x85, 0x50, 0, 0]) + dispatcher.handle.to_bytes(4, "little")


def calling(vm: Vm, dispatcher: Dispatcher) -> VmProgram:
    code = assemble("r1 = 40\nr2 = 2") + call(dispatcher) + assemble("exit")
    return vm.load_program(code, signature=SIGNATURE)


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def machine(request: pytest.FixtureRequest) -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=4, jit=request.param) as made:
        yield made


def test_runs_and_batches_go_to_the_attached_program(machine: Vm) -> None:
    first, second = verdict(machine, 1), verdict(machine, 2)
    dispatcher = machine.dispatcher(first)
    seen = [dispatcher.run(PACKET).retval, *dispatcher.run_batch([PACKET] * 2)]
    dispatcher.update(second)
    seen += [dispatcher.run(PACKET).retval, *dispatcher.run_batch([PACKET] * 2)]
    assert seen == [1, 1, 1, 2, 2, 2]
    assert dispatcher.program is second


def test_batches_of_raw_programs_too(machine: Vm) -> None:
    dispatcher = machine.dispatcher(raw(machine, "r0 = r2\nexit"))
    assert list(dispatcher.run_batch([bytes(3), bytes(5)])) == [3, 5]


def test_a_program_calls_another_by_handle(vm: Vm, executor: Any) -> None:
    dispatcher = vm.dispatcher(raw(vm, "r0 = r1\nr0 += r2\nexit"))
    caller = calling(vm, dispatcher)
    assert caller.run(executor=executor).retval == 42
    dispatcher.update(raw(vm, "r0 = r1\nr0 -= r2\nexit"))
    assert caller.run(executor=executor).retval == 38


def slow(vm: Vm, number: int) -> VmProgram:
    """The same after a thousand rounds of a loop, so that updates happen inside a batch."""
    text = f"r1 = 1000\nagain: r1 += -1\nif r1 != 0 goto again\nr0 = {number}\nexit"
    return vm.load_program(assemble(text), type=ProgramType.XDP)


def test_objects_loaded_separately_call_each_other(tmp_path: Path, vm: Vm, executor: Any) -> None:
    """An extern function stands for what a dispatcher has."""
    sources = {
        "policies": 'SEC("xdp") int one(struct xdp_md *ctx) { return 1; }\n'
        'SEC("xdp") int two(struct xdp_md *ctx) { return 2; }',
        "ingress": "extern int policy(struct xdp_md *ctx) __ksym;\n"
        'SEC("xdp") int ingress(struct xdp_md *ctx) { return policy(ctx) + 10; }',
    }
    head = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    for name, source in sources.items():
        (tmp_path / f"{name}.bpf.c").write_text(head + source)
    policies = osmia.compile(tmp_path / "policies.bpf.c").load(engine="vm", vm=vm)
    dispatcher = vm.dispatcher(policies.programs["one"])
    caller = osmia.compile(tmp_path / "ingress.bpf.c").load(
        engine="vm", vm=vm, programs={"policy": dispatcher}
    )
    ingress = caller.programs["ingress"]
    assert ingress.run(PACKET, executor=executor).retval == 11
    dispatcher.update(policies.programs["two"])
    assert ingress.run(PACKET, executor=executor).retval == 12


def test_a_vm_that_forgot_its_programs_closed_its_dispatchers(vm: Vm) -> None:
    old = vm.dispatcher(verdict(vm, 1))
    old.run_batch([PACKET])
    vm.forget_programs()
    new = vm.dispatcher(verdict(vm, 2))
    assert list(new.run_batch([PACKET])) == [2]
    for use in (lambda: old.run_batch([PACKET]), lambda: old.update(new.program)):
        with pytest.raises(ClosedError):
            use()


def test_threads_that_run_a_batch_see_the_old_program_or_the_new_one() -> None:
    """And when `update` has returned, every batch that begins sees only the new one."""
    packets, threads = Batch([PACKET] * 20_000), 3
    with Vm(memory=1 << 25, cpus=threads + 1) as vm:
        programs = [slow(vm, number) for number in (1, 2)]
        dispatcher = vm.dispatcher(programs[0])
        dispatcher.run_batch([PACKET])
        seen: list[set[int]] = []
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                seen.append(set(dispatcher.run_batch(packets)))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + 60
        after: list[bool] = []
        try:
            while ({1, 2} not in seen and time.monotonic() < deadline) or len(after) < 100:
                number = len(after) % 2
                dispatcher.update(programs[number])
                after.append(set(dispatcher.run_batch([PACKET] * 10)) == {number + 1})
        finally:
            done.set()
            for worker in workers:
                worker.join()
    assert all(after)
    assert {1, 2} in seen  # programs did change inside a batch
    assert set().union(*seen) == {1, 2}


def test_threads_that_call_by_handle_see_the_old_program_or_the_new_one() -> None:
    with Vm(memory=1 << 25, cpus=2) as vm:
        programs = [raw(vm, f"r0 = {number}\nexit") for number in (1, 2)]
        dispatcher = vm.dispatcher(programs[0])
        again = assemble("r6 = 100000\nr7 = 0") + call(dispatcher)
        caller = vm.load_program(
            again
            + assemble("if r0 == 1 goto pc+2\nif r0 == 2 goto pc+1\nr7 += 1\n")
            + assemble("r6 += -1\nif r6 != 0 goto pc-6\nr0 = r7\nexit")
        )
        results: list[int] = []
        enough = threading.Event()

        def run() -> None:
            while len(results) < 30 or not enough.is_set():
                results.append(caller.run(executor="jit").retval)

        worker = threading.Thread(target=run)
        worker.start()
        for count in range(100):
            dispatcher.update(programs[count % 2])
        enough.set()
        worker.join()
    assert set(results) == {0}


def test_a_batch_goes_on_in_the_old_code_when_programs_are_compiled_anew() -> None:
    """A mock has every program compiled again; who is in the old code may stay there."""
    with Vm(memory=1 << 25, cpus=2) as vm:
        programs = [slow(vm, number) for number in (1, 2)]
        dispatcher = vm.dispatcher(programs[0])
        dispatcher.run_batch([PACKET])
        results: list[int] = []
        packets = Batch([PACKET] * 20_000)
        worker = threading.Thread(target=lambda: results.extend(dispatcher.run_batch(packets)))
        worker.start()
        for number in range(20):
            vm.helpers["ktime_get_ns"] = lambda: 1
            dispatcher.update(programs[number % 2])
        worker.join()
        assert set(results) <= {1, 2}
        assert set(dispatcher.run_batch([PACKET])) == {2}


@needs_stubs
def test_the_batch_loop_and_call_sites_call_their_stub_directly() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        dispatcher = vm.dispatcher(verdict(vm, 1))
        dispatcher.run_batch([PACKET])
        jit = vm.need_jit()
        function = raw(vm, "r0 = r1\nexit")
        other = vm.dispatcher(function)
        caller = jit.program(calling(vm, other))
        loop, _ = jit._loops[dispatcher.handle, kind_of(ProgramType.XDP)]
        for module, symbol, handle, program in (
            (loop, "native_batch_run", dispatcher.handle, dispatcher.program),
            (caller, "program", other.handle, function),
        ):
            stub = module.stubs[stubs.DISPATCHER, handle]
            assert stub in direct_calls(module.code, symbol)
            assert jump_target(stub) == jit.program(program).entry


@needs_stubs
def test_the_batch_loop_has_no_indirect_call() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        code = vm.need_jit()._native_code()
        handle = vm.dispatcher(verdict(vm, 1)).handle
        exported = code.exported("batch_run", entry=handle, kind=kind_of(ProgramType.XDP))
        parts = [code.stubs.text(), *sorted(code.declarations), exported, *code.texts]
        text = assembly("\n".join(parts))
    assert re.search(r"\b(callq?|bl)\s+stub_0\b", text)
    assert not re.search(r"\b(callq?|jmpq?)\s+\*|\bblr\b", text)


def assembly(text: str) -> str:
    """The assembly text that LLVM makes of a module, optimised as programs are."""
    import llvmlite.binding as llvm

    machine = compiler.host()
    module = llvm.parse_assembly(f'target triple = "{machine.triple}"\n{text}')
    builder = llvm.create_pass_builder(
        machine.target, llvm.create_pipeline_tuning_options(speed_level=2)
    )
    builder.getModulePassManager().run(module, builder)
    return str(machine.target.emit_assembly(module))


def direct_calls(code: Loaded, symbol: str, size: int = 4096) -> set[int]:
    """Where the bytes behind a function's address could call or jump to directly."""
    function = code.address(symbol)
    end = function + size
    if isinstance(code, MappedCode):  # behind it there may be no memory
        end = min(end, code.base + len(code._map) - 8)
    places = range(function, end, 4 if stubs.machine_code() is ARM64 else 1)
    return {target for at in places if (target := direct_target(at)) is not None}


def direct_target(at: int) -> int | None:
    """Where a direct call or jump at an address goes (rel32, imm26), None for other bytes."""
    if stubs.machine_code() is ARM64:
        word = ctypes.c_uint32.from_address(at).value
        distance = (word & 0x3FF_FFFF) - (word & 0x200_0000) * 2
        return at + 4 * distance if word & 0x7C00_0000 == 0x1400_0000 else None
    if ctypes.c_uint8.from_address(at).value not in (0xE8, 0xE9):
        return None
    return at + 5 + ctypes.c_int32.from_address(at + 1).value


def jump_target(stub: int) -> int:
    """Where a stub jumps to, near or through its word."""
    target = direct_target(stub)
    assert target is not None
    return target if target != stub + 8 else ctypes.c_uint64.from_address(stub + 16).value


@needs_stubs
def test_a_stub_reaches_any_distance() -> None:
    """Programs too far for a near jump: the stub goes through its word, and back again."""
    with Vm(memory=1 << 25, cpus=1) as vm:
        program = verdict(vm, 1)
        dispatcher = vm.dispatcher(program)
        dispatcher.run_batch([PACKET])
        jit = vm.need_jit()
        loop, _ = jit._loops[dispatcher.handle, kind_of(ProgramType.XDP)]
        stub = loop.stubs[stubs.DISPATCHER, dispatcher.handle]
        far = stub + (1 << 40)
        stubs.point(stub, far)
        assert jump_target(stub) == far
        dispatcher.update(program)
        assert list(dispatcher.run_batch([PACKET])) == [1]


@pytest.mark.parametrize(
    "options,what",
    [
        ({"type": ProgramType.SCHED_CLS}, "type SCHED_CLS, not XDP"),
        ({"type": None}, "type raw, not XDP"),
        ({"expected_attach_type": AttachType.XDP_DEVMAP}, "attach type"),
        ({"signature": "u32(u64)"}, r"signature 'u32\(u64\)', not ''"),
    ],
    ids=["type", "raw", "attach type", "signature"],
)
def test_a_program_that_differs_is_refused(vm: Vm, options: dict[str, Any], what: str) -> None:
    first = verdict(vm, 1)
    dispatcher = vm.dispatcher(first)
    other = vm.load_program(assemble("r0 = 2\nexit"), **{"type": ProgramType.XDP, **options})
    with pytest.raises(KernelError, match=what) as caught:
        dispatcher.update(other)
    assert caught.value.errno == 22
    assert dispatcher.program is first
    assert list(dispatcher.run_batch([PACKET])) == [1]


def test_a_program_of_another_vm_is_refused(vm: Vm) -> None:
    dispatcher = vm.dispatcher(verdict(vm, 1))
    with Vm(memory=1 << 25, cpus=1) as other, pytest.raises(KernelError, match="another vm"):
        dispatcher.update(verdict(other, 1))


def test_an_update_can_expect_what_it_replaces(vm: Vm) -> None:
    first, second = verdict(vm, 1), verdict(vm, 2)
    dispatcher = vm.dispatcher(first)
    with pytest.raises(KernelError, match="EPERM"):
        dispatcher.update(second, expected=second)
    assert dispatcher.program is first
    dispatcher.update(second, expected=first)
    assert dispatcher.program is second


def test_programs_cannot_call_each_other_in_a_circle(vm: Vm, executor: Any) -> None:
    dispatcher = vm.dispatcher(raw(vm, "r0 = 3\nexit"))
    caller = calling(vm, dispatcher)
    with pytest.raises(KernelError, match="ELOOP"):
        dispatcher.update(caller)
    assert caller.run(executor=executor).retval == 3


def test_programs_nest_four_deep(vm: Vm, executor: Any) -> None:
    """Also when the deepest of them comes in by an update."""
    program = raw(vm, "r0 = 3\nexit")
    dispatchers = []
    for _ in range(3):
        dispatchers.append(vm.dispatcher(program))
        program = calling(vm, dispatchers[-1])
    assert program.run(executor=executor).retval == 3
    with pytest.raises(KernelError, match="ELOOP"):
        calling(vm, vm.dispatcher(program))
    deeper = calling(vm, vm.dispatcher(raw(vm, "r0 = 4\nexit")))
    with pytest.raises(KernelError, match="ELOOP"):
        dispatchers[0].update(deeper)
    assert program.run(executor=executor).retval == 3


def test_tail_calls_of_an_attached_program_work_in_both_semantics(executor: Any) -> None:
    for semantics in ("subprogram", "program"):
        with Vm(memory=1 << 25, cpus=1, tail_calls=semantics) as vm:
            array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
            tail = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 9\nexit"
            program = vm.load_program(assemble(tail), type=ProgramType.XDP)
            array[0] = verdict(vm, 5)
            dispatcher = vm.dispatcher(program)
            assert dispatcher.run(PACKET, executor=executor).retval == 5
            assert list(dispatcher.run_batch([PACKET] * 2)) == [5, 5]


def test_without_stubs_callers_load_what_they_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on machines other than x86-64 and arm64."""
    monkeypatch.setattr(stubs, "supported", lambda: False)
    with Vm(memory=1 << 25, cpus=1) as vm:
        dispatcher = vm.dispatcher(raw(vm, "r0 = 3\nexit"))
        caller = calling(vm, dispatcher)
        seen = [caller.run(executor="jit").retval, *dispatcher.run_batch([PACKET])]
        dispatcher.update(raw(vm, "r0 = 4\nexit"))
        seen += [caller.run(executor="jit").retval, *dispatcher.run_batch([PACKET])]
        assert seen == [3, 3, 4, 4]
        array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
        tail = f"r2 = map[fd:{array.id}]\nr3 = {{key}}\ncall bpf_tail_call\nr0 = 9\nexit"
        array[0] = raw(vm, "r0 = 5\nexit")
        taken, *failing = (
            vm.load_program(assemble(tail.format(key=key)), signature=SIGNATURE)
            for key in (0, 1, 2)
        )
        assert taken.run(executor="jit").retval == 5
        assert [program.run(executor="jit").retval for program in failing] == [9, 9]
