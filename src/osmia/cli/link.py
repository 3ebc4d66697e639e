"""`osmia link`: attachments in the kernel."""

from __future__ import annotations

from collections.abc import Sequence

import click

from osmia.cli.link_json import described_link
from osmia.cli.listings import Description, show, takes_pins, told_program
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_link, take_target
from osmia.kernel.inventory import iterate
from osmia.kernel.links import LinkInfo
from osmia.kernel.sys import pins, syscall

#: What has a column of its own.
_ELSEWHERE = ("id", "type", "prog_id", "prog_name")
_COLUMNS = {
    "id": "id",
    "type": "type",
    "prog": "prog_id",
    "name": "prog_name",
    "attached to": "where",
    "held by": "pids",
}


@click.group("link", cls=Noun)
def link_command() -> None:
    """Attachments in the kernel. LINK is `id 12` or `pinned PATH`; or just `12`, or a path."""


@link_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[LINK]")
@takes_pins
@pass_output
def list_links(output: Output, words: tuple[str, ...], pins: bool) -> None:
    """List all links; with LINK, show all about that one."""
    things = described(_infos(words))
    if not output.json and not words:
        things = [{**thing, "where": _where(thing)} for thing in things]
    show(output, "link", things, _COLUMNS, only=bool(words), pins=pins)


link_command.add_command(list_links, "show")


def _infos(words: Sequence[str]) -> list[LinkInfo]:
    if not words:
        return list(iterate.links())
    with open_link(only_target(words)) as link:
        return [link.info]


def described(infos: Sequence[LinkInfo]) -> list[Description]:
    """Links as bpftool's JSON has them; and the names of programs, cgroups and networks."""
    numbers = {info.details["cgroup_id"] for info in infos if "cgroup_id" in info.details}
    on_interfaces = [info for info in infos if info.details.get("interface_index")]
    if numbers or on_interfaces:
        from osmia.kernel.inventory import link_places  # for those that have such places

        cgroups, found = link_places.cgroup_paths(numbers), link_places.interfaces(on_interfaces)
    else:
        cgroups, found = {}, {}
    things = []
    for info in infos:
        thing = described_link(info)
        if info.program_id:
            thing["prog_name"] = told_program(info.program_id)["name"]
        if path := cgroups.get(info.details.get("cgroup_id", 0)):
            thing["cgroup"] = str(path)
        if "ifindex" in thing:
            interface = found.get(info.id)
            thing["devname"] = interface.name if interface else ""
            if interface and interface.namespace:
                thing["netns"] = interface.namespace
        things.append(thing)
    return things


def _where(thing: Description) -> str:
    """The details in one cell of a table."""
    shown = {k: v for k, v in thing.items() if k not in _ELSEWHERE}
    return " ".join(f"{name}={value}" for name, value in shown.items() if value not in ("", ()))


@link_command.command("detach", cls=Deed)
@click.argument("words", nargs=-1, metavar="LINK")
def detach(words: tuple[str, ...]) -> None:
    """Take a link's program off its hook, whoever holds the link (where the kernel can)."""
    with open_link(only_target(words)) as link:
        # Not Link.detach, which is content when only closing the link takes it off.
        syscall.link_detach(link.fileno(), what=f"detach {link.what}")


@link_command.command("pin", cls=Deed)
@click.argument("words", nargs=-1, metavar="LINK PATH")
def pin_link(words: tuple[str, ...]) -> None:
    """Pin LINK to a PATH in a bpffs: it stays when nobody else holds it."""
    target, rest = take_target(words)
    if len(rest) != 1:
        raise click.UsageError("give the link and one path")
    with open_link(target) as link:
        pins.pin(link.fileno(), rest[0], what=link.what)
