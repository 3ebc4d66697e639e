"""osmia.vm.budgets: how many instructions a run may take means the same to every executor."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.isa import assemble
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError

# As many instructions as the packet's first word says, give or take a few.
COUNT_DOWN = "r0 = *(u32 *)(r1 +0)\nagain: r0 += -1\nif r0 > 0 goto again\nexit"
ENDLESS = "again: goto again"


def words(number: int) -> bytes:
    return number.to_bytes(4, "little") + bytes(12)


@pytest.mark.parametrize("budget", [0, -1])
def test_less_than_one_instruction_is_refused_by_every_executor(
    vm: Vm, executor: Any, budget: int
) -> None:
    program = vm.load_program(assemble(COUNT_DOWN))
    with pytest.raises(ValueError, match=f"a budget of {budget} instructions"):
        program.run(words(3), executor=executor, budget=budget)


def test_less_than_one_instruction_is_refused_for_batches(any_vm: Vm) -> None:
    program = any_vm.load_program(assemble(COUNT_DOWN))
    place = any_vm.dispatcher(program)
    for run in (program.run_batch, place.run_batch):
        with pytest.raises(ValueError, match="a budget of 0 instructions"):
            run([words(3)], budget=0)
        assert list(run([words(3)])) == [0]


def test_no_budget_is_the_executors_own(
    vm: Vm, executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.vm.programs.INTERPRETER_BUDGET", 1000)
    monkeypatch.setattr("osmia.vm.programs.GENERATED_BUDGET", 5000)
    monkeypatch.setattr("osmia.vm.programs.JIT_BUDGET", 5000)
    program = vm.load_program(assemble(COUNT_DOWN))
    few, many = (100, 1000) if executor == "interpreter" else (1000, 10_000)
    assert program.run(words(few), executor=executor).retval == 0
    with pytest.raises(BudgetExceededError):
        program.run(words(many), executor=executor)
    assert program.run(words(many), executor=executor, budget=100_000).retval == 0


def test_a_budget_of_one_ends_a_loop_at_once(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble(ENDLESS))
    with pytest.raises(BudgetExceededError):
        program.run(bytes(16), executor=executor, budget=1)


def test_a_budget_beyond_what_is_counted_is_no_budget_at_all(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble(COUNT_DOWN))
    assert program.run(words(3), executor=executor, budget=1 << 64).retval == 0
