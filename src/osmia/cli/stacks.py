"""`osmia stacks`: with which stacks threads come by a probe."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.recording import filters_of, record, takes_recording


@click.command("stacks", cls=Verb, json=True)
@click.argument("probe")
@takes_recording
@pass_output
def stacks_command(
    output: Output,
    probe: str,
    pid: int | None,
    cgroup: str,
    cpus: tuple[int, ...],
    duration: float | None,
    output_file: Path | None,
) -> None:
    """Count the stacks with which threads come by PROBE.

    PROBE is kprobe:FUNCTION, kretprobe:FUNCTION, ksyscall:NAME, uprobe:FILE:FUNCTION,
    uretprobe:FILE:FUNCTION, tracepoint:CATEGORY:NAME or raw_tp:NAME.
    """
    from osmia.symbols.probe_sections import probe_definition
    from osmia.symbols.recording import record_probe

    try:
        probe_definition(probe)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    filters = filters_of(pid, cgroup, cpus)
    record(output, lambda: record_probe(probe, filters=filters), duration, output_file)
