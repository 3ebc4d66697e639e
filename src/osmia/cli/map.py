"""`osmia map`: maps in the kernel: listing, making, pinning. What reads and writes their entries is
in `map_entries`, and imported for the verbs that do."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from osmia.cli.options import Deed, Noun, Verb, pass_output, takes_pins
from osmia.cli.output import Output, enum_name
from osmia.cli.targets import only_target, open_map, take_target
from osmia.object.uapi import MapType

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
    from osmia.cli import map_list  # for this verb alone

    map_list.list_maps(output, words, pins)


map_command.add_command(list_maps, "show")


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
