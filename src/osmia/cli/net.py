"""`osmia net`: programs that are loaded, on network interfaces' hooks."""

from __future__ import annotations

import click

from osmia.cli.listings import Description, told_program
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_program
from osmia.errors import OsmiaError

#: bpftool's names of XDP's modes.
_MODES = {"native": "driver", "generic": "generic", "offload": "offload"}
_XDP = {"xdp": "", "xdpgeneric": "generic", "xdpdrv": "native", "xdpoffload": "offload"}
_TCX = {"tcx_ingress": "TCX_INGRESS", "tcx_egress": "TCX_EGRESS"}
_hook = click.Choice([*_XDP, *_TCX])


@click.group("net", cls=Noun)
def net_command() -> None:
    """Loaded programs on network interfaces. To load and attach: osmia xdp, osmia tc."""


@net_command.command("list", cls=Verb, json=True)
@click.argument("device", default="")
@pass_output
def list_programs(output: Output, device: str) -> None:
    """List the programs on DEVICE, or on all devices and on this network namespace."""
    from osmia.kernel.inventory import network_programs as found

    xdp = [
        {
            "devname": each.interface,
            "ifindex": each.interface_id,
            "mode": _MODES.get(each.kind.removeprefix("xdp/"), each.kind),
            "id": each.program_id,
        }
        for each in found.xdp_programs(device)
    ]
    traffic = [_described(each) for each in found.traffic_programs(device)]
    dissectors = [{"id": number} for number in found.flow_dissectors()]
    netfilter = [
        {"pf": place["family"], "prio": place["priority"], "id": number, **place}
        for number, place in found.netfilter_programs()
    ]
    if output.json:
        output.document(
            [
                {
                    "xdp": xdp,
                    "tc": traffic,
                    "flow_dissector": dissectors,
                    "netfilter": netfilter,
                }
            ]
        )
        return
    rows: list[list[object]] = [_row(each["devname"], f"xdp/{each['mode']}", each) for each in xdp]
    rows += [_row(each["devname"], each["kind"], each) for each in traffic]
    rows += [_row("", "flow_dissector", each) for each in dissectors]
    rows += [_row("", "netfilter", each) for each in netfilter]
    output.table(("device", "hook", "name", "id"), rows)


net_command.add_command(list_programs, "show")


def _row(device: object, hook: object, thing: Description) -> list[object]:
    number = thing.get("id") or thing.get("prog_id")
    return [device, hook, thing.get("name") or told_program(int(number or 0))["name"], number]


def _described(each: object) -> Description:
    """A program on tcx, netkit or clsact as bpftool's JSON has it."""
    from osmia.kernel.inventory.network_programs import NetworkProgram

    assert isinstance(each, NetworkProgram)
    described: Description = {
        "devname": each.interface,
        "ifindex": each.interface_id,
        "kind": each.kind,
        "name": each.name or told_program(each.program_id)["name"],
    }
    if each.kind.startswith("clsact/"):
        return {**described, "id": each.program_id}
    flags: Description = {"prog_flags": [], "link_id": each.link_id, "link_flags": []}
    return {**described, "prog_id": each.program_id, **flags}


@net_command.command("attach", cls=Deed)
@click.argument("hook", type=_hook, metavar="HOOK")
@click.argument("device")
@click.argument("words", nargs=-1, metavar="PROG")
@click.option("--overwrite", is_flag=True, help="Take the place of the XDP program there.")
@click.option("--prepend", is_flag=True, help="Before the tcx programs there, not after them.")
def attach(hook: str, device: str, words: tuple[str, ...], overwrite: bool, prepend: bool) -> None:
    """Attach PROG to a HOOK of DEVICE: xdp, xdpgeneric, xdpdrv, xdpoffload, tcx_ingress,
    tcx_egress. It stays until it is detached."""
    if prepend and hook in _XDP:
        raise click.UsageError("--prepend is for tcx hooks: of XDP programs there is one")
    if overwrite and hook in _TCX:
        raise click.UsageError("--overwrite is for XDP hooks: tcx programs run one after the other")
    from osmia.kernel.links.tcx import attach_for_good
    from osmia.kernel.rtnetlink.xdp import set_xdp

    with open_program(only_target(words)) as program:
        if hook in _XDP:
            set_xdp(program, device, mode=_XDP[hook], replace=overwrite)
        else:
            attach_for_good(program, device, hook.removeprefix("tcx_"), first=prepend)


@net_command.command("detach", cls=Deed)
@click.argument("hook", type=_hook, metavar="HOOK")
@click.argument("device")
@click.argument("words", nargs=-1, metavar="[PROG]")
def detach(hook: str, device: str, words: tuple[str, ...]) -> None:
    """Take the program off a HOOK of DEVICE: of several on tcx, PROG or else the last one.

    Programs attached by links stay: see osmia link.
    """
    from osmia.kernel.links.tcx import detach_for_good
    from osmia.kernel.rtnetlink.xdp import remove_xdp

    if hook in _TCX:
        if words:
            with open_program(only_target(words)) as program:
                detach_for_good(device, hook.removeprefix("tcx_"), program)
        else:
            detach_for_good(device, hook.removeprefix("tcx_"))
    elif words:
        raise OsmiaError("of XDP programs there is one: leave it out")
    else:
        remove_xdp(device, mode=_XDP[hook])
