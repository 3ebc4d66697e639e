"""`osmia btf`: types in the kernel or in a file."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click

from osmia import cache
from osmia.btf import BTF, COMPOSITES, ENUMS, Kind, Minimiser, dump_c, kernel_btf
from osmia.cli import btf_bulk, btf_text
from osmia.cli.listings import Description, show
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note
from osmia.cli.sources import open_source, types_in
from osmia.cli.targets import Target, open_map, open_program, take_target
from osmia.errors import OsmiaError
from osmia.files import write_whole
from osmia.kernel.inventory import iterate
from osmia.kernel.sys.btf_objects import btf_from_id
from osmia.toolchain import vmlinux_header

_COLUMNS = {
    "id": "id",
    "name": "name",
    "size": "size",
    "programs": "prog_ids",
    "maps": "map_ids",
    "held by": "pids",
}
_file = click.Path(path_type=Path)


@click.group("btf", cls=Noun)
def btf_command() -> None:
    """Types in the kernel or in a file.

    BTF is `id 12`, `prog PROG`, `map MAP [key|value|kv|all]`, `file FILE` (raw BTF, or an
    object) or `vmlinux`; or just `12`, or a path.
    """


@btf_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[id ID]")
@pass_output
def list_btf(output: Output, words: tuple[str, ...]) -> None:
    """List all BTF objects, or the one with ID."""
    infos = list(iterate.btfs())  # first of all: who may not is told of these
    if words:
        target, _ = take_target(words)
        infos = [info for info in infos if str(info.id) == target.what]
        if not infos:
            raise OsmiaError(f"there is no BTF object with {target}")
    programs: dict[int, list[int]] = defaultdict(list)
    maps: dict[int, list[int]] = defaultdict(list)
    for program in iterate.programs():
        programs[program.btf_id].append(program.id)
    for found in iterate.maps():
        maps[found.btf_id].append(found.id)
    things: list[Description] = [
        {
            "id": info.id,
            "size": info.size,
            "prog_ids": programs.get(info.id, []),
            "map_ids": maps.get(info.id, []),
            "kernel": info.is_kernel,
            "name": info.name,
        }
        for info in infos
    ]
    show(output, "btf", things, _COLUMNS, only=bool(words), optional=("size",))


btf_command.add_command(list_btf, "show")


@btf_command.command("dump", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="BTF")
@click.option("--c", "as_c", is_flag=True, help="As C that compiles to the same layout.")
@click.option(
    "-t",
    "--type",
    "names",
    multiple=True,
    help="Only this type (name or id), with what it needs.",
)
@click.option(
    "-B",
    "--base-btf",
    "base",
    type=_file,
    metavar="FILE",
    help="The types below those of a file (split BTF: a module's, on its kernel's).",
)
@pass_output
def dump_btf(
    output: Output, words: tuple[str, ...], as_c: bool, names: tuple[str, ...], base: Path | None
) -> None:
    """Print types: one by one with their ids, or as C with --c (or `format c` at the end).

    Of a module's file, as of a copy of /sys/kernel/btf/MODULE, -B names the kernel's types.
    """
    if words[-2:-1] == ("format",):
        as_c, words = words[-1] == "c", words[:-2]
    types, ids = _read(words, types_in(base) if base is not None else None)
    if names:
        ids = [_find(types, name) for name in names]
    if as_c:
        for piece in _as_c(types, ids):
            click.echo(piece, nl=False)
        return
    if ids is None and not output.json:
        for piece in btf_bulk.text(types):
            click.echo(piece, nl=False)
        return
    chosen = btf_text.records(types) if ids is None else btf_text.chosen(types, ids)
    if output.json:
        output.document({"types": list(chosen)})
        return
    for record in chosen:
        for line in btf_text.record_lines(types, record):
            output.line(btf_bulk.line_text(line))


@btf_command.command("vmlinux", cls=Verb)
def vmlinux() -> None:
    """Print vmlinux.h: all types of the running kernel as C."""
    click.echo(vmlinux_header().read_bytes(), nl=False)


@btf_command.command("minimise", cls=Verb)
@click.argument("files", nargs=-1, required=True, type=_file, metavar="OBJECT…")
@click.option("-o", "--output", "target", type=_file, required=True, help="Where to write it.")
@click.option("--btf", "kernel", type=_file, help="The kernel's types.  [default: this one's]")
@pass_output
def minimise(output: Output, files: tuple[Path, ...], target: Path, kernel: Path | None) -> None:
    """Write the few of a kernel's types that the CO-RE records of objects (or C sources) need.

    For machines whose kernel shows no BTF: `osmia run` and `prog load` take what is written with
    --target-btf, Python with `osmia.kernel.load.target.kernel_target(core_btf=…)`.
    """
    types = kernel_btf() if kernel is None else types_in(kernel)
    minimiser = Minimiser(types)
    for file in files:
        obj = open_source(file)
        records = [each for f in obj.functions.values() for each in f.core_relocations]
        if obj.btf is not None:
            minimiser.add(obj.btf, records)
    small = minimiser.build()
    write_whole(target, small.to_bytes())
    if output.verbose:
        note(f"{target}: {len(small):,} of {len(types):,} types, {len(small.to_bytes()):,} bytes")


def _as_c(types: BTF, ids: list[int] | None) -> Iterator[str | bytes]:
    """Types as C; what is kept of the kernel's is not made again."""
    gc.disable()  # half a million tuples, none of which is garbage
    try:
        if ids is None and types is kernel_btf() and cache.lasts():
            yield vmlinux_header().read_bytes()
            return
        meant = [each for each in ids if each] if ids is not None else None
        yield from btf_bulk.joined(dump_c(types, meant, header=ids is None))
    finally:
        gc.enable()


def _read(words: tuple[str, ...], base: BTF | None) -> tuple[BTF, list[int] | None]:
    """The types that the words name, and which of them; None: all. `base` is that of a file."""
    first, *rest = words or ("vmlinux",)
    match first:
        case "vmlinux":
            return kernel_btf(), None
        case "prog":
            return _of_program(take_target(rest)[0]), None
        case "map":
            target, which = take_target(rest)
            return _of_map(target, which[0] if which else "kv")
        case "file" if rest:
            return types_in(Path(rest[0]), base), None
    target, _ = take_target(words)
    if target.how == "id":
        return btf_from_id(target.identifier), None
    return types_in(Path(target.what), base), None


def _of_program(target: Target) -> BTF:
    with open_program(target) as program:
        types = program.btf()
    if types is None:
        raise OsmiaError(f"program {program.name!r} was loaded without BTF")
    return types


def _of_map(target: Target, which: str) -> tuple[BTF, list[int] | None]:
    if which not in ("key", "value", "kv", "all"):
        raise click.UsageError(f"of a map `key`, `value`, `kv` or `all`, not {which!r}")
    with open_map(target) as found:
        info = found.info
    if not info.btf_id:
        raise OsmiaError(f"map {info.name!r} was made without BTF")
    types = btf_from_id(info.btf_id)
    if which == "all":
        return types, None
    ids = {"key": info.btf_key_type_id, "value": info.btf_value_type_id}
    return types, [type_id for name, type_id in ids.items() if which in (name, "kv")]


def _find(types: BTF, name: str) -> int:
    if name.isdigit():
        types.type(int(name))  # raises for one that is not there
        return int(name)
    kinds = (*COMPOSITES, *ENUMS, Kind.TYPEDEF, Kind.INT, Kind.FUNC)
    found = types.find(name, *kinds)
    if not found:
        raise OsmiaError(f"there is no type {name!r}")
    return found
