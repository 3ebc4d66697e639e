"""Which executor a run goes through that names none, and the thread that compiles meanwhile."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.vm.budgets import HOT
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault
from osmia.vm.jit.source import CompiledSource
from osmia.vm.programs import VmProgram

UNWRITTEN = "r0 = r5\nexit"
SEVEN = "r0 = 7\nexit"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSMIA_CACHE", "")


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Compiling threads wait for this."""
    go_on, compiled = threading.Event(), CompiledSource.compile

    def compile_later(source: CompiledSource) -> Any:
        go_on.wait(30)
        return compiled(source)

    monkeypatch.setattr(CompiledSource, "compile", compile_later)
    return go_on


def tier(program: VmProgram, *, strict: bool = True) -> str:
    return program.vm.tiers.choose(program, strict=strict)


def test_the_first_runs_are_strict_and_those_that_are_not_are_generated(vm: Vm) -> None:
    program = vm.load_program(assemble(UNWRITTEN))
    with pytest.raises(ProgramFault, match="before it is written"):
        program.run()
    assert program.run(strict=False).retval == 0
    assert tier(program) == "interpreter"
    assert tier(program, strict=False) == "generated"
    assert vm.jit_in_use is None


def test_hot_runs_are_generated_until_there_is_machine_code(
    vm: Vm, compiling: threading.Event
) -> None:
    program = vm.load_program(assemble(SEVEN))
    for _ in range(2 * HOT):
        assert program.run().retval == 7
    assert tier(program) == "generated"
    compiling.set()
    vm.tiers.wait()
    assert tier(program) == "jit"
    assert program.run().retval == 7


def test_a_repeated_run_goes_on_in_machine_code(vm: Vm, compiling: threading.Event) -> None:
    vm.helpers["ktime_get_ns"] = lambda: compiling.set() or 1  # type: ignore[func-returns-value]
    program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
    assert program.run(repeat=200_000).retval == 1
    vm.tiers.wait()
    assert tier(program) == "jit"


def test_where_compiling_fails_runs_stay_generated(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: CompiledSource) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(CompiledSource, "compile", fails)
    program = vm.load_program(assemble(SEVEN))
    program.run(repeat=HOT)
    vm.tiers.wait()
    assert program.run().retval == 7
    assert tier(program) == "generated"


def test_without_a_compiler_runs_are_generated(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(**options: bool) -> None:
        raise NotSupportedError("no llvmlite")

    monkeypatch.setattr(vm, "need_jit", lacks)
    program = vm.load_program(assemble(SEVEN))
    assert program.run(repeat=HOT).retval == 7
    assert tier(program) == "generated"
    assert not vm.compiles
    with pytest.raises(NotSupportedError):
        program.run(executor="jit")


def test_a_vm_closes_while_something_is_compiled(compiling: threading.Event) -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        vm.load_program(assemble(SEVEN)).run(repeat=HOT)
    compiling.set()
    vm.tiers.wait()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_made_by_fork_compiles_anew(vm: Vm, compiling: threading.Event) -> None:
    program = vm.load_program(assemble(SEVEN))
    program.run(repeat=HOT)
    child = os.fork()
    if not child:
        compiling.set()
        found = program.run().retval == 7
        vm.tiers.wait()
        os._exit(0 if found and tier(program) == "jit" else 1)
    assert os.waitpid(child, 0)[1] == 0
    compiling.set()
    vm.tiers.wait()


def test_large_programs_wait_for_machine_code(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osmia.vm.tiers.LARGEST_GENERATED", 1)
    program = vm.load_program(assemble(SEVEN))
    assert program.run(repeat=HOT).retval == 7
    assert tier(program) == "jit"
