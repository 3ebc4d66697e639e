"""Programs on perf events: tracepoints, and events of software and hardware."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from osmia.arguments import names_wrong_arguments
from osmia.engine.link import Link
from osmia.enums import IntEnum
from osmia.errors import NotSupportedError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.info import LinkInfo
from osmia.kernel.links.link import HookLink, KernelLink, LinkGroup
from osmia.kernel.probes.features import needs
from osmia.kernel.sys import perf_events, syscall
from osmia.kernel.sys.attributes import LinkPerfEventOptions, PerfEventAttr
from osmia.kernel.sys.cpus import online_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.perf_events import PerfFlag, PerfIoctl
from osmia.object.uapi import AttachType
from osmia.tracefs import tracepoint_id


class PerfType(IntEnum):
    """enum perf_type_id, include/uapi/linux/perf_event.h."""

    HARDWARE = 0
    SOFTWARE = 1
    TRACEPOINT = 2
    HW_CACHE = 3
    RAW = 4
    BREAKPOINT = 5


class SoftwareEvent(IntEnum):
    """enum perf_sw_ids."""

    CPU_CLOCK = 0  # ns
    TASK_CLOCK = 1  # ns
    PAGE_FAULTS = 2
    CONTEXT_SWITCHES = 3
    CPU_MIGRATIONS = 4
    PAGE_FAULTS_MIN = 5
    PAGE_FAULTS_MAJ = 6
    ALIGNMENT_FAULTS = 7
    EMULATION_FAULTS = 8
    CGROUP_SWITCHES = 11


class HardwareEvent(IntEnum):
    """enum perf_hw_id."""

    CPU_CYCLES = 0
    INSTRUCTIONS = 1
    CACHE_REFERENCES = 2
    CACHE_MISSES = 3
    BRANCH_INSTRUCTIONS = 4
    BRANCH_MISSES = 5
    BUS_CYCLES = 6
    STALLED_CYCLES_FRONTEND = 7
    STALLED_CYCLES_BACKEND = 8
    REF_CPU_CYCLES = 9


class PerfHookLink(HookLink):
    """A program on a perf event of a kernel before 5.15: gone when the event is closed."""

    def __init__(self, event: FileDescriptor, what: str) -> None:
        super().__init__(what, event.close)
        self._event = event

    def fileno(self) -> int:
        """The perf event's descriptor, since there is none of a link."""
        return self._event.fileno()

    @property
    def info(self) -> LinkInfo:
        raise NotSupportedError("links on perf events", since="5.15")


class PerfEventLink(KernelLink):
    """A link on a perf event (since 5.15). The event's descriptor stays open beside it: by that
    the kernel tells who looks for them where programs hang (`osmia perf list`, bpftool)."""

    def __init__(self, fd: FileDescriptor, event: FileDescriptor, what: str) -> None:
        super().__init__(fd, what)
        self._event = event

    def _close(self) -> None:
        super()._close()
        self._event.close()


@names_wrong_arguments
def attach_tracepoint(
    program: Attachable, category: str, name: str = "", *, cookie: int = 0
) -> Link:
    """Attach to a tracepoint, "sched", "sched_switch" or in one word "sched:sched_switch".

    A link since 5.15, `cookie` too; before, an attachment that ends with its perf event.
    """
    said = category
    if not name:
        category, _, name = category.replace("/", ":").partition(":")
    if not category or not name:
        raise ValueError(f"a tracepoint is 'category:name', not {said!r}")
    attribute = PerfEventAttr(
        type=PerfType.TRACEPOINT, config=tracepoint_id(category, name), sample_period=1
    )
    what = f"program {program.name!r} on tracepoint {category}:{name}"
    event = open_event(attribute, what, cpu=0)
    return attach_to_event(program, event, what, cookie)


@names_wrong_arguments
def attach_perf_event(
    program: Attachable,
    event: SoftwareEvent | HardwareEvent | int,
    *,
    type: PerfType | int | None = None,  # noqa: A002 - the kernel's word
    period: int = 0,
    frequency: int = 0,
    pid: int | None = None,
    cpus: Iterable[int] | None = None,
    cookie: int = 0,
) -> Link:
    """Run the program when a counter overflows, on each of `cpus` (None: all online).

    `event` is a SoftwareEvent or HardwareEvent, or with `type` any configuration number.
    Either `period`: every so many events (ns for clocks), or `frequency`: so many times
    a second. `pid` counts one thread only (then `cpus` None means wherever it runs).

    Gives a LinkGroup when there are several CPUs. Since 4.9; links and `cookie` since 5.15.
    """
    kind = _type_of(event) if type is None else type
    if bool(period) == bool(frequency):
        raise ValueError("give either a period or a frequency")
    what = f"program {program.name!r} on perf event {getattr(event, 'name', event)}"
    places = list(cpus) if cpus is not None else [-1] if pid is not None else online_cpus()
    if not places:
        raise ValueError("cpus= has no CPU to attach to")
    links: list[Link] = []
    with ExitStack() as undo:
        for cpu in places:
            attribute = PerfEventAttr(
                type=kind,
                config=event,
                sample_period=period or frequency,
                flags=PerfFlag.FREQUENCY if frequency else 0,
            )
            place = f"{what} on CPU {cpu}" if cpu >= 0 else what
            descriptor = open_event(attribute, place, pid=pid, cpu=cpu)
            links.append(undo.enter_context(attach_to_event(program, descriptor, place, cookie)))
        undo.pop_all()
    return links[0] if len(links) == 1 else LinkGroup(links, what)


def open_event(
    attribute: PerfEventAttr, what: str, *, pid: int | None = None, cpu: int = -1
) -> FileDescriptor:
    """A perf event for a program to hang on."""
    return FileDescriptor(
        perf_events.perf_event_open(
            attribute, pid=-1 if pid is None else pid, cpu=cpu, what=f"attach {what}"
        ),
        f"perf event of {what}",
    )


def attach_to_event(program: Attachable, event: FileDescriptor, what: str, cookie: int = 0) -> Link:
    """Hang the program on a perf event, and take the event over: it ends with the link."""
    with ExitStack() as undo:
        undo.enter_context(event)
        link = _link(program, event, what, cookie)
        if link is None:
            perf_events.perf_event_ioctl(
                event.fileno(), PerfIoctl.SET_BPF, program.fileno(), what=f"attach {what}"
            )
            link = PerfHookLink(event, what)
        undo.pop_all()
    return link


def _link(program: Attachable, event: FileDescriptor, what: str, cookie: int) -> Link | None:
    """A link, or None on a kernel without links on perf events."""
    try:
        with needs("5.15", "links on perf events"):
            fd = syscall.link_create(
                program.fileno(),
                target=event.fileno(),
                attach_type=AttachType.PERF_EVENT,
                options=LinkPerfEventOptions(bpf_cookie=cookie),
                what=f"attach {what}",
            )
    except NotSupportedError:
        if cookie:
            raise
        return None
    return PerfEventLink(FileDescriptor(fd), event, what)


def _type_of(event: SoftwareEvent | HardwareEvent | int) -> PerfType:
    match event:
        case SoftwareEvent():
            return PerfType.SOFTWARE
        case HardwareEvent():
            return PerfType.HARDWARE
    raise ValueError("give the type of an event that is only a number")
