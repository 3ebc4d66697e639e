"""Helpers of probes, as far as a run has what they change."""

from __future__ import annotations

from osmia.errors import OsmiaError
from osmia.object.uapi import ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.probe_reads import probe_read_user
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_INVAL, M32, M64

E_OPNOTSUPP = -95 & M64
_TRACING = frozenset({ProgramType.TRACING})
_ENTERED = frozenset({ProgramType.TRACING, ProgramType.KPROBE})

RESULT = {"x86_64": 80, "AMD64": 80, "aarch64": 0, "arm64": 0}
"""Where struct pt_regs has the register of a function's result: rax, x0."""


def machine() -> str:
    """This one's name, as `platform` has it, which few programs need and all would wait for."""
    import platform

    return platform.machine()


@helper("override_return", Argument.CONTEXT, Argument.ANY, types=frozenset({ProgramType.KPROBE}))
def override_return(call: Invocation, ctx: int, value: int) -> int:
    """bpf_override_return, since 4.16: the value is the result in the context's registers."""
    offset = RESULT.get(machine())
    if offset is None:
        raise ProgramFault(f"bpf_override_return: struct pt_regs of {machine()} is unknown")
    call.vm.memory.store64(call.context + offset, value & M64)
    return 0


def _arguments(call: Invocation) -> int:
    """How many words the traced function takes."""
    from osmia.vm.prototypes import parameters

    _, types = parameters(call.program())
    if types is None:
        raise ProgramFault("nobody tells what the function takes that the program is attached to")
    return len(types)


@helper(
    "get_func_arg",
    *(Argument.CONTEXT, Argument.ANY, Argument.WRITE8),
    types=_TRACING,
    tells_program=True,
)
def get_func_arg(call: Invocation, ctx: int, number: int, to: int) -> int:
    """bpf_get_func_arg, since 5.17."""
    number &= M32
    if number >= _arguments(call):
        return E_INVAL
    call.write(to, call.read(call.context + 8 * number, 8))
    return 0


@helper("get_func_ret", Argument.CONTEXT, Argument.WRITE8, types=_TRACING, tells_program=True)
def get_func_ret(call: Invocation, ctx: int, to: int) -> int:
    """bpf_get_func_ret, since 5.17, of programs at a function's end."""
    from osmia.vm.prototypes import RETURNING

    if call.program().expected_attach_type not in RETURNING:
        return E_OPNOTSUPP
    call.write(to, call.read(call.context + 8 * _arguments(call), 8))
    return 0


@helper("get_func_arg_cnt", Argument.CONTEXT, types=_TRACING, tells_program=True)
def get_func_arg_cnt(call: Invocation, ctx: int) -> int:
    """bpf_get_func_arg_cnt, since 5.17."""
    return _arguments(call)


@helper("get_func_ip", Argument.CONTEXT, types=_ENTERED, tells_program=True)
def get_func_ip(call: Invocation, ctx: int) -> int:
    """bpf_get_func_ip, since 5.15: where the target has the function; 0 where it tells none."""
    definition, target = call.program().definition, call.vm.target
    if definition is None or target is None:
        return 0
    try:
        return target.symbols.get(definition.attach_to.partition("+")[0], 0)
    except OsmiaError:
        return 0


@helper("copy_from_user", Argument.WRITE, Argument.SIZE, Argument.ANY)
def copy_from_user(call: Invocation, to: int, size: int, source: int) -> int:
    """bpf_copy_from_user, since 5.10."""
    return probe_read_user(call, to, size, source)
