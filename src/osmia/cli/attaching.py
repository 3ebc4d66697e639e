"""Where `osmia run` attaches programs: what sections say, and what options add."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import click

from osmia.cli.output import note
from osmia.errors import OsmiaError
from osmia.kernel.links import IteratorLink, Link
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.programs.program import KernelProgram
from osmia.object import AttachType, MapType, ProgramType
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.cli.sampling import Sampling

_CLASSIC_CLASSIFIERS = ("tc", "classifier")
_CGROUP_TYPES = (
    ProgramType.CGROUP_SKB,
    ProgramType.CGROUP_SOCK,
    ProgramType.CGROUP_SOCK_ADDR,
    ProgramType.CGROUP_SOCKOPT,
    ProgramType.CGROUP_DEVICE,
    ProgramType.CGROUP_SYSCTL,
    ProgramType.SOCK_OPS,
)


Mode = Literal["", "generic", "native"]
Direction = Literal["", "ingress", "egress"]


@dataclass(frozen=True)
class Places:
    """What the options say about where to attach; "" and 0: nothing."""

    interface: str = ""
    mode: Mode = ""
    direction: Direction = ""
    cgroup: str = ""
    pid: int = 0
    sampling: Sampling | None = None


class MissingPlaceError(OsmiaError):
    """A program whose place no option tells; the message says which one would."""


def attach_all(loaded: KernelObject, places: Places, undo: ExitStack) -> list[Link]:
    """Attach all programs and struct_ops that can be; `undo` detaches them.

    Programs without a place are left alone with a note, unless that leaves nothing attached:
    UsageError.
    """
    links: list[Link] = []
    missing: list[str] = []
    types = {program.type for program in loaded.programs.values()}
    if places.sampling is not None and ProgramType.PERF_EVENT not in types:
        raise click.UsageError("--perf-event: there is no program of perf events")
    for program in loaded.programs.values():
        if program.type is ProgramType.STRUCT_OPS:
            continue
        try:
            links.append(undo.enter_context(_attach(program, places)))
        except MissingPlaceError as error:
            missing.append(str(error))
    for name, each in loaded.maps.items():
        if each.type is MapType.STRUCT_OPS:
            links.append(undo.enter_context(loaded.attach_struct_ops(name)))
    if not links:
        raise click.UsageError("; ".join(missing) or "there is no program to attach")
    for reason in missing:
        note(f"not attached: {reason}")
    return links


def iterators(links: list[Link]) -> list[IteratorLink]:
    """Those of the links that are run by reading them."""
    return [link for link in links if isinstance(link, IteratorLink)]


def _attach(program: KernelProgram, places: Places) -> Link:
    match program.type:
        case ProgramType.XDP:
            interface = _place(program, places.interface, "--iface")
            return program.attach(interface, mode=places.mode)
        case ProgramType.SCHED_CLS:
            interface = _place(program, places.interface, "--iface")
            return program.attach(interface, **_direction(program, places))
        case kind if kind in _CGROUP_TYPES or _is_cgroup_lsm(program):
            return program.attach(_place(program, places.cgroup, "--cgroup"))
        case ProgramType.PERF_EVENT:
            if places.sampling is None:
                raise MissingPlaceError(
                    f"program {program.name!r} (perf_event) needs --perf-event, such as cpu-clock"
                )
            return places.sampling.attach(program, places.pid)
        case ProgramType.SK_LOOKUP | ProgramType.FLOW_DISSECTOR:
            return program.attach()
    if program.definition is None or not program.definition.auto_attach:
        raise MissingPlaceError(
            f"program {program.name!r} cannot be attached by its section"
            f" {_section(program)!r} alone; use Program.attach"
        )
    if not program.definition.attach_to and program.type is ProgramType.KPROBE:
        raise MissingPlaceError(
            f"program {program.name!r}: section {_section(program)!r} names no function"
        )
    return program.attach(**_process(program, places))


def _place(program: KernelProgram, given: str, option: str) -> str:
    if not given:
        kind = getattr(program.type, "name", str(program.type)).lower()
        raise MissingPlaceError(
            f"program {program.name!r} ({kind}) needs {option}, or --pcap or --packet"
            if option == "--iface"
            else f"program {program.name!r} ({kind}) needs {option}"
        )
    return given


def _direction(program: KernelProgram, places: Places) -> dict[str, Any]:
    """Programs of SEC("tc") say no direction: ingress, unless the options say another."""
    if _section(program) in _CLASSIC_CLASSIFIERS:
        return {"direction": places.direction or "ingress"}
    return {"direction": places.direction} if places.direction else {}


def _process(program: KernelProgram, places: Places) -> dict[str, Any]:
    """Probes in user space and task iterators may be about one process only."""
    section = _section(program)
    about_process = section.startswith(("uprobe", "uretprobe", "usdt", "iter/task", "iter.s/task"))
    return {"pid": places.pid} if places.pid and about_process else {}


def _is_cgroup_lsm(program: KernelProgram) -> bool:
    return program.expected_attach_type == AttachType.LSM_CGROUP


def _section(program: KernelProgram) -> str:
    return program.definition.section.lstrip("?") if program.definition is not None else ""
