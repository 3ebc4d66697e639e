"""`osmia cgroup`: programs on control groups."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.listings import Description
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output, enum_name
from osmia.cli.targets import only_target, open_program, take_target
from osmia.kernel.inventory.cgroup_programs import (
    HOOKS,
    CgroupProgram,
    cgroup_programs,
    cgroup_root,
    cgroup_tree,
)
from osmia.kernel.programs.program import KernelProgram
from osmia.object import AttachType

_directory = click.Path(path_type=Path)
_hook = click.Choice([hook.name.lower() for hook in HOOKS])
_effective = click.option(
    "-e", "--effective", is_flag=True, help="Also what the cgroups above bring."
)


@click.group("cgroup", cls=Noun)
def cgroup_command() -> None:
    """Programs on control groups (v2), which are named by their directories."""


@cgroup_command.command("list", cls=Verb, json=True)
@click.argument("cgroup", type=_directory)
@_effective
@pass_output
def list_programs(output: Output, cgroup: Path, effective: bool) -> None:
    """List the programs of CGROUP."""
    found = [_described(each) for each in cgroup_programs(cgroup, effective=effective)]
    if output.json:
        output.document(found)
        return
    columns = ("id", "attach_type", "attach_flags", "name")
    headings = ("id", "hook", "sharing", "program")
    output.table(headings, ([each.get(column) for column in columns] for each in found))


cgroup_command.add_command(list_programs, "show")


@cgroup_command.command("tree", cls=Verb, json=True)
@click.argument("root", type=_directory, required=False)
@_effective
@pass_output
def tree(output: Output, root: Path | None, effective: bool) -> None:
    """List the programs of all cgroups below ROOT.  [default: where cgroup v2 is mounted]"""
    found = [
        (str(path), list(map(_described, programs)))
        for path, programs in cgroup_tree(root or cgroup_root(), effective=effective)
    ]
    if output.json:
        output.document([{"cgroup": path, "programs": programs} for path, programs in found])
        return
    rows = (
        (path, each["id"], each["attach_type"], each.get("attach_flags"), each["name"])
        for path, programs in found
        for each in programs
    )
    output.table(("cgroup", "id", "hook", "sharing", "program"), rows)


def _described(attached: CgroupProgram) -> Description:
    """A program as bpftool's JSON has it."""
    with KernelProgram.from_id(attached.program_id) as program:
        name, info = program.name, program.info
    described: Description = {"id": attached.program_id, "attach_type": enum_name(attached.hook)}
    if attached.sharing:
        described["attach_flags"] = "" if attached.sharing == "exclusive" else attached.sharing
    function = ""
    if info.attach_btf_id:
        from osmia.kernel.sys.btf_objects import try_btf_from_id

        types = try_btf_from_id(info.attach_btf_obj_id)
        function = types.name_of(info.attach_btf_id) if types is not None else ""
    return {
        **described,
        "name": name,
        "attach_btf_name": function,
        "attach_btf_obj_id": info.attach_btf_obj_id,
        "attach_btf_id": info.attach_btf_id,
    }


@cgroup_command.command("attach", cls=Deed)
@click.argument("cgroup", type=_directory)
@click.argument("hook", type=_hook, metavar="HOOK")
@click.argument("words", nargs=-1, metavar="PROG [multi|override]")
@click.option("--link", "pin", type=_directory, help="Attach by a link instead; pin it here.")
def attach(cgroup: Path, hook: str, words: tuple[str, ...], pin: Path | None) -> None:
    """Attach a loaded program to a HOOK of CGROUP (cgroup_inet_ingress, cgroup_device, …).

    It stays until it is detached, or the cgroup is removed. Cgroups below may not have another
    one, unless `override` lets them have it instead, `multi` (or --link) as well.
    """
    from osmia.kernel.links.cgroup import attach_cgroup, attach_for_good

    target, rest = take_target(words)
    if len(rest) > 1 or (rest and rest[0] not in ("multi", "override")):
        raise click.UsageError(f"`multi` or `override`, not {' '.join(rest)!r}")
    if rest and pin is not None:
        raise click.UsageError("links are `multi` always")
    attach_type = AttachType[hook.upper()]
    with open_program(target) as program:
        if pin is None:
            attach_for_good(program, cgroup, attach_type, *rest)
            return
        with attach_cgroup(program, cgroup, attach_type) as link:
            link.pin(pin)


@cgroup_command.command("detach", cls=Deed)
@click.argument("cgroup", type=_directory)
@click.argument("hook", type=_hook, metavar="HOOK")
@click.argument("words", nargs=-1, metavar="PROG")
def detach(cgroup: Path, hook: str, words: tuple[str, ...]) -> None:
    """Take a program off a HOOK of CGROUP. Those attached by links stay: see osmia link."""
    from osmia.kernel.links.cgroup import detach_cgroup

    with open_program(only_target(words)) as program:
        detach_cgroup(program, cgroup, AttachType[hook.upper()])
