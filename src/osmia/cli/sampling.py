"""`osmia run --perf-event cpu-clock --frequency 99`: when programs of perf events run."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from osmia.errors import KernelError, OsmiaError
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.engine.link import Link

#: As `osmia profile`: beside the timer's rate, so that samples are not always of its own work.
_FREQUENCY = 99
#: perf's names of events, enum perf_sw_ids and perf_hw_id in include/uapi/linux/perf_event.h.
_SOFTWARE = (
    *("cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations"),
    *("minor-faults", "major-faults", "alignment-faults", "emulation-faults"),
    *("", "", "cgroup-switches"),
)
_HARDWARE = (
    *("cpu-cycles", "instructions", "cache-references", "cache-misses", "branch-instructions"),
    *("branch-misses", "bus-cycles", "stalled-cycles-frontend", "stalled-cycles-backend"),
    "ref-cycles",
)
_SHORT = {"cycles": "cpu-cycles", "branches": "branch-instructions", "faults": "page-faults"}
_HARDWARE_TYPE, _SOFTWARE_TYPE, _RAW_TYPE = 0, 1, 4


@dataclass(frozen=True)
class Sampling:
    """An event, by perf_event_attr's type and config, and how often it is sampled."""

    kind: int
    config: int
    frequency: int = 0
    period: int = 0

    def attach(self, program: Any, pid: int) -> Link:
        """Let a program run at each sample: of the thread `pid`, else on all CPUs."""
        from osmia.kernel.links.perf import HardwareEvent, SoftwareEvent

        kinds = {_SOFTWARE_TYPE: SoftwareEvent, _HARDWARE_TYPE: HardwareEvent}
        event = kinds[self.kind](self.config) if self.kind in kinds else self.config
        often = {"frequency": self.frequency, "period": self.period}
        try:
            link: Link = program.attach(event, type=self.kind, pid=pid or None, **often)
        except KernelError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise OsmiaError(f"{error}: this machine does not count such events") from None
            raise
        return link


def takes_sampling(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say it; the command gets `sampling`, None where they say nothing."""

    @wraps(command)
    def with_sampling(
        *args: Any, perf_event: str, frequency: int | None, period: int | None, **options: Any
    ) -> Any:
        sampling = _sampling(perf_event, frequency, period)
        return command(*args, sampling=sampling, **options)

    made: Callable[..., Any] = with_sampling
    for option in (
        click.option("--period", type=click.IntRange(1), help="… or a sample every so many."),
        click.option(
            "--frequency", type=click.IntRange(1, 100_000), help="Samples a second; else 99."
        ),
        click.option(
            "--perf-event",
            default="",
            metavar="EVENT",
            help="What perf_event programs sample: cpu-clock, page-faults, cycles, …, rHEX.",
        ),
    ):
        made = option(made)
    return made


def _sampling(name: str, frequency: int | None, period: int | None) -> Sampling | None:
    if not name:
        if frequency is not None or period is not None:
            raise click.UsageError("--frequency and --period say how often --perf-event samples")
        return None
    if frequency is not None and period is not None:
        raise click.UsageError("give --frequency or --period, not both")
    kind, config = _event(name)
    if period is not None:
        return Sampling(kind, config, period=period)
    return Sampling(kind, config, frequency=frequency or _FREQUENCY)


def _event(name: str) -> tuple[int, int]:
    """perf's name of an event: its type and configuration."""
    known = _SHORT.get(name, name)
    if known in _SOFTWARE:
        return _SOFTWARE_TYPE, _SOFTWARE.index(known)
    if known in _HARDWARE:
        return _HARDWARE_TYPE, _HARDWARE.index(known)
    try:
        if name.startswith("r"):
            return _RAW_TYPE, int(name[1:], 16)
    except ValueError:
        pass
    from osmia.values.names import unknown_name

    names = [*_SOFTWARE, *_HARDWARE, *_SHORT]
    raise click.UsageError(unknown_name("--perf-event", name, names, kind="event "))
