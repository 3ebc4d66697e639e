"""`osmia map`: maps in the kernel: listing, making, pinning. What reads and writes their entries is
in `map_entries`, and imported for the verbs that do."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from osmia.cli.listings import Description, show, takes_pins, told_program
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output, enum_name
from osmia.cli.targets import map_infos, only_target, open_map, take_target
from osmia.engine.maps.info import MapInfo
from osmia.kernel.inventory.full_names import map_name
from osmia.kernel.programs.info import known_program_type
from osmia.object.uapi import MapType

_COLUMNS = {
    "id": "id",
    "type": "type",
    "name": "name",
    "key": "bytes_key",
    "value": "bytes_value",
    "entries": "max_entries",
    "flags": "flags",
    "memory": "bytes_memlock",
    "held by": "pids",
}
#: What a narrow terminal does without.
_OPTIONAL = ("memory", "flags", "key", "value", "entries")
#: The verbs of a map's entries, and the functions that they are.
_OF_ENTRIES = {
    "dump": "dump_map",
    "load": "load_map",
    "restore": "load_map",
    "lookup": "look_up",
    "getnext": "next_key",
    "update": "update",
    "delete": "delete",
    "push": "push",
    "enqueue": "push",
    "pop": "pop",
    "dequeue": "pop",
    "peek": "peek",
    "event_pipe": "event_pipe",
}
_ELSEWHERE = {verb: f"osmia.cli.map_entries:{name}" for verb, name in _OF_ENTRIES.items()}


@click.group("map", cls=Noun, elsewhere=_ELSEWHERE)
def map_command() -> None:
    """Maps in the kernel.

    MAP is `id 12`, `name flows` or `pinned PATH`; or just `12`, `flows`, a path. A key or
    value is one word of the map's type (a number, an enumerator, text, JSON), or its bytes:
    `key 1 0 0 0`, `key hex 01 00 00 00`.
    """


@map_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[MAP]")
@takes_pins
@pass_output
def list_maps(output: Output, words: tuple[str, ...], pins: bool) -> None:
    """List all maps; with MAP, show all about those that it names."""
    infos = map_infos(only_target(words) if words else None)
    things = list(map(describe, infos))
    if not output.json:
        things = [each | {"name": each.pop("full_name", each["name"])} for each in things]
    if words:
        things = [each | _slots(info) for each, info in zip(things, infos, strict=True)]
    show(output, "map", things, _COLUMNS, only=bool(words), pins=pins, optional=_OPTIONAL)


map_command.add_command(list_maps, "show")


def _slots(info: MapInfo) -> Description:
    """What a prog array holds."""
    if info.type != MapType.PROG_ARRAY:
        return {}
    from osmia.kernel.inventory.references import programs_in

    held = [(key, number, told_program(number)["name"]) for key, number in programs_in(info)]
    return {"programs": [{"key": key, "id": number, "name": name} for key, number, name in held]}


def describe(info: MapInfo) -> Description:
    """A map as bpftool's JSON has it; and its whole name."""
    described: Description = {
        "id": info.id,
        "type": enum_name(info.type),
        "name": info.name,
        "flags": int(info.flags),
        "bytes_key": info.key_size,
        "bytes_value": info.value_size,
        "max_entries": info.max_entries,
        "bytes_memlock": info.memlock,
        "frozen": int(info.frozen),
    }
    owner, name = info.owner_prog_type, map_name(info)
    optional = {
        "full_name": name if name != info.name else "",
        "map_extra": info.map_extra,
        "ifindex": info.ifindex,
        "btf_id": info.btf_id,
        "owner_prog_type": enum_name(known_program_type(owner)) if owner else "",
        "owner_jited": info.owner_jited,
    }
    return described | {name: value for name, value in optional.items() if value}


@map_command.command("create", cls=Deed)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--type", "kind", required=True, help="The map's type: hash, array, lru_hash, …")
@click.option("--key", "key_size", type=int, default=0, help="Bytes of a key.")
@click.option("--value", "value_size", type=int, default=0, help="Bytes of a value.")
@click.option("--entries", type=int, required=True, help="How many entries it may have.")
@click.option("--name", default="", help="Its name; the kernel keeps 15 characters.")
@click.option("--flags", type=int, default=0, help="BPF_F_* of BPF_MAP_CREATE, as a number.")
@click.option("--inner", metavar="MAP", help="The template of a map of maps: id, name or pin.")
def create(
    path: Path,
    kind: str,
    key_size: int,
    value_size: int,
    entries: int,
    name: str,
    flags: int,
    inner: str | None,
) -> None:
    """Create a map and pin it as PATH."""
    from osmia.engine.maps import Map
    from osmia.kernel.sys.token import with_token
    from osmia.values.names import unknown_name

    if kind.upper() not in MapType.__members__:
        raise click.UsageError(unknown_name("the kernel", kind, map(enum_name, MapType)))
    with ExitStack() as held:
        template = held.enter_context(open_map(only_target([inner]))) if inner else None
        made = with_token(
            lambda token_fd: Map.create(
                MapType[kind.upper()],
                key_size=key_size,
                value_size=value_size,
                max_entries=entries,
                name=name,
                flags=flags,
                inner=template,
                token_fd=token_fd,
            )
        )
        held.enter_context(made).pin(path)


@map_command.command("pin", cls=Deed)
@click.argument("words", nargs=-1, metavar="MAP PATH")
def pin_map(words: tuple[str, ...]) -> None:
    """Pin MAP to a PATH in a bpffs; missing directories are made."""
    target, rest = take_target(words)
    if len(rest) != 1:
        raise click.UsageError("give the map and one path")
    with open_map(target) as found:
        found.pin(rest[0])


@map_command.command("freeze", cls=Deed)
@click.argument("words", nargs=-1, metavar="MAP")
def freeze(words: tuple[str, ...]) -> None:
    """Make MAP read-only for user space, for ever."""
    with open_map(only_target(words)) as found:
        found.freeze()
