"""Counts of what runs: the three executors count the same, whatever the control flow."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.counting import pieces
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError, ProgramFault
from osmia.vm.jit import keys
from osmia.vm.programs import Executor, VmProgram

EXECUTORS: tuple[Executor, ...] = ("interpreter", "generated", "jit")
Counts = list[tuple[Mapping[int, int], Mapping[tuple[int, int], int]]]


def counted(vm: Vm, programs: list[VmProgram], data: bytes, executor: Executor) -> Counts:
    """What a run of the first program adds to the counts of all."""
    counting = vm.need_counting()
    counters = counting.begin(programs)
    before = [each.read() for each in counters]
    try:
        programs[0].run(data, executor=executor, strict=False)
    except ProgramFault:
        pass
    finally:
        counting.end(counters)
    return [
        (
            {slot: count - old[0][slot] for slot, count in new[0].items()},
            {way: count - old[1][way] for way, count in new[1].items()},
        )
        for old, new in zip(before, (each.read() for each in counters), strict=True)
    ]


def agreed(vm: Vm, programs: list[VmProgram], data: bytes = bytes(64)) -> Counts:
    """The counts that all executors have."""
    first, *others = (counted(vm, programs, data, executor) for executor in EXECUTORS)
    for other in others:
        assert other == first
    return first


def test_random_jumps_are_counted_alike() -> None:
    values = random.Random(15)
    with Vm(memory=1 << 25, cpus=1) as vm:
        for _ in range(30):
            count = values.randrange(3, 25)
            lines = ["r0 = 1", "r3 = 40"]
            for number in range(count):
                lines += [f"l{number}: r0 *= 31", f"r0 += {number}", "r3 += -1"]
                lines.append("if r3 s< 0 goto end")
                there = values.randrange(count)
                match values.randrange(4):
                    case 0:
                        lines.append(f"goto l{there}")
                    case 1:
                        lines.append(f"if r0 s> {values.getrandbits(31)} goto l{there}")
                    case 2:
                        lines.append(f"if w0 & {1 << values.randrange(20)} goto l{there}")
                    case 3:
                        lines.append("call sub")
            lines += ["end: exit", "sub: if r0 > 5 goto out", "r0 += 1", "out: r0 = 3", "exit"]
            ((slots, ways),) = agreed(vm, [vm.load_program(assemble("\n".join(lines)))])
            assert slots[0] == 1
            assert any(ways.values())


@pytest.mark.parametrize("count", [6, 20, 90])
def test_counts_are_those_of_who_looks_at_each_step(count: int) -> None:
    """Straight code, of which most pieces are told by their ways, and code too long for that."""
    values = random.Random(count)
    with Vm(memory=1 << 25, cpus=1) as vm:
        for _ in range(12):
            lines = ["r6 = *(u64 *)(r1 +0)"]
            for number in range(count):
                lines += [f"l{number}: r6 *= 31", f"r6 += {values.randrange(1 << 20)}"]
                there = values.choice([*range(number + 1, count), "end"])
                there = there if there == "end" else f"l{there}"
                lines.append(f"if w6 & {1 << values.randrange(20)} goto {there}")
                if values.random() < 0.1:
                    lines.append("call sub")
            lines += ["end: r0 = 0", "exit", "sub: if r6 > 5 goto out", "r0 = 1", "out: r0 = 3"]
            program = vm.load_program(assemble("\n".join([*lines, "exit"])))
            for _ in range(4):
                data = values.randbytes(8)
                steps = Counter[int]()
                ways = Counter[tuple[int, int]]()
                last = -1

                def look(interpreter: Any) -> None:
                    nonlocal last
                    slot = interpreter.frames[-1].slot
                    steps[slot] += 1  # noqa: B023
                    ways[last, slot] += 1  # noqa: B023
                    last = slot

                program.run(data, hook=look, strict=False)
                ((counts, taken),) = agreed(vm, [program], data)
                assert {slot: n for slot, n in counts.items() if n} == steps
                assert taken == {way: ways[way] for way in taken}


def test_a_run_that_ends_in_the_middle_is_counted_up_to_there() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        text = "r0 = 0\nr2 = *(u8 *)(r1 +0)\nr3 = *(u8 *)(r1 +9)\nif r3 == 0 goto end\nr0 = 1"
        program = vm.load_program(assemble(f"{text}\nend: exit"))
        counting = vm.need_counting()
        (counters,) = counting.begin([program])
        program.run(bytes(16), executor="interpreter")
        with pytest.raises(ProgramFault):
            program.run(bytes(4), executor="interpreter")
        slots, ways = counters.read()
        assert list(slots.values()) == [2, 2, 2, 1, 0, 1]
        assert ways == {(3, 4): 0, (3, 5): 1}
        counting.end([counters])


@pytest.mark.parametrize("tail_calls", ["subprogram", "program"])
def test_what_a_tail_call_leaves_behind_is_not_counted(tail_calls: Any) -> None:
    with Vm(memory=1 << 25, cpus=1, tail_calls=tail_calls) as vm:
        array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
        jump = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit"
        program = vm.load_program(assemble(f"call sub\nr0 += 100\nexit\nsub: {jump}"))
        target = vm.load_program(assemble("r0 = 7\nexit"))
        array[0] = target
        (caller, _), (called, _) = agreed(vm, [program, target])
        assert list(called.values()) == [1, 1]
        assert caller[7] == 0  # behind bpf_tail_call
        assert caller[1] == (tail_calls == "subprogram")


@pytest.mark.parametrize("tail_calls", ["subprogram", "program"])
def test_loops_that_end_in_a_tail_call_a_fault_or_a_call_are_counted(tail_calls: Any) -> None:
    with Vm(memory=1 << 25, cpus=1, tail_calls=tail_calls) as vm:
        array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
        array[0] = target = vm.load_program(assemble("r0 = 7\nexit"))
        jump = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call"
        loop = "r6 = 0\nagain: r6 += 1\n{}\nif r6 < 9 goto again\nr0 = r6\nexit"
        leaving = f"if r6 != 4 goto on\nr1 = r9\n{jump}\non: r0 = 0"
        for inside, rounds in ((f"r9 = r1\n{leaving}", 4), ("call sub", 9)):
            text = loop.format(inside)
            sub = "sub: r6 = 3\nmore: r6 += -1\nif r6 != 0 goto more\nr0 = 1\nexit"
            program = vm.load_program(assemble(f"{text}\n{sub}" if rounds == 9 else text))
            (slots, _), _ = agreed(vm, [program, target])
            assert slots[1] == rounds
            assert max(slots.values()) == (27 if rounds == 9 else 4)
        program = vm.load_program(assemble(loop.format("call bpf_ktime_get_ns")))
        for executor in EXECUTORS:
            answers = iter([1, 1])
            vm.helpers["ktime_get_ns"] = lambda answers=answers: next(answers)
            ((slots, _),) = counted(vm, [program], bytes(64), executor)
            assert (slots[1], slots[3]) == (3, 2), executor


def test_a_legacy_load_behind_the_packet_ends_the_program() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        text = "r6 = r1\nr0 = *(u32 *)skb[{at}]\nr0 = 5\nexit"
        for at, behind in ((20, 1), (2000, 0)):
            code = assemble(text.format(at=at))
            program = vm.load_program(code, type=ProgramType.SOCKET_FILTER)
            ((slots, _),) = agreed(vm, [program])
            assert list(slots.values()) == [1, 1, behind, behind]


def test_what_follows_a_helper_that_fails_is_not_counted() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        vm.helpers["ktime_get_ns"] = lambda: 1 // 0
        program = vm.load_program(assemble("r6 = 1\ncall bpf_ktime_get_ns\nr0 = 2\nexit"))
        ((slots, _),) = agreed(vm, [program])
        assert list(slots.values()) == [1, 1, 0, 0]


def test_each_way_of_an_indirect_jump_is_counted() -> None:
    path = Path(__file__).with_name("labels.bpf.c")
    obj = osmia.compile(path, cpu="v4", compiler="zig")
    with obj.load("vm") as bpf:
        program = next(each for each in bpf.programs.values() if each.code.jumps)
        ((_, ways),) = agreed(bpf.vm, [program])
        for slot, targets in program.code.jumps.items():
            assert {way[1] for way in ways if way[0] == slot} == set(targets)


def test_pieces_lie_behind_one_another() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        text = "r1 = 5 ll\ncall bpf_ktime_get_ns\nif r0 == 0 goto pc+1\nr0 = 1\nexit"
        code = vm.load_program(assemble(text)).code
        assert pieces(code) == {0: 3, 3: 4, 4: 5, 5: 6}


def test_code_that_does_not_count_is_as_it_was() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        program = vm.load_program(assemble("r0 = 0\nif r1 == 0 goto pc+1\nr0 = 1\nexit"))
        before = program.generated.source(0)
        counting = vm.need_counting()
        counters = counting.begin([program])
        assert program.generated.source(0) != before
        counting.end(counters)
        assert program.generated.source(0) == before


def test_the_memory_of_counts_goes_with_the_program() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        places = set()
        for _ in range(3):
            program = vm.load_program(assemble("r0 = 0\nexit"))
            counting = vm.need_counting()
            counters = counting.begin([program])
            counting.end(counters)
            places.add(counters[0].base)
            program.close()
        assert len(places) == 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_endless_loop_is_counted_until_its_budget_ends(executor: Executor) -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        program = vm.load_program(assemble("r0 = 0\nagain: r0 += 1\ngoto again\nexit"))
        counting = vm.need_counting()
        (counters,) = counting.begin([program])
        with pytest.raises(BudgetExceededError):
            program.run(bytes(8), executor=executor, strict=False, budget=100_000)
        slots, _ = counters.read()
        assert slots[0] == 1 and 10_000 < slots[1] < 200_000 and slots[3] == 0


def test_kept_code_that_counts_has_a_name_of_its_own() -> None:
    with Vm(memory=1 << 25, cpus=1) as vm:
        program = vm.load_program(assemble("r0 = 0\nif r1 == 0 goto pc+1\nr0 = 1\nexit"))
        plain = keys.of_program(vm, program, program.counters)
        counting = vm.need_counting()
        counters = counting.begin([program])
        assert repr(keys.of_program(vm, program, program.counters)) != repr(plain)
        counting.end(counters)
        assert keys.of_program(vm, program, program.counters) == plain
