"""The list of links, and all about one: what `osmia link list` prints."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.cli.link_json import described_link
from osmia.cli.listings import Description, show, told_program
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_link
from osmia.kernel.inventory import iterate
from osmia.kernel.links import LinkInfo

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


def list_links(output: Output, words: Sequence[str], pins: bool) -> None:
    """All links; with words, all about the one that these name. `pins`: look for them for JSON,
    too."""
    things = described(_infos(words))
    if not output.json and not words:
        things = [{**thing, "where": _where(thing)} for thing in things]
    show(output, "link", things, _COLUMNS, only=bool(words), pins=pins)


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
