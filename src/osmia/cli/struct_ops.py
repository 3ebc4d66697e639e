"""`osmia struct_ops`: structs of functions that the kernel calls."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from osmia.btf import BTF, kernel_btf
from osmia.cli.listings import Description, show
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output, note
from osmia.cli.sources import open_source, set_globals
from osmia.cli.targets import Target, map_infos, only_target, open_map
from osmia.engine.maps import KeyedMap
from osmia.engine.maps.info import MapInfo
from osmia.enums import IntEnum
from osmia.errors import OsmiaError
from osmia.kernel.sys import pin_sets, pins
from osmia.kernel.sys.btf_objects import try_btf_from_id
from osmia.object import DataKind, MapFlag, MapType

_COLUMNS = {
    "id": "id",
    "name": "name",
    "struct": "kernel_struct_ops",
    "state": "state",
    "held by": "pids",
}
#: What the kernel calls the struct that a map holds, before the struct's own name.
_PREFIX = "bpf_struct_ops_"
_path = click.Path(path_type=Path)


class State(IntEnum):
    """enum bpf_struct_ops_state."""

    INIT = 0
    INUSE = 1
    TOBEFREE = 2
    READY = 3


@click.group("struct_ops", cls=Noun)
def struct_ops_command() -> None:
    """Structs of functions that the kernel calls: congestion control, schedulers, …

    STRUCT_OPS is `id 12` or `name cubic`; or just `12`, `cubic`, the path of a pin.
    """


@struct_ops_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[STRUCT_OPS]")
@pass_output
def list_struct_ops(output: Output, words: tuple[str, ...]) -> None:
    """List all struct_ops that are loaded, or STRUCT_OPS; `osmia map dump` shows the values."""
    infos = _infos(only_target(words) if words else None)
    # bpftool's is a list, however few they are.
    only = bool(words) and not output.json
    show(output, "map", list(map(_described, infos)), _COLUMNS, only=only)


struct_ops_command.add_command(list_struct_ops, "show")


@struct_ops_command.command("dump", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[STRUCT_OPS]")
@pass_output
def dump(output: Output, words: tuple[str, ...]) -> None:
    """Print the structs of all that are loaded, or of STRUCT_OPS, with the programs in them."""
    from osmia.cli.struct_ops_json import told_struct_ops

    told = []
    for info in _infos(only_target(words) if words else None):
        with open_map(Target("id", str(info.id))) as ops:
            told += told_struct_ops(ops) if isinstance(ops, KeyedMap) else []
    if output.json:
        output.document(told)
        return
    for each in told[1::2]:
        ((name, value),) = each.items()
        output.heading(name)
        output.fields(value["data"])


def _infos(target: Target | None) -> list[MapInfo]:
    found = [info for info in map_infos(target) if info.type == MapType.STRUCT_OPS]
    if target is not None and not found:
        raise OsmiaError(f"the map with {target} is no struct_ops")
    return found


def _described(info: MapInfo) -> Description:
    """A struct_ops as bpftool's JSON has it, and its state."""
    types: BTF | None = kernel_btf()
    if info.btf_vmlinux_id:
        types = try_btf_from_id(info.btf_vmlinux_id)
    struct = types.name_of(info.btf_vmlinux_value_type_id) if types is not None else ""
    described: Description = {"id": info.id, "name": info.name}
    described["kernel_struct_ops"] = struct.removeprefix(_PREFIX)
    with open_map(Target("id", str(info.id))) as opened:
        state = _state(opened) if isinstance(opened, KeyedMap) else None
    return described | ({"state": state.name.lower()} if state is not None else {})


def _state(ops: KeyedMap) -> State | None:
    """None where the value is not laid out as known, or empty."""
    common = getattr(ops.get(0), "common", None)
    number = int(getattr(common, "state", -1))
    return State(number) if number in State._value2member_map_ else None


@struct_ops_command.command("register", cls=Deed)
@click.argument("file", type=_path)
@click.argument("directory", type=_path, required=False)
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@pass_output
def register(
    output: Output, file: Path, directory: Path | None, assignments: tuple[str, ...]
) -> None:
    """Load FILE (an object or C source) and register its struct_ops.

    Those of section .struct_ops stay until `unregister`. Those of .struct_ops.link stay as long
    as their links, which are pinned under their names in DIRECTORY, in a bpffs. When one cannot
    be registered, none is.
    """
    from osmia.kernel.links.struct_ops import unregister_struct_ops

    obj = open_source(file)
    set_globals(obj, assignments)
    sections = obj.data_sections.values()
    names = [v for s in sections if s.kind is DataKind.STRUCT_OPS for v in s.variables]
    if not names:
        raise OsmiaError(f"{file} has no struct_ops")
    with obj.load() as loaded, ExitStack() as undo:
        wanted = [name for name in names if name in loaded.maps]
        linked = [name for name in wanted if loaded.maps[name].flags & MapFlag.LINK]
        if linked and directory is None:
            raise click.UsageError(f"where to pin the link of {linked[0]!r}? Give a DIRECTORY")
        for name in wanted:
            if name not in linked:
                loaded.register_struct_ops(name)
                undo.callback(unregister_struct_ops, loaded.maps[name], name)
        places = [Path(directory or "", pins.safe_name(name)) for name in linked]
        links = [loaded.attach_struct_ops(name) for name in linked]  # end with `loaded`
        pin_sets.pin_all(
            (link.fileno(), place, f"the link of {link.what}")
            for link, place in zip(links, places, strict=True)
        )
        undo.pop_all()
    if output.verbose:
        note(f"registered {', '.join(wanted)}")


@struct_ops_command.command("unregister", cls=Deed)
@click.argument("words", nargs=-1, metavar="STRUCT_OPS")
def unregister(words: tuple[str, ...]) -> None:
    """Unregister what was registered without a link; `osmia link detach` is for the others."""
    from osmia.kernel.links.struct_ops import unregister_struct_ops

    target = only_target(words)
    _infos(target)
    with open_map(target) as ops:
        if ops.flags & MapFlag.LINK:
            raise OsmiaError(f"struct_ops {ops.name!r} is registered by a link: osmia link detach")
        unregister_struct_ops(ops, ops.name)
