"""`osmia tc`: programs as traffic control filters."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click

from osmia.cli.legacy import load_attachable, open_legacy, program_type, takes_pin_root, takes_type
from osmia.cli.listings import told_program
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note
from osmia.errors import OsmiaError
from osmia.object import ProgramType

_file = click.Path(path_type=Path)
_direction = click.Choice(["ingress", "egress"])

#: What a narrow terminal does without.
_OPTIONAL = ("handle", "how", "prio", "direction")


@click.group("tc", cls=Noun)
def tc_command() -> None:
    """Programs as traffic control filters, as `tc filter … bpf` makes them."""


@tc_command.command("attach", cls=Verb)
@click.argument("device")
@click.argument("direction", type=_direction)
@click.argument("file", type=_file)
@click.option("-s", "--section", default="", help="A section, or a program.  [default: classifier]")
@click.option(
    "--direct-action/--no-direct-action",
    "--da/--no-da",
    default=True,
    help="The return value is the verdict, no class id.  [default: it is]",
)
@click.option("--prio", type=click.IntRange(1, 65535), help="Filters run in this order.")
@click.option("--handle", type=click.IntRange(1), help="The filter's number at its priority.")
@click.option("--replace", is_flag=True, help="Take the place of the filter that is there.")
@click.option("--tcx", "pin", type=_file, help="Attach by a tcx link instead; pin it here.")
@takes_pin_root
@takes_type
@pass_output
def attach(
    output: Output,
    device: str,
    direction: str,
    file: Path,
    section: str,
    direct_action: bool,
    prio: int | None,
    handle: int | None,
    replace: bool,
    pin: Path | None,
    pin_root: Path | None,
    kind: str | None,
    dialect: str | None,
) -> None:
    """Load a section of FILE, with all that its prog arrays hold, and attach it to DEVICE."""
    from osmia.kernel.links import attach_tcx
    from osmia.kernel.rtnetlink import tc_filters
    from osmia.passes.attachment import for_attachment

    if program_type(kind) not in (None, ProgramType.SCHED_CLS):
        raise click.UsageError("filters take programs of type tc")
    obj, name = for_attachment(open_legacy(file, dialect=dialect), ProgramType.SCHED_CLS, section)
    with load_attachable(obj, pin_root) as loaded:
        program = loaded.programs[name]
        if pin is not None:
            with attach_tcx(program, device, direction) as link:
                link.pin(pin)
            return
        made = tc_filters.add_filter(
            program,
            device,
            direction,
            name=f"{file.name}:[{obj.programs[name].section}]",
            direct_action=direct_action,
            priority=prio or 0,
            handle=handle or 0,
            replace=replace,
        )
    if output.verbose:
        output.line(f"prio {made.priority} handle {made.handle:#x} program {made.program_id}")


@tc_command.command("list", cls=Verb, json=True)
@click.argument("device", default="")
@pass_output
def list_filters(output: Output, device: str) -> None:
    """List the filters, and tcx programs, of DEVICE or of all devices."""
    devices = [device] if device else [name for _, name in socket.if_nameindex()]
    rows = [row for each in devices for row in _filter_rows(each)] + _tcx_rows(devices)
    rows.sort(key=lambda row: devices.index(str(row["device"])))
    if output.json:
        output.document(rows)
        return
    columns = ("device", "direction", "how", "prio", "handle", "name", "id", "tag")
    cells = [[row.get(column) for column in columns] for row in rows]
    output.table(columns, cells, optional=_OPTIONAL)


tc_command.add_command(list_filters, "show")


@tc_command.command("detach", cls=Verb)
@click.argument("device")
@click.argument("direction", type=_direction)
@click.option("--prio", type=int, help="Of this priority only.")
@click.option("--handle", type=int, help="Of this handle only.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
def detach(
    device: str, direction: str, prio: int | None, handle: int | None, everything: bool
) -> None:
    """Remove a filter of DEVICE; with several there, say which."""
    from osmia.kernel.rtnetlink import tc_filters

    found = [
        each
        for each in tc_filters.filters(device, direction)
        if (prio is None or each.priority == prio) and (handle is None or each.handle == handle)
    ]
    if not found:
        raise OsmiaError(f"{device} has no such filter on {direction}")
    if len(found) > 1 and not everything:
        raise OsmiaError(f"{device} has {len(found)} filters on {direction}; give --prio or --all")
    for each in found:
        tc_filters.remove_filter(each)


def _filter_rows(device: str) -> list[dict[str, object]]:
    from osmia.kernel.rtnetlink import tc_filters

    return [
        {
            "device": device,
            "direction": each.direction,
            "how": "filter" if each.direct_action else "classifier",
            "prio": each.priority,
            "handle": each.handle,
            "name": each.name,
            "id": each.program_id,
            "tag": each.tag,
        }
        for each in tc_filters.filters(device)
    ]


def _tcx_rows(devices: Sequence[str]) -> list[dict[str, object]]:
    """Those of tcx; none before 6.6, and for who may not ask: that is said."""
    from osmia.errors import BpfPermissionError, NotSupportedError
    from osmia.kernel.links import attached_tcx

    rows: list[dict[str, object]] = []
    try:
        for device, direction in product(devices, ("ingress", "egress")):
            for number in attached_tcx(device, direction).program_ids:
                told = told_program(number)
                rows.append({"device": device, "direction": direction, "how": "tcx", **told})
    except NotSupportedError:
        pass
    except BpfPermissionError as error:
        note(f"osmia: warning: programs of tcx are left out: {error}")
    return rows
