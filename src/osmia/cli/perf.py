"""`osmia perf`: programs on perf events and raw tracepoints."""

from __future__ import annotations

import click

from osmia.cli.listings import Description
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, enum_name
from osmia.kernel.inventory.perf_programs import EventKind, PerfProgram, perf_programs

_PROBES_OF_FILES = (EventKind.UPROBE, EventKind.URETPROBE)


@click.group("perf", cls=Noun)
def perf_command() -> None:
    """Programs on perf events and raw tracepoints, by the processes that hold the events."""


@perf_command.command("list", cls=Verb, json=True)
@pass_output
def list_programs(output: Output) -> None:
    """List them. Since Linux 5.15 perf events have links as others do: see osmia link list."""
    found = list(map(_described, perf_programs()))
    if output.json:
        output.document(found)
        return
    columns = ("pid", "fd", "program", "kind", "where", "offset")
    rows = (
        (
            each["pid"],
            each["fd"],
            each["prog_id"],
            each["fd_type"],
            _where(each),
            each.get("offset"),
        )
        for each in found
    )
    output.table(columns, rows)


perf_command.add_command(list_programs, "show")


def _described(found: PerfProgram) -> Description:
    """As bpftool's JSON has it."""
    described: Description = {
        "pid": found.pid,
        "fd": found.fd,
        "prog_id": found.program_id,
        "fd_type": enum_name(found.kind),
    }
    if found.kind in (EventKind.RAW_TRACEPOINT, EventKind.TRACEPOINT):
        return described | {"tracepoint": found.name}
    if found.kind in _PROBES_OF_FILES:
        return described | {"filename": found.name, "offset": found.offset}
    place: Description = {"func": found.name, "offset": found.offset}
    return described | (place if found.name else {"addr": found.address, "offset": 0})


def _where(described: Description) -> object:
    keys = ("tracepoint", "func", "filename", "addr")
    return next(described[key] for key in keys if key in described)
