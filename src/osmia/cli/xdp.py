"""`osmia xdp`: programs on interfaces' receive paths."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.legacy import load_attachable, open_legacy, takes_pin_root
from osmia.cli.listings import told_program
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output
from osmia.object import ProgramType

_file = click.Path(path_type=Path)
_mode = click.Choice(["native", "generic", "offload"])

#: What a narrow terminal does without.
_OPTIONAL = ("mode",)


@click.group("xdp", cls=Noun)
def xdp_command() -> None:
    """XDP programs, as `ip link set … xdp` attaches them."""


@xdp_command.command("attach", cls=Verb)
@click.argument("device")
@click.argument("file", type=_file)
@click.option("-s", "--section", default="", help="A section, or a program.  [default: prog]")
@click.option("--mode", type=_mode, help="Where it runs.  [default: native, else generic]")
@click.option("--replace", is_flag=True, help="Take the place of the program that is there.")
@click.option("--link", "pin", type=_file, help="Attach by a link instead; pin it here.")
@takes_pin_root
@click.option("--dialect", type=click.Choice(["libbpf", "iproute2"]), help="The file's dialect.")
def attach(
    device: str,
    file: Path,
    section: str,
    mode: str | None,
    replace: bool,
    pin: Path | None,
    pin_root: Path | None,
    dialect: str | None,
) -> None:
    """Load a section of FILE, with all that its prog arrays hold, and attach it to DEVICE."""
    from osmia.kernel.links import attach_xdp
    from osmia.kernel.rtnetlink import xdp as xdp_netlink
    from osmia.passes.attachment import for_attachment

    obj, name = for_attachment(open_legacy(file, dialect=dialect), ProgramType.XDP, section)
    with load_attachable(obj, pin_root) as loaded:
        program = loaded.programs[name]
        if pin is None:
            xdp_netlink.set_xdp(program, device, mode=mode or "", replace=replace)
            return
        with attach_xdp(program, device, mode=mode or "") as link:
            link.pin(pin)


@xdp_command.command("list", cls=Verb, json=True)
@click.argument("device", default="")
@pass_output
def list_programs(output: Output, device: str) -> None:
    """List the XDP programs of DEVICE, or of all devices."""
    from osmia.kernel.rtnetlink import xdp as xdp_netlink

    rows = []
    for each in xdp_netlink.attached_xdp(device):
        told = told_program(each.program_id)
        rows.append({"device": each.interface_name, "mode": each.mode, **told})
    if output.json:
        output.document(rows)
        return
    columns = ("device", "mode", "name", "id", "tag")
    output.table(columns, [[row[column] for column in columns] for row in rows], optional=_OPTIONAL)


xdp_command.add_command(list_programs, "show")


@xdp_command.command("detach", cls=Verb)
@click.argument("device")
@click.option("--mode", type=_mode, help="Of this mode only.")
def detach(device: str, mode: str | None) -> None:
    """Take the program off DEVICE's XDP hook. Programs attached by links stay: see osmia link."""
    from osmia.kernel.rtnetlink import xdp as xdp_netlink

    xdp_netlink.remove_xdp(device, mode=mode or "")
