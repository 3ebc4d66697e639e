"""`osmia find`: functions by signature."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.libraries import takes_root
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, remarks_noted
from osmia.cli.sources import is_source, open_source
from osmia.kernel.finding import FoundFunction, Place, find


@click.command("find", cls=Verb, json=True)
@click.argument("signature")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option("-k", "--kernel", is_flag=True, help="In loaded programs (without FILE: as well).")
@click.option("-l", "--libraries", is_flag=True, help="In published libraries (the same).")
@takes_root
@pass_output
def find_command(
    output: Output,
    signature: str,
    files: tuple[Path, ...],
    kernel: bool,
    libraries: bool,
    root: Path | None,
) -> None:
    """Find functions by SIGNATURE, in loaded programs and published libraries, or in FILEs.

    SIGNATURE is a declaration as in C: `int (struct xdp_md *, int)`, with a name or without.
    `*` is any type, `…` or `...` any parameters, both are any letters in a name: `int parse*(…)`.
    A name alone is looked for whatever its type is. Typedefs and qualifiers do not count,
    integers compare by size. FILEs are objects, C source, or BTF (/sys/kernel/btf/vmlinux).
    """
    where: list[Place] = [open_source(each) if is_source(each) else each for each in files]
    neither = not (files or kernel or libraries)
    if kernel or neither:
        where.append("kernel")
    if libraries or neither:
        where.append("libraries")
    with remarks_noted():
        found = find(signature, where, root=root)
    if output.json:
        output.document([_described(each) for each in found])
        return
    rows = ((each.signature, each.linkage, each.place, each.tag) for each in found)
    output.table(["signature", "linkage", "where", "tag"], rows)


def _described(found: FoundFunction) -> dict[str, object]:
    """A function as JSON has it: what is not known is left out."""
    always = ("name", "signature", "linkage", "is_program")
    return {name: value for name, value in found._asdict().items() if value or name in always}
