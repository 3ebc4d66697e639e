"""What of a program and its vm is baked into the program's machine code.

Two programs for which all of this is equal, in vms of one layout, have the same code. What is not
in here is either looked up when the code runs, or read through `osmia.vm.jit.constants`.
"""

from __future__ import annotations

from osmia.isa import opcodes as op
from osmia.isa.forms import Form
from osmia.vm import layout
from osmia.vm.code import TAIL_CALL
from osmia.vm.contexts import FOLLOWING

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.counting import Counters
    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram

_RESOLVED = (op.CallKind.HELPER, op.CallKind.KFUNC)


def of_program(vm: Vm, program: VmProgram, counters: Counters | None = None) -> tuple[object, ...]:
    """What decides a program's code, which may count what runs."""
    code = program.code
    calls: dict[tuple[int, int], tuple[object, ...]] = {}
    immediates: dict[int, int] = {}
    for slot, i in enumerate(code.instructions):
        form = code.forms[slot]
        if i is None:
            continue
        if form is Form.LOAD_IMM64 and i.src:
            immediates[slot] = vm.immediate(i, slot)
        elif form is Form.CALL and (i.src, i.imm) not in calls:
            if i.src == op.CallKind.PROGRAM:
                calls[i.src, i.imm] = (vm.dispatchers[i.imm].slot,)
            elif i.src in _RESOLVED and not (i.is_helper_call and i.imm == TAIL_CALL):
                found = vm.resolve(i, program.type)
                who = (program.number,) if found.tells_program else ()
                calls[i.src, i.imm] = (found.name, found.native, len(found.arguments), *who)
    functions = [(each.start, each.end, each.stack) for each in code.functions.values()]
    jumps = [(slot, tuple(targets)) for slot, targets in code.jumps.items()]
    return (
        code.packed,
        program.type is None,
        functions,
        jumps,
        immediates,
        calls,
        [_constants(vm, number) for number in sorted(code.map_numbers)],
        *(("follows",) if program.type in FOLLOWING else ()),
        *(() if counters is None else (counters.starts, counters.ways)),
    )


def _constants(vm: Vm, number: int) -> tuple[int, bytes] | None:
    """A map's header: where it is, and its fields that never change."""
    body = vm.lifetimes.maps.get(number)
    if body is None:
        return None
    return body.header, vm.memory.read(body.header, layout.MAP_CONSTANTS_END)
