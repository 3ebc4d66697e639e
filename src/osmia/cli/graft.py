"""`osmia graft`: one slot of a running datapath's prog array."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.legacy import open_legacy, program_type, takes_type
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output


@click.command("graft", cls=Verb)
@click.argument("array", metavar="MAP")
@click.argument("key", metavar="KEY")
@click.argument("source", metavar="FILE[:SECTION]")
@click.option(
    "--pin-root",
    type=click.Path(path_type=Path),
    help="Where maps are pinned by name; missing ones are made.  [default: beside MAP]",
)
@takes_type
@pass_output
def graft_command(
    output: Output,
    array: str,
    key: str,
    source: str,
    pin_root: Path | None,
    kind: str | None,
    dialect: str | None,
) -> None:
    """Replace the program at KEY of the pinned prog array MAP by one of FILE, atomically.

    MAP is a path, a name in tc/globals, or `m:globals/NAME`. KEY `-` takes the one in the
    section's name (ID/KEY). A program of another type is refused before it is loaded. The
    program uses MAP and the maps that are pinned beside it.
    """
    from osmia.kernel.load.graft import graft, pinned_map_path

    path, section = _split(source)
    said = program_type(kind)
    obj = open_legacy(path, dialect=dialect)
    number = graft(obj, pinned_map_path(array), _key(key), section, said, pin_root=pin_root)
    if output.verbose:
        output.line(f"program {number}")


def _split(source: str) -> tuple[Path, str]:
    """ "a.o:2/1" is section 2/1 of a.o; a file whose name has a colon goes first."""
    path, colon, section = source.rpartition(":")
    if not colon or Path(source).exists():
        return Path(source), ""
    return Path(path), section


def _key(text: str) -> int | None:
    if text == "-":
        return None
    try:
        return int(text, 0)
    except ValueError:
        raise click.UsageError(f"a key is a number or -, not {text!r}") from None
