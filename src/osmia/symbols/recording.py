"""Record stacks of what runs, of what waits, or of what a probe sees; with names in the end.

    with record_cpu(frequency=99, pid=42) as recording:
        recording.wait(10)
    recording.profile().save("flame.html")

Programs are a few dozen instructions, made here. They count in the kernel; while they do, the
processes that they saw are looked at, so that addresses have names when these have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from osmia.closing import ClosedByWith
from osmia.engine.link import Link
from osmia.isa import assemble
from osmia.kernel.links.perf import SoftwareEvent, attach_perf_event
from osmia.kernel.programs.program import KernelProgram
from osmia.named_tuples import NamedTuple
from osmia.object.model import Program
from osmia.object.uapi import MapType, ProgramType
from osmia.symbols.probe_sections import probe_definition, tracepoint_fields
from osmia.symbols.recorded_names import RecordedNames
from osmia.symbols.recording_filters import Filters
from osmia.symbols.stack_counter import Counted, StackCounter
from osmia.symbols.stack_profile import Sample, StackProfile
from osmia.symbols.symbolizer import Symbols
from osmia.values.stacks import Stack

__all__ = ["Filters", "Recording", "record_cpu", "record_off_cpu", "record_probe"]

#: How often what was counted is taken out of the kernel, in seconds.
_INTERVAL = 0.1
_STARTS = 1 << 16
_NS = 10**9
_ALL = Filters()


class _Kind(NamedTuple):
    """What a recording is of."""

    title: str
    unit: str
    period_ns: int = 0


class _Key(NamedTuple):
    pid: int
    process: str
    user: Stack
    kernel: Stack
    lost: bool


class Recording(ClosedByWith):
    """Stacks that are being counted, until it is closed; use it in a `with` block. Made by
    `record_cpu`, `record_off_cpu`, `record_probe`."""

    def __init__(
        self, kind: _Kind, filters: Filters = _ALL, symbols: Symbols | None = None
    ) -> None:
        self._kind = kind
        self._symbols = symbols or Symbols()
        if filters.pid:
            self._symbols.remember([filters.pid])
        self._values: dict[_Key, int] = {}
        self._attached = ExitStack()  # what counts
        self._loaded = ExitStack()
        self.counter = StackCounter()
        self._starts: StartMap | None = None
        self._lost = 0
        self._started = time.time_ns()
        self._ended = 0

    def attach(self, link: Link) -> None:
        """What counts from now on until the recording is closed."""
        self._attached.enter_context(link)

    def load(self, definition: Program, lines: list[str]) -> KernelProgram:
        """A program that is closed with the recording."""
        program = KernelProgram.load(
            definition.type,
            assemble("\n".join(lines)),
            license="GPL",
            name=definition.name,
            expected_attach_type=definition.expected_attach_type,
            definition=definition,
        )
        return self._loaded.enter_context(program)

    def keep_starts(self) -> StartMap:
        """A map of threads that wait: their stacks are in the counter, so that is not switched."""
        self._starts = StartMap(self.counter)
        return self._starts

    def wait(self, seconds: float | None = None) -> None:
        """Record for so long; without a number until an exception ends it, KeyboardInterrupt."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or (left := end - time.monotonic()) > 0:
            time.sleep(_INTERVAL if end is None else min(_INTERVAL, left))
            self.collect()

    def collect(self) -> None:
        """Take what was counted out of the kernel, and look at the processes that did it."""
        if self._starts is not None:
            self._symbols.remember(self.counter.processes())
            return
        counted = self.counter.take()
        self._add(counted)
        self._symbols.remember({each.pid for each in counted})

    def profile(self) -> StackProfile:
        """What was recorded, with names. Of one that was not closed: so far."""
        names = RecordedNames(self._symbols)
        for each in self._values:
            names.want(each.user, each.pid)
            names.want(each.kernel, None)
        samples = [
            Sample(
                (*names.frames(key.kernel, None), *names.frames(key.user, key.pid)),
                value,
                key.process,
            )
            for key, value in sorted(self._values.items(), key=lambda each: -each[1])
        ]
        ended = self._ended or time.time_ns()
        return StackProfile(
            samples,
            unit=self._kind.unit,
            title=self._kind.title,
            started_ns=self._started,
            duration_ns=ended - self._started,
            period_ns=self._kind.period_ns,
            notes=self._notes(),
        )

    def close(self) -> None:
        """Stop recording; what was counted is kept."""
        if self._ended:
            return
        self._ended = time.time_ns()
        try:
            self._attached.close()
            self._take_last()
        finally:
            self._loaded.close()
            self.counter.close()

    def _take_last(self) -> None:
        waiting = self._starts.waiting() if self._starts is not None else []
        for _ in range(2):
            counted = self.counter.take(switch=self._starts is None)
            self._add(counted)
            self._symbols.remember({each.pid for each in counted})
        self._add(waiting)
        self._lost = self.counter.lost

    def _add(self, counted: list[Counted]) -> None:
        for each in counted:
            key = _Key(*each[:5])
            self._values[key] = self._values.get(key, 0) + each.value

    def _notes(self) -> list[str]:
        unnamed = sum(value for key, value in self._values.items() if key.lost)
        notes = []
        if unnamed:
            notes.append(f"stacks of {unnamed} {self._kind.unit} were lost: no room")
        if self._lost:
            notes.append(f"{self._lost} events were not counted: too many different stacks")
        return notes


class StartMap:
    """Since when threads wait, and with which stacks, by their number."""

    def __init__(self, counter: StackCounter) -> None:
        self._counter = counter
        self.map = counter.map(MapType.HASH, key_size=4, value_size=40, max_entries=_STARTS)

    def waiting(self) -> list[Counted]:
        """Those that wait still, and for how long."""
        now = time.monotonic_ns()
        found = []
        for value in self.map.values():
            start = int.from_bytes(value[:8], "little")
            found.append(self._counter.counted(value[8:], max(0, now - start)))
        return found


def record_cpu(
    frequency: int = 99, *, filters: Filters = _ALL, symbols: Symbols | None = None
) -> Recording:
    """Sample what runs on the CPUs, so many times a second each (the software clock, since 4.9).

    CPUs that are idle are not counted. Raises NotSupportedError, BpfPermissionError.
    """
    about = f": {filters}" if str(filters) else ""
    kind = _Kind(f"on CPU, {frequency} samples a second{about}", "samples", _NS // frequency)
    recording = Recording(kind, filters, symbols)
    with _closed_on_error(recording):
        counter = recording.counter
        lines = ["r6 = r1", *filters.code("out", cpus=False), *counter.key_code("out"), "r9 = 1"]
        lines += [*counter.count_code("out"), "out: r0 = 0", "exit"]
        definition = Program("osmia_profile", "", "perf_event", ProgramType.PERF_EVENT)
        program = recording.load(definition, lines)
        cpus = sorted(filters.cpus) or None
        event = SoftwareEvent.CPU_CLOCK
        recording.attach(attach_perf_event(program, event, frequency=frequency, cpus=cpus))
    return recording


def record_probe(
    probe: str, *, filters: Filters = _ALL, symbols: Symbols | None = None
) -> Recording:
    """Count the stacks with which threads come by a probe: "kprobe:vfs_read",
    "tracepoint:sched:sched_switch", "uprobe:/bin/bash:readline", as section names have them.

    Raises ValueError for what is no probe, NotSupportedError for one that this kernel lacks.
    """
    definition = probe_definition(probe)
    about = f": {filters}" if str(filters) else ""
    recording = Recording(_Kind(f"stacks of {probe}{about}", "events"), filters, symbols)
    with _closed_on_error(recording):
        counter = recording.counter
        lines = ["r6 = r1", *filters.code("out"), *counter.key_code("out"), "r9 = 1"]
        lines += [*counter.count_code("out"), "out: r0 = 0", "exit"]
        recording.attach(recording.load(definition, lines).attach())
    return recording


def record_off_cpu(*, filters: Filters = _ALL, symbols: Symbols | None = None) -> Recording:
    """Sum up how long threads do not run: from where they leave a CPU until they are back on one,
    or the end (the tracepoint sched:sched_switch). A thread that waits all the time is not seen.
    """
    definition = probe_definition("tracepoint:sched:sched_switch")
    fields = tracepoint_fields("sched", "sched_switch")
    about = f": {filters}" if str(filters) else ""
    recording = Recording(_Kind(f"off CPU{about}", "ns"), filters, symbols)
    with _closed_on_error(recording):
        counter = recording.counter
        starts = recording.keep_starts().map
        lines = [
            "r6 = r1",
            f"r1 = *(u32 *)(r6 + {fields['next_pid']})",
            *_came_back(starts.fileno()),
            *counter.count_code("leaving"),
            "leaving: r1 = 0",
            *filters.code("out"),
            *counter.key_code("out"),
            *_left(starts.fileno(), fields["prev_pid"]),
            "out: r0 = 0",
            "exit",
        ]
        recording.attach(recording.load(definition, lines).attach())
    return recording


def _came_back(starts: int) -> list[str]:
    """When the thread r1 waited: the key of its stacks at r10 - 32, and in r9 for how long."""
    copied = [
        line
        for place in range(0, 32, 8)
        for line in (
            f"r1 = *(u64 *)(r0 + {8 + place})",
            f"*(u64 *)(r10 - {32 - place}) = r1",
        )
    ]
    return [
        "*(u32 *)(r10 - 48) = r1",
        f"r1 = map[fd:{starts}]",
        "r2 = r10",
        "r2 += -48",
        "call bpf_map_lookup_elem",
        "if r0 == 0 goto leaving",
        "r8 = *(u64 *)(r0 + 0)",
        *copied,
        f"r1 = map[fd:{starts}]",
        "r2 = r10",
        "r2 += -48",
        "call bpf_map_delete_elem",
        "call bpf_ktime_get_ns",
        "r0 -= r8",
        "r9 = r0",
        "r7 = 0",
    ]


def _left(starts: int, prev_pid: int) -> list[str]:
    """Remember since when the current thread waits, and the key at r10 - 32."""
    return [
        f"r1 = *(u32 *)(r6 + {prev_pid})",
        "*(u32 *)(r10 - 48) = r1",
        "call bpf_ktime_get_ns",
        "*(u64 *)(r10 - 40) = r0",
        f"r1 = map[fd:{starts}]",
        "r2 = r10",
        "r2 += -48",
        "r3 = r10",
        "r3 += -40",
        "r4 = 0",
        "call bpf_map_update_elem",
    ]


@contextmanager
def _closed_on_error(recording: Recording) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recording.close()
        raise
