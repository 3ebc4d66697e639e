"""All helpers of the kernel's: the vm has them, or asks the test, or says who is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.isa.helper_functions import HELPERS
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers import KFUNCS, supported, table
from osmia.vm.helpers.mocks import arguments_of
from osmia.vm.helpers.table import Argument
from osmia.vm.native import NATIVE

NAMES = {helper.name.removeprefix("bpf_"): helper for helper in HELPERS.values()}
TAIL_CALL = "tail_call"
LACKING = sorted(NAMES.keys() - supported().keys() - {TAIL_CALL})
CALL = "r1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_{name}\nexit"


def test_the_table_has_no_name_that_the_kernel_lacks() -> None:
    assert supported().keys() - NAMES.keys() - KFUNCS == {"poison"}


@pytest.mark.parametrize("module", [*table._MODULES, "jit.machine", "jit.translate"])
def test_a_module_alone_brings_the_helpers_and_natives_that_it_names(module: str) -> None:
    place = f"osmia.vm.{module}" if "." in module else f"osmia.vm.helpers.{module}"
    # What was kept needs no natives: `jit.machine` brings those that it names where it translates.
    first = "import osmia.vm.jit.native_code\n" if module == "jit.machine" else ""
    code = (
        f"{first}import importlib; found = importlib.import_module({place!r})\n"
        "from osmia.vm import native\nfrom osmia.vm.helpers import table\n"
        "print(*table._TABLE, *native.NATIVE); print(found.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, _, file = done.stdout.strip().partition("\n")
    for name in supported():
        assert supported()[name].name == name  # all are there, in this process
    parts = ("osmia.vm.helpers", "osmia.vm.maps")
    natives = {each for each, native in NATIVE.items() if native.__module__.startswith(parts)}
    written = natives.intersection(re.findall(r'"(\w+)"', Path(file).read_text()))
    assert written | set(table._MODULES.get(module, "").split()) <= set(names.split())


def test_no_module_has_a_helper_that_nobody_finds() -> None:
    assert [supported()[name].name for name in supported()] == list(supported())
    assert table._TABLE.keys() == supported().keys()
    texts = {place.stem: place.read_text() for place in Path(table.__file__).parent.glob("*.py")}
    uses = re.compile(r"^from osmia\.vm\.helpers\.table import .*\b(native_)?helper\b", re.M)
    registering = {place for place, text in texts.items() if uses.search(text)} - {"__init__"}
    assert registering <= table._MODULES.keys()


def test_what_is_declared_of_a_helper_is_as_long_as_its_prototype() -> None:
    for name, held in supported().items():
        if name in NAMES:
            wanted = [a for a in held.arguments if a is not Argument.OPTIONAL]
            assert len(wanted) == min(len(NAMES[name].arguments), 5) - (
                name == "trace_printk"  # its last one is the dots
            ), name


def test_a_call_that_nobody_answers_ends_the_run_with_the_helpers_name(
    vm: Vm, executor: Any
) -> None:
    assert len(LACKING) > 50
    few = LACKING if executor == "interpreter" else LACKING[::8]
    for name in few:
        program = vm.load_program(assemble(CALL.format(name=name)))
        with pytest.raises(ProgramFault) as caught:
            program.run(executor=executor)
        words = f"the vm has no helper bpf_{name}: answer it with helpers[{name!r}]"
        assert caught.value.message == words


def test_every_helper_that_the_vm_lacks_takes_its_answer_from_the_test(vm: Vm) -> None:
    for name in LACKING:
        program = vm.load_program(assemble(CALL.format(name=name)))
        vm.helpers[name] = lambda *arguments: 40 + len(arguments)
        assert program.run(strict=False).retval == 40 + len(arguments_of(NAMES[name]))


def test_strict_helpers_refuse_each_of_them_at_load() -> None:
    with Vm(memory=1 << 23, cpus=1, strict_helpers=True) as vm:
        for name in LACKING:
            with pytest.raises(NotSupportedError, match=f"no helper bpf_{name} "):
                vm.load_program(assemble(CALL.format(name=name)))


def test_an_answer_writes_where_the_program_reads(vm: Vm, executor: Any) -> None:
    """What a callable writes into a frame holds something: strict mode knows it."""

    def fib_lookup(call: Any, ctx: int, params: int, size: int, flags: int) -> int:
        call.write(params + 4, (7).to_bytes(4, "little"))
        return 0

    text = """
        *(u32 *)(r10 -64) = 2
        r2 = r10
        r2 += -64
        r3 = 64
        r4 = 0
        call bpf_fib_lookup
        r0 = *(u32 *)(r10 -60)
        exit
    """
    vm.helpers["fib_lookup"] = fib_lookup
    program = vm.load_program(assemble(text), type=ProgramType.XDP)
    assert program.run(bytes(64), executor=executor).retval == 7


def test_strict_mode_checks_the_arguments_of_answered_helpers(vm: Vm) -> None:
    vm.helpers["fib_lookup"] = lambda: 0
    over = "r2 = r10\nr2 += -8\nr3 = 64\nr4 = 0\ncall bpf_fib_lookup\nexit"
    program = vm.load_program(assemble(over), type=ProgramType.XDP)
    with pytest.raises(ProgramFault, match=r"fib_lookup, argument r2: .* runs over the frame"):
        program.run(bytes(64), executor="interpreter")
    vm.helpers["perf_event_read"] = lambda: 0
    no_map = vm.load_program(assemble("r1 = 5\nr2 = 0\ncall bpf_perf_event_read\nexit"))
    with pytest.raises(ProgramFault, match="perf_event_read, argument r1: not a map"):
        no_map.run(executor="interpreter")


def test_stack_numbers_come_from_the_answer_to_get_stack(vm: Vm, executor: Any) -> None:
    stacks: Any = vm.create_map(MapType.STACK_TRACE, value_size=80, max_entries=16)
    program = vm.load_program(
        assemble(f"r2 = map[fd:{stacks.id}]\nr3 = 0\ncall bpf_get_stackid\nexit")
    )
    with pytest.raises(ProgramFault, match=r"helpers\['get_stack'\]"):
        program.run(executor=executor)
    addresses = [0xFFFF_FFFF_8100_0000, 0xFFFF_FFFF_8100_1000]

    def get_stack(call: Any, ctx: int, to: int, size: int, flags: int) -> int:
        call.write(to, b"".join(n.to_bytes(8, "little") for n in addresses))
        return 8 * len(addresses)

    vm.helpers["get_stack"] = get_stack
    number = program.run(executor=executor).retval
    assert stacks[number] == tuple(addresses)
    assert program.run(executor=executor).retval == number
    addresses.append(5)
    other = program.run(executor=executor).retval
    assert dict(stacks.items()) == {number: tuple(addresses[:2]), other: tuple(addresses)}
    del stacks[number]
    assert list(stacks) == [other]
    vm.helpers["get_stack"] = lambda: 0
    assert program.run(executor=executor).retval == 2**64 - 14  # EFAULT
