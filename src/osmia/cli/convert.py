"""`osmia convert`: objects of iproute2's dialect for libbpf."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.legacy import open_legacy, program_type, takes_type
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.files import write_whole

_file = click.Path(path_type=Path)


@click.command("convert", cls=Verb)
@click.argument("file", type=_file)
@click.option("-o", "--output", "target", type=_file, help="Where to write the object.")
@click.option("--source", is_flag=True, help="Print the maps as C declarations instead.")
@click.option("--check", is_flag=True, help="Only say what cannot be expressed.")
@takes_type
@pass_output
def convert_command(
    output: Output,
    file: Path,
    target: Path | None,
    source: bool,
    check: bool,
    kind: str | None,
    dialect: str | None,
) -> int:
    """Turn FILE into an object that libbpf 1.x opens and loads with the same effect.

    What cannot be expressed is listed, and the exit status is 1 then.
    """
    from osmia.formats.elf_writer import write_object
    from osmia.formats.map_source import map_source
    from osmia.passes.convert import convert

    if not (source or check) and target is None:
        raise click.UsageError("where to? Give -o FILE, or --source, or --check")
    conversion = convert(open_legacy(file, dialect=dialect), program_type(kind))
    for problem in conversion.problems:
        note(f"osmia: cannot express: {problem}")
    if source:
        output.line(printable_text(map_source(conversion.object)).rstrip("\n"))
    if target is not None and not check:
        write_whole(target, write_object(conversion.object))
    if check or output.verbose:
        for each in conversion.notes:
            note(f"osmia: note: {each}")
    return 1 if conversion.problems else 0


def printable_text(text: str) -> str:
    """Several lines of untrusted text."""
    return "\n".join(
        line if line.replace("\t", "").isprintable() else printable(line)
        for line in text.split("\n")
    )
