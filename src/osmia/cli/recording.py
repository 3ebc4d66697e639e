"""What the verbs that record stacks have in common: whose, how long, and where the report goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.cli.output import Output, note, shortened
from osmia.cli.termination import Ended, ends_cleanly

if TYPE_CHECKING:
    from osmia.symbols.recording import Recording
    from osmia.symbols.recording_filters import Filters
    from osmia.symbols.stack_profile import StackProfile

F = TypeVar("F", bound=Callable[..., Any])

#: Functions in the summary; -v shows all.
_SHOWN = 20
#: Letters of a name; -v shows all.
_WIDEST = 40
_NS = 10**9
_FILE_NAMES = ("-o", "--output-file")
_FILE: dict[str, Any] = {
    "type": click.Path(path_type=Path, dir_okay=False),
    "help": "Write there, by the name's end: .html or .svg (flame graph), .folded or .txt"
    " (folded text), .pb.gz (pprof), .json (speedscope).",
}


def output_file_option() -> click.Option:
    """The option that says where the report goes."""
    return click.Option(_FILE_NAMES, **_FILE)


def takes_recording(command: F) -> F:
    """The options of `record`."""
    for option in (
        click.option(*_FILE_NAMES, **_FILE),
        click.option("-d", "--duration", type=click.FloatRange(0), help="Seconds; else to Ctrl-C."),
        click.option("--cpu", "cpus", type=click.IntRange(0), multiple=True, help="On this CPU."),
        click.option("--cgroup", default="", help="In this cgroup (v2 directory) or below it."),
        click.option("-p", "--pid", type=click.IntRange(1), default=None, help="Of this process."),
    ):
        command = option(command)
    return command


def filters_of(pid: int | None, cgroup: str, cpus: tuple[int, ...]) -> Filters:
    """What the options say; UsageError for a process or CPU that is not there."""
    from osmia.kernel.sys.cpus import online_cpus
    from osmia.symbols.recording_filters import Filters

    if pid and not Path(f"/proc/{pid}").exists():
        raise click.UsageError(f"there is no process {pid}")
    for cpu in set(cpus) - set(online_cpus()):
        raise click.UsageError(f"CPU {cpu} is not online")
    return Filters(pid or 0, cgroup, frozenset(cpus))


def record(
    output: Output,
    start: Callable[[], Recording],
    duration: float | None,
    output_file: Path | None,
) -> None:
    """Record for so long or until a signal, then report what was there until then."""
    _check(output_file)
    ended: Ended | None = None
    with ends_cleanly():
        recording = start()
        with recording:
            if duration is None:
                note("recording; Ctrl-C ends it")
            try:
                recording.wait(duration)
            except Ended as signal:
                ended = signal
        profile = recording.profile()
    for each in profile.notes:
        note(f"osmia: warning: {each}")
    if output_file is None:
        _show(output, profile)
    else:
        profile.save(output_file)
        if output.verbose:
            note(f"{output_file}: {_amount(profile.total, profile.unit)}")
    if ended is not None:
        output.flush()  # before what is said on stderr
        raise ended


def _check(output_file: Path | None) -> None:
    """Say before a recording what would go wrong after it."""
    from osmia.symbols.stack_profile import format_of

    if output_file is None:
        return
    try:
        format_of(output_file)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    directory = output_file.parent
    if not directory.is_dir():
        raise click.UsageError(f"{directory} is no directory")
    if not os.access(directory, os.W_OK):
        raise click.UsageError(f"{directory} may not be written to")


def _show(output: Output, profile: StackProfile) -> None:
    """The functions in which most is, or all stacks as JSON."""
    if output.json:
        output.document(
            {
                "title": profile.title,
                "unit": profile.unit,
                "total": profile.total,
                "duration_ns": profile.duration_ns,
                "stacks": [
                    {
                        "process": sample.process,
                        "value": sample.value,
                        "frames": [each._asdict() for each in sample.frames],
                    }
                    for sample in profile.samples
                ],
                "notes": list(profile.notes),
            }
        )
        return
    seconds = profile.duration_ns / _NS
    output.line(f"{profile.title}: {_amount(profile.total, profile.unit)} in {seconds:.1f} s")
    rows = profile.top()
    shown = rows if output.verbose else rows[:_SHOWN]
    total = max(1, profile.total)
    width = None if output.verbose else _WIDEST
    output.table(
        ("function", "itself", "share", "with what it calls", "share"),
        (
            (
                shortened(name, width),
                *_part(own, profile.unit, total),
                *_part(within, profile.unit, total),
            )
            for name, own, within in shown
        ),
    )
    if len(rows) > len(shown):
        output.line(f"… and {len(rows) - len(shown)} more functions (-v shows all)", "dim")


def _amount(value: int, unit: str) -> str:
    return f"{value / _NS:.3f} s" if unit == "ns" else f"{value} {unit}"


def _part(value: int, unit: str, total: int) -> tuple[str | int, str]:
    return f"{value / 1e6:.2f} ms" if unit == "ns" else value, f"{value / total:.1%}"
