"""What a BTF-attached program is loaded against: a kernel function, hook or program."""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf import BTF, Kind
from osmia.errors import NotSupportedError, RelocationError
from osmia.kernel.programs.program import KernelProgram
from osmia.named_tuples import NamedTuple
from osmia.object.model import Object, Program
from osmia.object.uapi import MULTI_TRACING, AttachType, ProgramFlag, ProgramType
from osmia.passes.target import Target

_BTF_PROGRAMS = (ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT)
#: What the kernel puts before the name that a program's section says.
_PREFIXES = {
    AttachType.TRACE_RAW_TP: ("btf_trace_", Kind.TYPEDEF),
    AttachType.LSM_MAC: ("bpf_lsm_", Kind.FUNC),
    AttachType.LSM_CGROUP: ("bpf_lsm_", Kind.FUNC),
    AttachType.TRACE_ITER: ("bpf_iter_", Kind.FUNC),
}


class AttachTarget(NamedTuple):
    """A type id in the BTF of "vmlinux", of a module, or of a program (`module` is "")."""

    type_id: int
    module: str


_DEV_BOUND_ONLY = int(ProgramFlag.XDP_DEV_BOUND_ONLY)


def needs_target(program: Program) -> bool:
    """Whether BPF_PROG_LOAD wants to know the target."""
    return program.type in _BTF_PROGRAMS and program.expected_attach_type not in MULTI_TRACING


def find_in_kernel(program: Program, target: Target) -> AttachTarget:
    """The kernel function, hook or tracepoint that `program.attach_to` names.

    "module:name" looks in one module only. Raises RelocationError when nothing of that
    name is there, NotSupportedError on a kernel without BTF.
    """
    module, name, kind = kernel_name(program)
    if target.btf is None:
        raise NotSupportedError(
            f"program {program.name!r} attaches by type, and this kernel has no BTF", since="5.4"
        )
    for where, btf in _places(target, module):
        type_id = _own_type(btf, name, kind)
        if type_id:
            return AttachTarget(type_id, where)
    raise RelocationError(f"program {program.name!r}: the kernel has no {name!r} to attach to")


def kernel_name(program: Program) -> tuple[str | None, str, Kind]:
    """What the program attaches to: in which module (None: anywhere), the name that the kernel's
    types have for it, and of which kind. RelocationError where the program does not say."""
    if not program.attach_to:
        raise RelocationError(
            f"program {program.name!r} (section {program.section!r}) does not say what to"
            " attach to; name it in the section or in `attach_to`"
        )
    attach_type = program.expected_attach_type
    prefix, kind = _PREFIXES.get(attach_type, ("", Kind.FUNC)) if attach_type else ("", Kind.FUNC)
    module, colon, name = program.attach_to.rpartition(":")
    return module if colon else None, prefix + name, kind


def find_in_program(program: Program, btf: BTF | None, name: str) -> AttachTarget:
    """A function of another BPF program, whose own BTF is `btf`."""
    type_id = btf.find(name, Kind.FUNC) if btf is not None else 0
    if not type_id:
        raise RelocationError(f"program {program.name!r}: the target has no function {name!r}")
    return AttachTarget(type_id, "")


def _places(target: Target, module: str | None) -> Iterator[tuple[str, BTF]]:
    """Where to look, in order; the modules' types are read only for who comes so far."""
    assert target.btf is not None
    if module in (None, "vmlinux"):
        yield "vmlinux", target.btf
    if module != "vmlinux":
        for name, btf in target.modules.items():
            if module in (None, name):
                yield name, btf


def _own_type(btf: BTF, name: str, kind: Kind) -> int:
    """A type of `btf` itself, not of its base."""
    return next((i for i in btf.find_all(name, kind) if i >= btf.first_id), 0)


def traces_static_probes(program: Program) -> bool:
    """Whether the section is that of static probes (usdt)."""
    return program.section.lstrip("?").partition("/")[0].removesuffix(".s") == "usdt"


def static_probe_attach_type() -> int:
    """One link for all places of a probe where the kernel has such links; the program says
    at load which kind it will have."""
    from osmia.kernel.probes import features

    multi = AttachType.TRACE_UPROBE_MULTI
    return multi if features.has_attach_type(multi) else 0


def check_own(obj: Object, name: str, program: object) -> None:
    """See that a program of the object can be for a program that is given for it."""
    if name not in obj.programs:
        raise RelocationError(f"{obj.name} has no program {name!r} that could be attached")
    if not isinstance(program, KernelProgram):
        other = getattr(program, "name", program)
        raise RelocationError(f"program {name!r} is for {other!r}, which the kernel does not hold")
    program.fileno()  # ClosedError


def only_bound(obj: Object) -> bool:
    """Whether the programs are for an interface whose kfuncs they call, and run by the kernel."""
    found = False
    for each in obj.programs.values():
        if each.autoload:
            if not each.flags & _DEV_BOUND_ONLY:
                return False
            found = True
    return found
