"""`osmia explain`: what the rewriting passes would change in an object."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, printable
from osmia.cli.sources import open_source, set_globals, takes_target, target_of


@click.command("explain", cls=Verb, json=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option("--keep", multiple=True, metavar="PROGRAM", help="With pruning: it is entered, too.")
@takes_target
@pass_output
def explain_command(
    output: Output,
    file: Path,
    assignments: tuple[str, ...],
    keep: tuple[str, ...],
    target: Path | None,
    target_btf: Path | None,
) -> None:
    """Say which passes would change what in FILE (an object or C source), and what it saves.

    Each is named as the option of load that asks for it, and told by itself.
    """
    from osmia.kernel.load.target import kernel_target
    from osmia.passes.explanation import explain

    obj = open_source(file)
    set_globals(obj, assignments)
    try:
        found = explain(obj, target_of(target, target_btf) or kernel_target(), keep)
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from None
    if output.json:
        output.document([asdict(each) for each in found])
        return
    for each in found:
        told = [f"{each.instructions:+} instructions" if each.instructions else ""]
        told.append(f"{each.maps:+} maps" if each.maps else "")
        told.append(f"about {each.ns} ns less for such a tail call" if each.ns else "")
        what = "cannot be done" if each.refused else ", ".join(filter(None, told)) or "nothing"
        output.line(f"{each.option}: {what}", "bold")
        for line in (each.refused,) if each.refused else each.changes:
            output.line(printable(f"  {line}"))
