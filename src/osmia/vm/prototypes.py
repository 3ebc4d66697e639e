"""What the functions take that programs are attached to, by the types of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from osmia.btf import BTF, Func, FuncProto, Kind, Ptr
from osmia.object.uapi import AttachType, ProgramType
from osmia.vm.structures import types_of

if TYPE_CHECKING:
    from osmia.vm.programs import VmProgram

RETURNING = frozenset(
    {
        *(AttachType.TRACE_FEXIT, AttachType.TRACE_FEXIT_MULTI, AttachType.MODIFY_RETURN),
        *(AttachType.TRACE_FSESSION, AttachType.TRACE_FSESSION_MULTI, AttachType.LSM_MAC),
    }
)
"""Attach types whose programs find what the function returned behind its arguments."""


def parameters(program: VmProgram) -> tuple[BTF | None, Sequence[int] | None]:
    """The types of what the program is attached to takes, and whose they are; None where nobody
    tells."""
    definition = program.definition
    if definition is None or not definition.attach_to:
        return None, None
    name = definition.attach_to.rpartition(":")[2].partition("+")[0]
    for btf in types_of(program.vm):
        found = _prototype(btf, program, name)
        if found is not None:
            return btf, found
    return None, None


def _prototype(btf: BTF, program: VmProgram, name: str) -> list[int] | None:
    raw = program.type in (ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE)
    if raw or program.expected_attach_type is AttachType.TRACE_RAW_TP:
        found = btf.find(f"btf_trace_{name}", Kind.TYPEDEF)
        kind = btf.type(btf.resolve(found)) if found else None
        proto = btf.type(kind.target) if isinstance(kind, Ptr) else None
        skipped = 1  # what the tracepoint's user gave
    else:
        prefix = "bpf_lsm_" if program.type is ProgramType.LSM else ""
        found = btf.find(prefix + name, Kind.FUNC)
        function = btf.type(found) if found else None
        proto = btf.type(function.type_id) if isinstance(function, Func) else None
        skipped = 0
    if not isinstance(proto, FuncProto):
        return None
    return [parameter.type_id for parameter in proto.parameters[skipped:] if parameter.type_id]
