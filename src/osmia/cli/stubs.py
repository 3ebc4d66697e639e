"""`osmia stubs`: typed Python stubs for an object."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb
from osmia.cli.sources import open_source
from osmia.files import write_whole


@click.command("stubs", cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Where to write.")
def stubs_command(file: Path, target: Path | None) -> None:
    """Write typed Python stubs for FILE (an object or C source): its maps and globals.

    Editors and type checkers then know `bpf.maps["flows"]` and `bpf.data.dropped`.
    """
    from osmia.formats.stubs import stub_text

    text = stub_text(open_source(file))
    if target is None:
        click.echo(text, nl=False)
    else:
        write_whole(target, text.encode())
