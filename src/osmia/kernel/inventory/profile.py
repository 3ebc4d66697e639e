"""What runs of a program cost: counters of the processor, read before and after each run.

Two programs are attached to the profiled one, fentry and fexit (since 5.7 for programs): the
first puts what the counters show aside, the second adds up by how much they went on.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from osmia.closing import ClosedByWith
from osmia.errors import KernelError, NotSupportedError, OsmiaError
from osmia.isa import assemble
from osmia.kernel.links import attach_tracing
from osmia.kernel.links.perf import HardwareEvent, PerfType, SoftwareEvent
from osmia.kernel.programs.info import function_records
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import perf_events, syscall
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.kernel.sys.cpus import online_cpus, possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.perf_events import PerfIoctl
from osmia.kernel.sys.syscall import Command
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.paths import Path

#: What can be counted: perf's type and number of it. Those of caches are cache | access << 8 |
#: result << 16 (include/uapi/linux/perf_event.h, enum perf_hw_cache_id and after it).
METRICS: Mapping[str, tuple[PerfType, int]] = {
    "cycles": (PerfType.HARDWARE, HardwareEvent.CPU_CYCLES),
    "instructions": (PerfType.HARDWARE, HardwareEvent.INSTRUCTIONS),
    "l1d_loads": (PerfType.HW_CACHE, 0),
    "llc_misses": (PerfType.HW_CACHE, 2 | 1 << 16),
    "itlb_misses": (PerfType.HW_CACHE, 4 | 1 << 16),
    "dtlb_misses": (PerfType.HW_CACHE, 3 | 1 << 16),
    "cpu_clock": (PerfType.SOFTWARE, SoftwareEvent.CPU_CLOCK),
    "task_clock": (PerfType.SOFTWARE, SoftwareEvent.TASK_CLOCK),
}

#: struct bpf_perf_event_value: the counter, ns that it was there, ns that it counted.
_READING = struct.Struct("=QQQ")
_FORMAT = 1 | 2  # PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING


class Counted(NamedTuple):
    """A counter over all runs; it `counted` for `running_ns` of `enabled_ns`, where processors
    have fewer counters than were asked for."""

    counted: int
    enabled_ns: int
    running_ns: int

    @property
    def share(self) -> str:
        """How much of the time it counted: "100%"; "-" where nothing ran."""
        return f"{self.running_ns / self.enabled_ns:.0%}" if self.enabled_ns else "-"


class Profile(ClosedByWith):
    """Counters around the runs of a program, until it is closed. Use it in a `with` block.

    Raises NotSupportedError for what this machine does not count and on kernels without fentry,
    ValueError for metrics that are not in METRICS, OsmiaError for a program without types.
    """

    def __init__(self, program: KernelProgram, metrics: Sequence[str]) -> None:
        unknown = [each for each in metrics if each not in METRICS]
        if unknown or not metrics:
            raise ValueError(f"{unknown[0] if unknown else 'nothing'!r} is no metric that is known")
        self._metrics = list(dict.fromkeys(metrics))
        self._cpus = possible_cpus()
        with ExitStack() as opened:
            self._start(program, opened)
            self._opened = opened.pop_all()

    def _start(self, program: KernelProgram, opened: ExitStack) -> None:
        count = len(self._metrics)
        events = self._map(opened, MapType.PERF_EVENT_ARRAY, count * self._cpus, 4)
        before = self._map(opened, MapType.PERCPU_ARRAY, count, _READING.size)
        self._totals = self._map(opened, MapType.PERCPU_ARRAY, count, _READING.size)
        self._runs = self._map(opened, MapType.PERCPU_ARRAY, 1, 8)
        for number, metric in enumerate(self._metrics):
            for cpu in online_cpus():
                event = opened.enter_context(_open_event(metric, cpu))
                key = struct.pack("=I", number * self._cpus + cpu)
                _check(
                    syscall.map_element(
                        Command.MAP_UPDATE_ELEM,
                        events.fileno(),
                        key=key,
                        value=struct.pack("=I", event.fileno()),
                    )
                )
        enter = _enter_code(count, self._cpus, events.fileno(), before.fileno())
        leave = _leave_code(
            count,
            self._cpus,
            events.fileno(),
            before.fileno(),
            self._totals.fileno(),
            self._runs.fileno(),
        )
        # The end first, so that no run is counted from its middle.
        for hook, code in ((AttachType.TRACE_FEXIT, leave), (AttachType.TRACE_FENTRY, enter)):
            tracer = opened.enter_context(_load(program, hook, code))
            opened.enter_context(attach_tracing(tracer))

    def _map(self, opened: ExitStack, kind: MapType, entries: int, size: int) -> FileDescriptor:
        fd = syscall.map_create(kind, key_size=4, value_size=size, max_entries=entries)
        return opened.enter_context(FileDescriptor(fd, "map of a profile"))

    def read(self) -> tuple[int, dict[str, Counted]]:
        """The runs so far, and what each metric counted in them."""
        runs = sum(each for (each,) in struct.iter_unpack("=Q", self._values(self._runs, 0, 8)))
        counted = {}
        for number, metric in enumerate(self._metrics):
            values = self._values(self._totals, number, _READING.size)
            counted[metric] = Counted(*map(sum, zip(*_READING.iter_unpack(values), strict=True)))
        return runs, counted

    def _values(self, held: FileDescriptor, key: int, size: int) -> bytes:
        """A value of each possible CPU."""
        call = syscall.ElementCall(held.fileno(), 4, size * self._cpus)
        call.key.raw = struct.pack("=I", key)
        _check(-call(Command.MAP_LOOKUP_ELEM))
        return bytes(call.value.raw)

    def close(self) -> None:
        """Take the tracing programs off again."""
        self._opened.close()


def _check(result: int) -> None:
    if result < 0:
        raise KernelError(-result, "use a map of a profile")


def _open_event(metric: str, cpu: int) -> FileDescriptor:
    kind, number = METRICS[metric]
    attribute = PerfEventAttr(type=kind, config=number, read_format=_FORMAT)
    try:
        fd = perf_events.perf_event_open(attribute, cpu=cpu, what=f"count {metric}")
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL):
            lacks = f"this machine has no counter of {metric}"
            if kind != PerfType.SOFTWARE and not _has_pmu():
                lacks += ": its kernel knows no PMU; cpu_clock and task_clock count time"
            raise NotSupportedError(lacks) from None
        raise
    event = FileDescriptor(fd, f"counter of {metric}")
    perf_events.perf_event_ioctl(fd, PerfIoctl.ENABLE)
    return event


def _has_pmu() -> bool:
    """Whether the kernel counts by the processor: in many virtual machines it does not."""
    names = (each.name for each in Path("/sys/bus/event_source/devices").glob("*"))
    return any(name.startswith(("cpu", "arm")) for name in names)


def _load(program: KernelProgram, hook: AttachType, code: bytes) -> KernelProgram:
    """A program that traces the first function of another one."""
    records, size = function_records(program.fileno())
    if len(records) < size:
        raise OsmiaError(f"program {program.name!r} was loaded without types: nothing can trace it")
    (type_id,) = struct.unpack_from("=I", records, 4)
    return KernelProgram.load(
        ProgramType.TRACING,
        code,
        license="GPL",
        name="profile",
        expected_attach_type=hook,
        attach_btf_id=type_id,
        attach_fd=program.fileno(),
    )


def _read_counter(number: int, cpus: int, events: int, into: str) -> list[str]:
    """Read this CPU's counter of a metric."""
    return [
        "call bpf_get_smp_processor_id",
        "r2 = r0",
        f"r2 += {number * cpus}",
        f"r1 = map[fd:{events}]",
        *(["r3 = r7"] if into == "r7" else ["r3 = r10", f"r3 += {into}"]),
        f"r4 = {_READING.size}",
        "call bpf_perf_event_read_value",
    ]


def _look_up(fd: int, key: int, register: str, end: str) -> list[str]:
    return [
        f"*(u32 *)(r10 - 4) = {key}",
        "r2 = r10",
        "r2 += -4",
        f"r1 = map[fd:{fd}]",
        "call bpf_map_lookup_elem",
        f"if r0 == 0 goto {end}",
        f"{register} = r0",
    ]


def _enter_code(count: int, cpus: int, events: int, before: int) -> bytes:
    lines: list[str] = []
    for number in range(count):
        lines += _look_up(before, number, "r7", "end")
        lines += _read_counter(number, cpus, events, "r7")
    return assemble("\n".join([*lines, "end: r0 = 0", "exit"]))


def _leave_code(count: int, cpus: int, events: int, before: int, totals: int, runs: int) -> bytes:
    # The counters first, what is made of them later; the stack holds 512 bytes.
    places = [-8 - _READING.size * (number + 1) for number in range(count)]
    lines: list[str] = []
    for number in reversed(range(count)):
        lines += _read_counter(number, cpus, events, str(places[number]))
        lines += ["if r0 != 0 goto end"]
    for number, place in enumerate(places):
        lines += _look_up(before, number, "r7", "end")
        lines += _look_up(totals, number, "r8", "end")
        lines += ["r2 = *(u64 *)(r7 + 8)", "if r2 == 0 goto end"]  # it began before the profile
        for offset in range(0, _READING.size, 8):
            lines += [
                f"r1 = *(u64 *)(r10 + {place + offset})",
                f"r2 = *(u64 *)(r7 + {offset})",
                "r1 -= r2",
                f"r2 = *(u64 *)(r8 + {offset})",
                "r2 += r1",
                f"*(u64 *)(r8 + {offset}) = r2",
            ]
        lines.append("*(u64 *)(r7 + 8) = 0")
    lines += _look_up(runs, 0, "r7", "end")
    lines += ["r1 = *(u64 *)(r7 + 0)", "r1 += 1", "*(u64 *)(r7 + 0) = r1"]
    return assemble("\n".join([*lines, "end: r0 = 0", "exit"]))
