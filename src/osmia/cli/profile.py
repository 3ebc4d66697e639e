"""`osmia profile`: what runs on the CPUs, sampled."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.recording import filters_of, record, takes_recording


@click.command("profile", cls=Verb, json=True)
@click.option(
    "-F",
    "--frequency",
    type=click.IntRange(1, 100_000),
    default=99,
    show_default=True,
    help="Samples a second on each CPU.",
)
@takes_recording
@pass_output
def profile_command(
    output: Output,
    frequency: int,
    pid: int | None,
    cgroup: str,
    cpus: tuple[int, ...],
    duration: float | None,
    output_file: Path | None,
) -> None:
    """Sample the stacks of what runs on the CPUs, in the kernel and in user space.

    Without -o a table of the functions in which most samples are. (What a BPF program's
    runs cost tells `osmia prog profile`.)
    """
    from osmia.symbols.recording import record_cpu

    filters = filters_of(pid, cgroup, cpus)
    record(output, lambda: record_cpu(frequency, filters=filters), duration, output_file)
