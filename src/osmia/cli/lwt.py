"""`osmia lwt`: routes whose packets go through programs."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.legacy import TYPES, load_attachable, open_legacy, takes_pin_root
from osmia.cli.options import Noun, Verb

_file = click.Path(path_type=Path)


@click.group("lwt", cls=Noun)
def lwt_command() -> None:
    """Routes through programs (lightweight tunnels), as `ip route … encap bpf` makes them."""


@lwt_command.command("attach", cls=Verb)
@click.argument("prefix")
@click.argument("device")
@click.argument("file", type=_file)
@click.option("--hook", type=click.Choice(["in", "out", "xmit"]), default="out", show_default=True)
@click.option("-s", "--section", default="", help="A section, or a program.  [default: prog]")
@click.option("--via", default="", metavar="ADDRESS", help="The gateway.")
@click.option("--headroom", type=int, default=0, help="Bytes that an xmit program may add.")
@click.option("--replace", is_flag=True, help="Take the place of the route that is there.")
@takes_pin_root
def attach(
    prefix: str,
    device: str,
    file: Path,
    hook: str,
    section: str,
    via: str,
    headroom: int,
    replace: bool,
    pin_root: Path | None,
) -> None:
    """Make a route to PREFIX out of DEVICE whose packets go through a section of FILE."""
    from osmia.kernel.rtnetlink import lwt
    from osmia.passes.attachment import for_attachment

    obj, name = for_attachment(open_legacy(file), TYPES[f"lwt_{hook}"], section)
    with load_attachable(obj, pin_root) as loaded:
        lwt.add_route(
            prefix,
            device,
            programs={hook: loaded.programs[name]},
            names={hook: f"{file.name}:[{obj.programs[name].section}]"},
            gateway=via,
            headroom=headroom,
            replace=replace,
        )


@lwt_command.command("detach", cls=Verb)
@click.argument("prefix")
@click.argument("device")
def detach(prefix: str, device: str) -> None:
    """Remove the route."""
    from osmia.kernel.rtnetlink import lwt

    lwt.remove_route(prefix, device)
