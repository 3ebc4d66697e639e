"""`osmia tailcalls`: which program goes on in which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.sources import open_source, set_globals
from osmia.object import Object
from osmia.passes.call_paths import FRAMES
from osmia.passes.tail_call_graph import LIMIT, GraphSite, TailCallGraph, tail_call_graph


@click.command("tailcalls", cls=Verb, json=True)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option(
    "--slots",
    multiple=True,
    metavar="MAP=PIN",
    help="Take what a pinned prog array holds as MAP's content, too.",
)
@click.option(
    "--pin-root",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Take in what is pinned where a load with this directory would reuse it.",
)
@click.option(
    "-o",
    "--output",
    "picture",
    type=click.Path(path_type=Path),
    help="Write a picture there: .svg, or .html.",
)
@pass_output
def tailcalls_command(
    output: Output,
    files: tuple[Path, ...],
    assignments: tuple[str, ...],
    slots: tuple[str, ...],
    pin_root: Path | None,
    picture: Path | None,
) -> None:
    """Show the tail calls of FILES (objects or C source): sites, maps, keys, what they reach.

    Objects belong together where a prog array is pinned by name. Read-only globals are taken
    for what they are in the file, or are `--set` to. Programs that no slot holds are entries.
    """
    objects = [open_source(file) for file in files]
    for assignment in assignments:
        name = assignment.partition("=")[0]
        having = [obj for obj in objects if name in obj.data] or objects[:1]
        for obj in having:
            set_globals(obj, [assignment])
    filled = _reused_slots(objects, pin_root) if pin_root is not None else {}
    graph = tail_call_graph(objects, filled | dict(map(_pinned_slots, slots)))
    if picture is not None:
        _draw(graph, picture, ", ".join(file.name for file in files))
    if output.json:
        output.document(_document(graph))
    elif picture is None or output.verbose:
        _print(output, graph)
    else:
        note(f"{picture}: {len(graph.programs)} programs, {len(graph.sites)} tail calls")


def _reused_slots(objects: Sequence[Object], pin_root: Path) -> dict[str, dict[int, str]]:
    """What those prog arrays hold that a load of the objects would find pinned."""
    from osmia.kernel.load.pin_paths import pinned_arrays

    found = {name: path for obj in objects for name, path in pinned_arrays(obj, pin_root)}
    return {name: _contents(path) for name, path in found.items()}


def _pinned_slots(text: str) -> tuple[str, dict[int, str]]:
    """What `--slots` says, read from the pin."""
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise click.UsageError(f"--slots {text!r} is not MAP=PIN")
    return name, _contents(path)


def _contents(path: str) -> dict[int, str]:
    """What the prog array at a pin holds, by key: names of programs."""
    from osmia.engine.maps import Map
    from osmia.engine.program import Program

    with Map.from_pin(path) as array:
        found = {}
        for key, identifier in array.items():
            with Program.from_id(identifier) as program:
                found[int(key)] = program.name
    return found


def _draw(graph: TailCallGraph, path: Path, title: str) -> None:
    from osmia.files import write_whole
    from osmia.passes.tail_call_picture import tail_call_page, tail_call_picture

    if path.suffix not in (".svg", ".html"):
        raise click.UsageError(f"{path}: pictures are .svg or .html")
    draw = tail_call_page if path.suffix == ".html" else tail_call_picture
    write_whole(path, draw(graph, title).encode())


def _print(output: Output, graph: TailCallGraph) -> None:
    reachable = graph.reachable
    for name, node in graph.programs.items():
        counts = f"{node.instructions} instructions, {node.stack} bytes of stack"
        kind = "entry" if node.entry else "" if name in reachable else "never reached"
        heading = ", ".join(part for part in (name, node.section, kind) if part)
        output.line(printable(f"{heading}: {counts}" if node.object else heading), "bold")
        for site in graph.sites:
            if site.program == name:
                _print_site(output, site, verbose=output.verbose)
    output.line()
    chain = graph.longest_chain
    output.line(printable(f"longest chain: {' -> '.join(chain) or 'none'}"))
    for cycle in graph.cycles:
        output.line(printable(f"cycle: {' -> '.join((*cycle, cycle[0]))}"))
    bite = "can" if graph.limit_can_bite else "cannot"
    output.line(f"the limit of {LIMIT} tail calls {bite} be reached")
    unreached = [name for name in graph.programs if name not in reachable]
    if unreached:
        output.line(printable(f"never reached: {', '.join(unreached)}"))


def _print_site(output: Output, site: GraphSite, *, verbose: bool) -> None:
    way = f"indirect, as {site.indirect}" if site.indirect else "direct"
    output.line(printable(f"  {site.maps}, {site.keys}: {way}"))
    shown = [f"{key} {name}" for key, name in sorted(site.targets.items())]
    shown += ["other slots"] if site.open_slots else []
    output.line(printable(f"    reaches {', '.join(shown) or 'nothing'}"))
    if site.below:
        path = " -> ".join(site.path)
        room = f"{site.below} of less than 256 bytes below it"
        output.line(printable(f"    in {path}: {room}, {len(site.path)} of {FRAMES} frames"))
    if site.line is not None:
        output.line(printable(f"    {site.line.file}:{site.line.line}: {site.line.text}"), "dim")


def _document(graph: TailCallGraph) -> dict[str, Any]:
    reachable = graph.reachable
    return {
        "programs": [
            {
                "name": node.name,
                "object": node.object,
                "section": node.section,
                "type": node.type,
                "entry": node.entry,
                "reachable": name in reachable,
                "instructions": node.instructions,
                "stack": node.stack,
                "frames": node.frames,
            }
            for name, node in graph.programs.items()
        ],
        "sites": [
            {
                "program": each.program,
                "function": each.site.function,
                "instruction": each.site.slot,
                "file": each.line.file if each.line else None,
                "line": each.line.line if each.line else None,
                "maps": sorted(each.site.maps) if each.site.maps is not None else None,
                "keys": sorted(each.site.keys) if each.site.keys is not None else None,
                "targets": {str(key): name for key, name in sorted(each.targets.items())},
                "other_slots": each.open_slots,
                "direct": not each.indirect,
                "why_not": each.indirect or None,
                "path": list(each.path),
                "stack_below": each.below,
            }
            for each in graph.sites
        ],
        "longest_chain": list(graph.longest_chain),
        "cycles": [list(each) for each in graph.cycles],
        "limit": LIMIT,
        "limit_can_be_reached": graph.limit_can_bite,
    }
