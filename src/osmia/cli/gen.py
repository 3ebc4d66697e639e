"""`osmia gen`: what is made of objects for those who write C."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Noun
from osmia.cli.sources import open_source, takes_target, target_of
from osmia.errors import OsmiaError
from osmia.files import write_whole


@click.group("gen", cls=Noun)
def gen_command() -> None:
    """Make files from objects."""


@gen_command.command("skeleton")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-L", "--use-loader", "light", is_flag=True, help="A light skeleton.")
@click.option("-n", "--name", default="", help="What the skeleton is called in C.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write.")
@takes_target
def skeleton(
    file: Path,
    light: bool,
    name: str,
    output: Path | None,
    target: Path | None,
    target_btf: Path | None,
) -> None:
    """Write a C header that holds and loads FILE (an object or C source), with libbpf.

    A light skeleton (-L) loads it by a BPF program instead; to compile it takes libbpf's
    header bpf/skel_internal.h, to run nothing.
    """
    from osmia.kernel.skeletons import light_skeleton, plain_skeleton

    obj = open_source(file)
    write = light_skeleton if light else plain_skeleton
    try:
        text = write(obj, name, target=target_of(target, target_btf))
    except ValueError as error:
        if isinstance(error, OsmiaError):
            raise
        raise click.UsageError(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode())
