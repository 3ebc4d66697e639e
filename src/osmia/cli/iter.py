"""`osmia iter`: programs that are run by reading a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from osmia.cli.options import Deed, Noun
from osmia.cli.sources import open_source, select_programs, set_globals
from osmia.cli.targets import only_target, open_map
from osmia.errors import OsmiaError
from osmia.object import AttachType

_path = click.Path(path_type=Path)


@click.group("iter", cls=Noun)
def iter_command() -> None:
    """Iterators: programs that print something of each task, map, socket, …"""


@iter_command.command("pin", cls=Deed)
@click.argument("file", type=_path)
@click.argument("path", type=_path)
@click.argument("words", nargs=-1, metavar="[map MAP]")
@click.option("-p", "--prog", "names", multiple=True, help="This program, of several.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option("--pid", type=int, default=0, help="Only this process (task iterators).")
@click.option("--cgroup", type=_path, help="Begin at this cgroup (cgroup iterators).")
def pin_iterator(
    file: Path,
    path: Path,
    words: tuple[str, ...],
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    pid: int,
    cgroup: Path | None,
) -> None:
    """Load the iterator in FILE (an object or C source) and pin it to PATH, in a bpffs.

    Reading PATH runs it (`cat PATH`), every time anew. `map MAP` says which map an iterator of
    map elements goes over.
    """
    from osmia.kernel.links import attach_iterator

    if words[:1] not in ((), ("map",)):
        raise click.UsageError(f"`map MAP`, not {' '.join(words)!r}")
    obj = select_programs(open_source(file), names)
    set_globals(obj, assignments)
    found = [
        each.name
        for each in obj.programs.values()
        if each.autoload and each.expected_attach_type == AttachType.TRACE_ITER
    ]
    if len(found) != 1:
        which = f": {', '.join(found)}; say with --prog which" if found else ""
        raise OsmiaError(f"{file} has {len(found) or 'no'} iterators{which}")
    with ExitStack() as opened:
        goes_over = opened.enter_context(open_map(only_target(words[1:]))) if words else None
        program = opened.enter_context(obj.load()).programs[found[0]]
        link = attach_iterator(program, map=goes_over, cgroup=cgroup, pid=pid)
        opened.enter_context(link).pin(path)
