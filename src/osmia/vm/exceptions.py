"""What becomes of a run that threw (bpf_throw): its callback's result, else the cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.errors import NotSupportedError
from osmia.isa.opcodes import CallKind
from osmia.vm import layout
from osmia.vm.execution import Execution
from osmia.vm.interpreter import Interpreter

if TYPE_CHECKING:
    from osmia.vm.errors import Thrown
    from osmia.vm.programs import VmProgram
    from osmia.vm.runs import Input

THROW = "bpf_throw"


def throws(program: VmProgram) -> bool:
    """Whether a program has a call of bpf_throw."""
    number = program.vm.function_number(THROW)
    code = program.code.instructions
    return any(i and i.is_call and i.src == CallKind.KFUNC and i.imm == number for i in code)


def caught(program: VmProgram, given: Input, thrown: Thrown, repeat: int) -> int:
    """The result of a run of `program` that ended with an exception. The callback of what threw, a
    program that it tail-called perhaps, is interpreted."""
    if repeat > 1:
        what = f"program {program.name!r} threw, in a program that it calls"
        raise NotSupportedError(f"{what}: run it without repeat=")
    given.memory.store64(given.cpu.state + layout.STATE_INTERRUPT, 0)
    thrower = thrown.program
    if not thrower.exception_callback:
        return thrown.cookie
    execution = Execution(program.vm, given.cpu, given, thrower.type)
    interpreter = Interpreter(execution)
    return thrower.interpret(interpreter, (thrown.cookie,), thrower.exception_callback)
