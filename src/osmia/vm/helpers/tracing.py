"""Helpers of probes, as far as a run has what they change."""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import M64

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
