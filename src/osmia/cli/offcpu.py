"""`osmia offcpu`: where threads wait, and for how long."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.recording import filters_of, record, takes_recording


@click.command("offcpu", cls=Verb, json=True)
@takes_recording
@pass_output
def offcpu_command(
    output: Output,
    pid: int | None,
    cgroup: str,
    cpus: tuple[int, ...],
    duration: float | None,
    output_file: Path | None,
) -> None:
    """Sum up, by stack, how long threads do not run: asleep, blocked, or waiting for a CPU.

    A thread counts from when it leaves a CPU (one of --cpu) until it is on one again, or the end.
    """
    from osmia.symbols.recording import record_off_cpu

    filters = filters_of(pid, cgroup, cpus)
    record(output, lambda: record_off_cpu(filters=filters), duration, output_file)
