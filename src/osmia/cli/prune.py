"""`osmia prune`: an object without what cannot run."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.sources import open_source, set_globals
from osmia.files import write_whole


@click.command("prune", cls=Verb, json=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option("--keep", multiple=True, metavar="PROGRAM", help="Keep it: it is entered, too.")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Where to write.")
@pass_output
def prune_command(
    output: Output,
    file: Path,
    assignments: tuple[str, ...],
    keep: tuple[str, ...],
    target: Path | None,
) -> None:
    """Leave out of FILE (an object or C source) what cannot run with its read-only globals as
    they are, or as they are --set.

    Those are branches, functions, programs that no tail call reaches, and maps that nothing
    else uses. Programs that no slot of a prog array holds are entries. Without -o only what
    would go is shown.
    """
    from osmia.passes.prune import prune

    obj = open_source(file)
    set_globals(obj, assignments)
    try:
        pruned = prune(obj, keep=keep)
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from None
    if target is not None:
        write_whole(target, pruned.object.to_bytes())
    if output.json:
        output.document(
            {
                "file": str(file),
                "programs": list(pruned.programs),
                "functions": list(pruned.functions),
                "maps": list(pruned.maps),
                "instructions": pruned.instructions,
            }
        )
        return
    for what in ("programs", "functions", "maps"):
        names = getattr(pruned, what)
        if names:
            output.line(printable(f"{what}: {', '.join(names)}"))
    left = sum(each.instruction_count for each in pruned.object.functions.values())
    note(f"{file}: {pruned.instructions} of {left + pruned.instructions} instructions go")
