"""Python source out of bytecode: any control flow, nothing but numbers in it, fast enough."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest

from osmia.isa import assemble
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError, ProgramFault

ALU_LOOP = """
r1 = 88172645463325252 ll
r3 = 100000
again: r2 = r1
r2 <<= 13
r1 ^= r2
r2 = r1
r2 >>= 7
r1 ^= r2
r3 += -1
if r3 != 0 goto again
r0 = r1
exit
"""
IRREDUCIBLE = """
r0 = 0
if r2 > 4 goto second
first: r0 += 1
if r0 > 50 goto end
second: r0 += 10
if r0 < 40 goto first
end: exit
"""


def agree(vm: Vm, text: str, data: bytes = bytes(8)) -> int:
    """The result of a program that has the same interpreted and generated."""
    program = vm.load_program(assemble(text))
    exact = program.run(data, executor="interpreter", strict=False).retval
    assert program.run(data, executor="generated").retval == exact
    return exact


@pytest.mark.parametrize("size", [4, 5])
def test_a_loop_with_two_entries(vm: Vm, size: int) -> None:
    assert agree(vm, IRREDUCIBLE, bytes(size)) > 0


def test_more_loops_in_one_another_than_python_takes(vm: Vm) -> None:
    opening = "".join(f"*(u64 *)(r10 -{8 * n}) = 2\nl{n}: r0 += 1\n" for n in range(1, 31))
    closing = "".join(
        f"r1 = *(u64 *)(r10 -{8 * n})\nr1 += -1\n*(u64 *)(r10 -{8 * n}) = r1\n"
        f"if r1 s> 0 goto l{n}\n"
        for n in range(30, 26, -1)
    )
    rest = "".join(
        f"r1 = *(u64 *)(r10 -{8 * n})\nr1 += -2\n*(u64 *)(r10 -{8 * n}) = r1\n"
        f"if r1 s> 0 goto l{n}\n"
        for n in range(26, 0, -1)
    )
    assert agree(vm, f"r0 = 0\n{opening}{closing}{rest}exit") > 30


def test_conditions_in_one_another_beyond_pythons_indentation(vm: Vm) -> None:
    tests = "".join(f"if r2 == {n} goto a{n}\nr0 += {n}\n" for n in range(300))
    arms = "".join(f"a{n}: r0 += {n}\nif r2 > {n} goto a{n + 1}\nexit\n" for n in range(300))
    assert agree(vm, f"r0 = 0\n{tests}exit\n{arms}a300: exit") > 0


def test_random_jumps_go_where_the_interpreter_goes(vm: Vm) -> None:
    values = random.Random(11)
    for _ in range(150):
        count = values.randrange(3, 40)
        lines = ["r0 = 1", "r3 = 40"]
        for number in range(count):
            lines.append(f"l{number}: r0 *= 31")
            lines.append(f"r0 += {number}")
            lines.append("r3 += -1")
            lines.append("if r3 s< 0 goto end")
            there = values.randrange(count)
            match values.randrange(4):
                case 0:
                    lines.append(f"goto l{there}")
                case 1:
                    lines.append(f"if r0 s> {values.getrandbits(31)} goto l{there}")
                case 2:
                    lines.append(f"if w0 & {1 << values.randrange(20)} goto l{there}")
        lines.append("end: exit")
        agree(vm, "\n".join(lines))


@pytest.mark.parametrize("width", ["", "32"])
def test_arithmetic_of_every_kind_on_awkward_numbers(vm: Vm, width: str) -> None:
    numbers = (0, 1, 2, 31, 63, 64, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
    register = "w" if width else "r"
    operations = ("+", "-", "*", "/", "%", "|", "&", "^", "<<", ">>", "s>>", "s/", "s%")
    lines = ["r0 = 0"]
    for operation in operations:
        for a in numbers:
            for b in numbers:
                lines += [f"r1 = {a} ll", f"r2 = {b} ll", "r3 = *(u64 *)(r10 -8)", "r3 = 0"]
                lines += [f"{register}1 {operation}= {register}2", "r0 *= 31", "r0 += r1"]
            program = "\n".join([*lines, "exit"])
        agree(vm, program)
        lines = lines[:1]


def test_the_source_has_only_numbers_of_the_object(vm: Vm) -> None:
    text = "r6 = r1\ncall 5\nr0 += 7\nif r0 > 3 goto pc+1\nr0 = 0\nexit"
    evil = "x'):\n import os #"
    program = vm.load_program(assemble(text), name=evil, function_names={0: evil})
    source = program.generated.source(0)
    words = set(re.findall(r"[A-Za-z_]\w*", source))
    known = {"def", "function_0", "run", "r10", "way", "if", "return", "call_1", "while", "True"}
    assert words <= known | {"break", "left", *(f"r{n}" for n in range(10))}
    assert program.run(executor="generated").retval > 3


def test_a_fault_tells_the_call(vm: Vm) -> None:
    program = vm.load_program(assemble("r1 = 5\ncall 6\nexit"), name="asks")
    vm.helpers["trace_printk"] = lambda: 1 // 0
    with pytest.raises(ProgramFault, match=r"'asks': trace_printk raised .*instruction 1"):
        program.run(executor="generated")


def test_a_mock_that_changes_is_called_in_the_next_run(vm: Vm) -> None:
    program = vm.load_program(assemble("call bpf_ktime_get_ns\nexit"))
    for answer in (3, 4):
        vm.helpers["ktime_get_ns"] = lambda found=answer: found
        assert program.run(executor="generated").retval == answer


def test_an_endless_loop_ends_with_its_budget(vm: Vm) -> None:
    program = vm.load_program(assemble("r0 = 0\nagain: r0 += 1\ngoto again\nexit"), name="runs")
    with pytest.raises(BudgetExceededError, match="'runs'"):
        program.run(executor="generated", budget=100_000)


@pytest.mark.parametrize("tail_calls", ["subprogram", "program"])
def test_a_tail_call_in_a_function(tail_calls: str) -> None:
    from osmia.object.uapi import MapType

    with Vm(memory=1 << 25, cpus=1, tail_calls=tail_calls) as vm:  # type: ignore[arg-type]
        array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=1)
        jump = f"r2 = map[fd:{array.id}]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit"
        program = vm.load_program(assemble(f"call sub\nr0 += 100\nexit\nsub: {jump}"))
        array[0] = vm.load_program(assemble("r0 = 7\nexit"))
        exact = program.run(executor="interpreter", strict=False).retval
        assert exact == (107 if tail_calls == "subprogram" else 7)
        assert program.run(executor="generated").retval == exact


@pytest.mark.alone
def test_an_arithmetic_loop_runs_20_million_instructions_a_second(vm: Vm) -> None:
    program = vm.load_program(assemble(ALU_LOOP))
    program.run(executor="generated")
    best = min(_timed(program) for _ in range(10))
    assert 800_000 / best > 20e6


def _timed(program: object) -> float:
    begin = time.process_time()
    program.run(executor="generated")  # type: ignore[attr-defined]
    return time.process_time() - begin
