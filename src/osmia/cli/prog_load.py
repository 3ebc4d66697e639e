"""`osmia prog load`: load a file's programs, and pin them or their attachments."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.importing import open_imports, takes_imports
from osmia.cli.kernel_signatures import load_by_signed_loader, takes_keyring
from osmia.cli.legacy import takes_pin_root
from osmia.cli.options import Deed, pass_output
from osmia.cli.output import Output, note
from osmia.cli.passes import chosen_passes, takes_passes
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)
from osmia.cli.targets import open_map, take_target
from osmia.errors import OsmiaError
from osmia.kernel.sys import pin_sets, pins
from osmia.records import replace
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.engine.link import Link
    from osmia.engine.maps import Map
    from osmia.kernel.programs.program import KernelProgram
    from osmia.object import Object

_file = click.Path(path_type=Path)


@click.command("load", cls=Deed)
@click.argument("file", type=_file)
@click.argument("path", type=_file)
@click.option("-p", "--prog", "names", multiple=True, help="Load this program only.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option("--directory", is_flag=True, help="PATH is a directory, for a single program too.")
@click.option("--type", "kind", metavar="TYPE", help="All programs' type, as sections name it.")
@click.option(
    "--map",
    "reused",
    multiple=True,
    metavar="NAME=MAP",
    help="Use a MAP that is there (id, name, pin) for the file's map of that name or number.",
)
@click.option("--pin-maps", type=_file, metavar="DIR", help="Pin the maps in this directory.")
@click.option("--autoattach", is_flag=True, help="Attach what its section says; pin the links.")
@click.option("--device", help="Load onto a network device that runs programs itself.")
@takes_keyring
@takes_pin_root
@takes_passes
@takes_imports
@takes_target
@pass_output
def load_programs(
    output: Output,
    file: Path,
    path: Path,
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    directory: bool,
    kind: str | None,
    reused: tuple[str, ...],
    pin_maps: Path | None,
    autoattach: bool,
    device: str | None,
    keyring: str | None,
    key: Path | None,
    cert: Path | None,
    pin_root: Path | None,
    imports: tuple[str, ...],
    target: Path | None,
    target_btf: Path | None,
) -> None:
    """Load FILE (an object or C source) and pin its programs.

    One program is pinned as PATH; several under their names in the directory PATH. When
    anything fails nothing stays pinned.

    With --keyring the kernel checks who made FILE: it runs the loader that `osmia sign --kernel`
    left beside it, or one signed now (--key, --cert).
    """
    obj = select_programs(open_source(file), names)
    set_globals(obj, assignments)
    obj = _of_type(obj, kind) if kind else obj
    machine = target_of(target, target_btf)
    with ExitStack() as undo:
        others = open_imports(imports, undo, options={"target": machine})
        options: dict[str, Any] = dict(chosen_passes())
        if pin_root is not None:
            options["pin_root"] = pin_root
        if reused:
            options["maps"] = _reused_maps(obj, reused, undo)
        if device is not None:
            import socket

            options["ifindex"] = socket.if_nametoindex(device)
        if keyring is not None or key is not None or cert is not None:
            options |= {"imports": others}
            loading = load_by_signed_loader(obj, keyring, key, cert, machine, options)
        else:
            loading = obj.load(target=machine, imports=others, **options)
        loaded = undo.enter_context(loading)
        several = directory or len(loaded.programs) > 1
        wanted: list[tuple[Any, Path]] = [
            (
                _attached(program, undo) if autoattach else program,
                path / pins.safe_name(name) if several else path,
            )
            for name, program in loaded.programs.items()
        ]
        if pin_maps is not None:
            wanted += [(m, pin_maps / pins.safe_name(name)) for name, m in loaded.maps.items()]
        pin_sets.pin_all((thing.fileno(), place, _what(thing)) for thing, place in wanted)
    if output.verbose:
        for _, place in wanted:
            note(f"pinned {place}")


def _what(thing: Any) -> str:
    return repr(thing.name) if hasattr(thing, "name") else str(thing.what)


def _of_type(obj: Object, name: str) -> Object:
    """The object with all programs of the type that a section of this name has."""
    from osmia.object.sections import find_section

    found = find_section(name) or find_section(f"{name}/")
    if found is None:
        raise click.UsageError(f"--type: no section is called {name!r}: xdp, kprobe, cgroup/skb, …")
    row, _ = found
    changed = obj.copy()
    for key, program in obj.programs.items():
        changed.programs[key] = replace(
            program, type=row.type, expected_attach_type=row.attach_type
        )
    return changed


def _reused_maps(obj: Object, given: Sequence[str], undo: ExitStack) -> dict[str, Map]:
    maps: dict[str, Map] = {}
    for each in given:
        name, equals, what = each.partition("=")
        if not equals:
            raise click.UsageError(f"--map takes NAME=MAP, not {each!r}")
        if name.isdigit() and int(name) < len(obj.maps):
            name = list(obj.maps)[int(name)]
        if name not in obj.maps:
            raise OsmiaError(unknown_name(obj.path or obj.name, name, obj.maps))
        words = what.split(" ", 1) if what.startswith(("id ", "name ", "pinned ")) else [what]
        maps[name] = undo.enter_context(open_map(take_target(words)[0]))
    return maps


def _attached(program: KernelProgram, undo: ExitStack) -> Link | KernelProgram:
    """Its link; the program itself, with a note, where its section does not say the place."""
    if program.definition is None or not program.definition.auto_attach:
        note(f"program {program.name!r} cannot be attached by its section alone: it is pinned")
        return program
    return undo.enter_context(program.attach())
