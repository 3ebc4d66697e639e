"""Calls that cannot be, in the vm: a run that comes by ends with the words of the pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import osmia
from osmia.btf import BTFBuilder
from osmia.isa import assemble
from osmia.object.model import (
    CoreKind,
    CoreRelocation,
    Extern,
    ExternKind,
    Function,
    Map,
    Object,
    Program,
    Relocation,
    RelocationKind,
)
from osmia.object.uapi import MapType, ProgramType
from osmia.passes.target import Target
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

ELSEWHERE = BTFBuilder()
ELSEWHERE.add_int("int", 4, 1)
TARGET = Target(btf=ELSEWHERE.build(), symbols={})

FIELD = "CO-RE: the kernel's types have no task_struct.warp"
FUNCTION = "the kernel has no function 'bpf_gone' that fits the declaration"
MAP = "map 'gone' is used here, and autocreate is off"


def asking() -> Object:
    """A program for each of a field, a function and a map that is not there; each looks at
    the packet's length first, and comes by only where that is 64."""
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    struct = b.add_struct("task_struct", 8, [("pid", number, 0), ("warp", number, 32)])
    prototype = b.add_func_proto(number, [("x", number)])
    guard = "r0 = *(u32 *)(r1 +4)\nr2 = *(u32 *)(r1 +0)\nr0 -= r2\nif r0 != 64 goto out\n"
    at = 32
    record = CoreRelocation(at, CoreKind.FIELD_BYTE_OFFSET, struct, "0:1")
    functions = [
        Function("field", "xdp", assemble(guard + "r1 = *(u32 *)(r1 +4)\nout: exit")),
        Function("function", "xdp", assemble(guard + "call 0\nout: exit")),
        Function("map", "xdp", assemble(guard + "r1 = 0 ll\nout: exit")),
    ]
    functions[0] = replace(functions[0], core_relocations=(record,))
    call = Relocation(at, RelocationKind.EXTERN_CALL, "bpf_gone")
    functions[1] = replace(functions[1], relocations=(call,))
    functions[2] = replace(functions[2], relocations=(Relocation(at, RelocationKind.MAP, "gone"),))
    return Object(
        "asking",
        license="GPL",
        functions={each.name: each for each in functions},
        programs={
            each.name: Program(each.name, each.name, "xdp", ProgramType.XDP) for each in functions
        },
        maps={"gone": Map("gone", MapType.ARRAY, 4, 4, 1, autocreate=False)},
        externs={"bpf_gone": Extern("bpf_gone", ExternKind.KFUNC, prototype, weak=True)},
        btf=b.build(),
    )


def with_no_op(obj: Object) -> Object:
    """A rewrite: one more instruction at the start of each function."""
    functions = {
        name: replace(
            function,
            code=assemble("r0 = 0") + function.code,
            unresolved=tuple(u._replace(offset=u.offset + 8) for u in function.unresolved),
        )
        for name, function in obj.functions.items()
    }
    return obj.copy(functions=functions)


@pytest.mark.parametrize("passes", [[], [with_no_op]], ids=["as it is", "rewritten"])
@pytest.mark.parametrize(
    ("program", "words"), [("field", FIELD), ("function", FUNCTION), ("map", MAP)]
)
def test_a_run_that_comes_by_says_what_is_missing(
    executor: Any, program: str, words: str, passes: list[Any]
) -> None:
    with asking().load("vm", target=TARGET, passes=passes) as bpf:
        found = bpf.programs[program]
        assert found.run(bytes(32), executor=executor).retval == 32
        with pytest.raises(ProgramFault) as caught:
            found.run(bytes(64), executor=executor)
        assert caught.value.message == words
        assert caught.value.program == program


def test_the_words_are_those_of_the_program_that_a_tail_call_led_to(executor: Any) -> None:
    """A fault of compiled code does not tell which program it was in: the words do."""
    obj = asking()
    jump = assemble("r2 = 0 ll\nr3 = 0\ncall tail_call\nr0 = 1\nexit")
    obj.functions["entry"] = Function(
        "entry", "xdp", jump, (Relocation(0, RelocationKind.MAP, "jumps"),)
    )
    obj.programs["entry"] = Program("entry", "entry", "xdp", ProgramType.XDP)
    obj.maps["jumps"] = Map("jumps", MapType.PROG_ARRAY, 4, 4, 1, slots=((0, "function"),))
    with (
        obj.load("vm", target=TARGET) as bpf,
        pytest.raises(ProgramFault, match=r"no function 'bpf_gone'"),
    ):
        bpf.programs["entry"].run(bytes(64), executor=executor)


def test_packets_of_a_batch_name_what_is_missing_too() -> None:
    with asking().load("vm", target=TARGET) as bpf:
        program = bpf.programs["field"]
        assert list(program.run_batch([bytes(32), bytes(33)])) == [32, 33]
        with pytest.raises(ProgramFault, match=r"task_struct\.warp"):
            program.run_batch([bytes(32), bytes(64)])


def test_equal_words_are_kept_once(vm: Vm) -> None:
    for _ in range(3):
        asking().load("vm", vm=vm, target=TARGET).close()
    numbers = {vm.unresolved.number(words) for words in (FIELD, FUNCTION, MAP)}
    assert len(numbers) == 3
    assert max(numbers) - min(numbers) == 2


def test_a_map_that_is_given_is_there() -> None:
    obj = asking()
    with Vm(memory=1 << 25, cpus=1) as vm:
        given = vm.create_map(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
        with obj.load("vm", vm=vm, target=TARGET, maps={"gone": given}) as bpf:
            assert bpf.programs["map"].run(bytes(64)).retval == 64


def test_own_functions_come_before_the_kernels(vm: Vm) -> None:
    """Helpers given in Python stand for externs."""
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    prototype = b.add_func_proto(number, [("x", number)])
    code = assemble(
        "r1 = 20\ncall 0\nr6 = r0\nr1 = 0 ll\nif r1 == 0 goto none\nr6 += 1\nnone: r0 = r6\nexit"
    )
    kinds = RelocationKind.EXTERN_CALL, RelocationKind.EXTERN
    function = Function(
        "p",
        "xdp",
        code,
        (Relocation(8, kinds[0], "double_it"), Relocation(24, kinds[1], "double_it")),
    )
    obj = osmia.Object(
        "own",
        functions={"p": function},
        programs={"p": Program("p", "p", "xdp", ProgramType.XDP)},
        externs={"double_it": Extern("double_it", ExternKind.KFUNC, prototype)},
        btf=b.build(),
    )
    with obj.load("vm", target=TARGET, helpers={"double_it": lambda x: 2 * x}) as bpf:
        assert bpf.programs["p"].run(bytes(64)).retval == 41
    obj.externs["missing"] = Extern("missing", ExternKind.KFUNC, prototype)
    given: Any = {"double_it": lambda x: 2 * x}
    with pytest.raises(osmia.RelocationError, match=r"externs: 'missing' \(kfunc\)"):
        obj.load("vm", target=TARGET, helpers=given, strict_helpers=True)
    obj.load("vm", target=TARGET, helpers=given).close()


def test_a_kfunc_that_nobody_has_is_a_fault_of_who_calls_it_until_it_is_answered(
    executor: Any,
) -> None:
    """Neither the vm nor the target, a module of which may have it elsewhere."""
    obj = asking()
    obj.externs["bpf_gone"] = replace(obj.externs["bpf_gone"], weak=False)
    with obj.load("vm", target=TARGET) as bpf:
        program = bpf.programs["function"]
        assert program.run(bytes(32), executor=executor).retval == 32
        with pytest.raises(ProgramFault, match=r"no kfunc bpf_gone: .* helpers\['gone'\]"):
            program.run(bytes(64), executor=executor)
        bpf.vm.helpers["bpf_gone"] = lambda: 9
        assert program.run(bytes(64), executor=executor, strict=False).retval == 9
