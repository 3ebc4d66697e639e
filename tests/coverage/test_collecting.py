"""`osmia.cover`: every executor counts the same, and nothing counts in silence."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.coverage.model import CoverageData
from osmia.errors import ClosedError, NotSupportedError
from osmia.isa import assemble
from osmia.object.model import Object
from osmia.vm.errors import ProgramFault
from osmia.vm.programs import Executor

from .gate_program import PACKETS, PLAIN, line_of

EXECUTORS: tuple[Executor, ...] = ("interpreter", "generated", "jit")


def counted(obj: Object, packets: Any = PACKETS, **options: Any) -> CoverageData:
    with obj.load("vm") as bpf, osmia.cover(bpf) as coverage:
        for packet in packets:
            bpf.programs["gate"].run(packet, **options)
    return coverage.data


def ways(data: CoverageData, line: int) -> list[dict[str, int]]:
    return [dict(each.ways) for each in data.branches() if each.line == line]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_each_way_of_a_condition_is_counted(gate: Object, executor: Executor) -> None:
    data = counted(gate, executor=executor)
    (short,) = ways(data, line_of("data + 16 >"))
    assert sorted(short.values()) == [1, 4]
    (seven,) = ways(data, line_of("== 7"))
    assert sorted(seven.values()) == [0, 4]  # though each of its lines that has code ran
    (nine,) = ways(data, line_of("== 9"))
    assert sorted(nine.values()) == [1, 3]


def test_all_executors_count_the_same(gate: Object) -> None:
    first, *others = (counted(gate, executor=executor) for executor in EXECUTORS)
    assert first.totals().instructions[1] > 20
    for other in others:
        assert other.functions.keys() == first.functions.keys()
        for key, function in first.functions.items():
            assert other.functions[key].slots == function.slots
            assert other.functions[key].ways == function.ways


def test_runs_that_become_compiled_meanwhile_are_all_counted(gate: Object) -> None:
    data = counted(gate, [PLAIN] * 300)
    assert {each.name: each.entered for each in data.functions.values()} == {
        "gate": 300,
        "weigh": 300,
    }


def test_batches_and_repeats_are_counted(gate: Object) -> None:
    with gate.load("vm") as bpf, osmia.cover(bpf) as coverage:
        bpf.programs["gate"].run_batch([PLAIN] * 10)
        bpf.programs["gate"].run(PLAIN, repeat=5)
    assert {each.entered for each in coverage.data.functions.values()} == {15}


def test_what_runs_before_and_afterwards_is_not_counted(gate: Object) -> None:
    with gate.load("vm") as bpf:
        program = bpf.programs["gate"]
        for executor in EXECUTORS:
            program.run(PLAIN, executor=executor)
        with osmia.cover(bpf) as outer:
            program.run(PLAIN, executor="jit")
            with osmia.cover(bpf) as inner:
                program.run(PLAIN, executor="generated")
            program.run(PLAIN, executor="interpreter")
        for executor in EXECUTORS:
            program.run(PLAIN, executor=executor)
        assert program.run(PLAIN).retval == 2
    assert {each.entered for each in inner.data.functions.values()} == {1}
    assert {each.entered for each in outer.data.functions.values()} == {3}


def test_what_never_ran_is_in_the_data(gate: Object) -> None:
    data = counted(gate, [])
    assert data.totals().lines[0] > 10
    assert [ran for _, ran in (data.totals().lines, data.totals().branches)] == [0, 0]


def test_a_fault_ends_what_is_counted() -> None:
    vm = osmia.Vm()
    program = vm.load_program(assemble("r0 = 1\nr2 = 0\nr0 = *(u8 *)(r2 +0)\nr0 = 3\nexit"))
    counting = vm.need_counting()
    (counters,) = counting.begin([program])
    with pytest.raises(ProgramFault):
        program.run(b"", executor="interpreter")
    assert dict(counters.read()[0]) == {0: 1, 1: 1, 2: 1, 3: 0, 4: 0}
    counting.end([counters])
    vm.close()


def test_a_hook_runs_beside_it(gate: Object) -> None:
    seen: list[int] = []
    with gate.load("vm") as bpf, osmia.cover(bpf) as coverage:
        bpf.programs["gate"].run(PLAIN, hook=lambda interpreter: seen.append(interpreter.slot))
    (function,) = (each for each in coverage.data.functions.values() if each.name == "gate")
    assert function.entered == 1
    assert len(seen) == sum(sum(each.slots.values()) for each in coverage.data.functions.values())


def test_data_of_several_runs_are_merged(gate: Object) -> None:
    parts = [counted(gate, [packet]) for packet in PACKETS]
    whole = CoverageData().merge(*parts)
    assert whole == counted(gate)
    assert whole.totals().branches[1] > max(part.totals().branches[1] for part in parts)


@pytest.mark.parametrize("shared", [False, True])
def test_what_an_object_ran_until_it_was_closed_is_counted(gate: Object, shared: bool) -> None:
    with osmia.Vm() as vm:
        bpf = gate.load("vm", vm=vm) if shared else gate.load("vm")
        with osmia.cover(bpf) as coverage:
            bpf.programs["gate"].run(PLAIN)
            bpf.close()
        assert {each.entered for each in coverage.data.functions.values()} == {1}


def test_an_object_that_is_closed_is_refused(gate: Object) -> None:
    bpf = gate.load("vm")
    bpf.close()
    with pytest.raises(ClosedError, match="is closed"):
        osmia.cover(bpf)


@pytest.mark.kernel
def test_a_kernel_object_without_counters_says_how_to_get_them(gate: Object) -> None:
    with gate.load("kernel") as bpf, pytest.raises(NotSupportedError, match=r"load\(cover=True\)"):
        osmia.cover(bpf)
