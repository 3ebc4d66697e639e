"""`osmia fleet certificates`: who may speak in a fleet."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, printable


@click.command("certificates", cls=Verb, json=True)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="One of its own for this host."
)
@click.option(
    "--days",
    type=click.FloatRange(0, 36500, min_open=True),
    default=365,
    show_default=True,
    help="How long they hold; the authority ten times as long.",
)
@pass_output
def certificates_command(
    output: Output, directory: Path, hosts: tuple[str, ...], days: float
) -> None:
    """Make what DIRECTORY lacks of a fleet's certificates, and their keys (NAME-key.pem).

    ca.pem is the authority, which all know; its key makes members: keep it where nothing else runs.
    scheduler.pem, client.pem, and worker.pem or one for each --host are who may speak. What is
    there stays: with other hosts, only theirs are made.
    """
    from osmia.fleet.certificates import make_certificates

    added = make_certificates(directory, hosts, days=days)
    if not added:
        note(f"{directory} lacks none")
    for made in added:
        key = made.with_name(f"{made.stem}-key.pem")
        if output.json:
            output.record({"certificate": str(made), "key": str(key)})
        else:
            output.line(printable(f"{made}, {key.name}"))
