"""What ends a run ends it there: nothing that follows is done, on both executors."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

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
