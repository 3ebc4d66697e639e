"""`osmia lib`: published libraries of this machine."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click

from osmia.cli.importing import open_imports, takes_imports
from osmia.cli.libraries import LibraryName, takes_root
from osmia.cli.listings import Description
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note, printable, remarks_noted
from osmia.cli.sources import open_source, set_globals
from osmia.errors import BpfPermissionError, OsmiaError
from osmia.kernel.inventory import holders
from osmia.kernel.libraries import listing, places
from osmia.kernel.libraries.library import read_object
from osmia.kernel.libraries.listing import LibraryInfo
from osmia.kernel.libraries.publishing import publish
from osmia.kernel.programs.info import ProgramInfo

_COLUMNS = {
    "name": "name",
    "version": "version",
    "object": "object",
    "size": "bytes",
    "published": "published",
    "maps": "maps",
    "problem": "problem",
}


@click.group("lib", cls=Noun)
def lib_command() -> None:
    """Libraries of this machine: objects that programs of any process can be linked against."""


@lib_command.command("list", cls=Verb, json=True)
@takes_root
@pass_output
def list_libraries(output: Output, root: Path | None) -> None:
    """List all libraries."""
    described = [_described(each) for each in listing.published(root)]
    if output.json:
        output.document(described)
        return
    troubled = any("problem" in each for each in described)
    columns = {head: key for head, key in _COLUMNS.items() if troubled or key != "problem"}
    rows = ([_text(key, each.get(key)) for key in columns.values()] for each in described)
    output.table(list(columns), rows)


@lib_command.command("show", cls=Verb, json=True)
@click.argument("name", type=LibraryName())
@takes_root
@pass_output
def show_library(output: Output, name: str, root: Path | None) -> None:
    """Show all about the library NAME: what it offers, who uses it."""
    info = _find(name, root)
    described = _described(info)
    with remarks_noted():
        described |= _contents(info)
    described |= _users(info)
    if output.json:
        output.document(described)
        return
    output.line(printable(f"{info.name}: version {info.version}"), "bold")
    shown = {key: _text(key, value) for key, value in described.items()}
    output.fields({key: value for key, value in shown.items() if key not in ("name", "version")})


@lib_command.command("publish", cls=Verb, json=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name", required=False, type=LibraryName())
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@takes_imports
@takes_root
@pass_output
def publish_library(
    output: Output,
    file: Path,
    name: str | None,
    assignments: tuple[str, ...],
    imports: tuple[str, ...],
    root: Path | None,
) -> None:
    """Load FILE (an object or C source) and publish it as NAME.  [default: the file's name]

    Its maps and its own bytes are pinned; under a name that is there it is a new version, with
    new maps, and who uses the one before keeps that.
    """
    with remarks_noted(), ExitStack() as held:
        obj = open_source(file)
        set_globals(obj, assignments)
        loaded = held.enter_context(obj.load(imports=open_imports(imports, held, root)))
        info = publish(loaded, name or obj.name, root=root)
    if output.json:
        output.document(_described(info))
    elif output.verbose:
        note(f"published {info.name}, version {info.version}, in {info.path}")


@lib_command.command("remove", cls=Verb)
@click.argument("name", type=LibraryName())
@takes_root
def remove_library(name: str, root: Path | None) -> None:
    """Remove the library NAME. Programs that use it keep what they have; they are named."""
    info = _find(name, root)
    users = _programs(info)
    listing.remove(name, root=root)
    if users:
        what = "program" if len(users) == 1 else "programs"
        named = ", ".join(f"{each.id} ({each.name})" for each in users)
        note(f"osmia: {name} is still used by {what} {named}")


def _find(name: str, root: Path | None) -> LibraryInfo:
    info = listing.described(name, root)
    if info is None:
        from osmia.values.names import unknown_name

        there = places.names(root)
        raise OsmiaError(unknown_name(str(places.root_of(root)), name, there, kind="library "))
    return info


def _described(info: LibraryInfo) -> Description:
    described: Description = {"name": info.name, "version": info.version}
    if info.header is not None:
        described |= {
            "object": info.header.object_name,
            "bytes": info.header.length,
            "digest": info.header.digest,
            "published": info.header.published,
            "publisher": info.header.publisher,
        }
    described |= {"maps": list(info.maps), "path": str(info.path)}
    return described | ({"problem": info.problem} if info.problem else {})


def _contents(info: LibraryInfo) -> Description:
    """The declarations of what others can use: functions that are no programs, variables."""
    from osmia.btf import declaration
    from osmia.object.model import Linkage

    try:
        _, obj = read_object(info.name, info.path)
        btf = obj.btf
        if btf is None:
            return {}
        entries = {program.function for program in obj.programs.values()}
        functions = [
            declaration(btf, each.btf_id, each.name)
            for key, each in obj.functions.items()
            if each.btf_id and each.linkage is Linkage.GLOBAL and not each.hidden
            if key not in entries
        ]
        data = [
            declaration(btf, each.type_id, each.name)
            for section in obj.data_sections.values()
            for each in section.variables.values()
            if each.type_id and each.linkage is Linkage.GLOBAL and not each.hidden
        ]
    except OsmiaError as error:
        return {"problem": str(error)}
    return {"functions": functions, "variables": data}


def _users(info: LibraryInfo) -> Description:
    """Programs that hold its maps, and processes with descriptors of them."""
    programs = [{"id": each.id, "name": each.name} for each in _programs(info)]
    ids, processes = listing.map_ids(info), holders.processes()
    held = {each for number in ids for each in processes.get(("map", number), ())}
    pids = [
        {"pid": each.pid, "comm": each.name} for each in sorted(held, key=lambda each: each.pid)
    ]
    return {"programs": programs, "pids": pids}


def _programs(info: LibraryInfo) -> list[ProgramInfo]:
    """The programs that use it; none where this process may not see them."""
    try:
        return listing.users(info)
    except BpfPermissionError:
        return []


def _text(key: str, value: object) -> object:
    match key, value:
        case _, []:
            return None
        case "published", int(seconds):
            return datetime.fromtimestamp(min(seconds, 1 << 35)).isoformat(" ", "seconds")
        case "programs", list(programs):
            return [f"{each['name']}({each['id']})" for each in programs]
        case "pids", list(processes):
            return [f"{each['comm']}({each['pid']})" for each in processes]
        case (("functions" | "variables"), list(declarations)):
            return "; ".join(declarations)
    return value
