"""`osmia check`: is an object what it should be?"""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.legacy import DIALECTS, open_legacy
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, printable
from osmia.elf import ElfFile
from osmia.formats import iproute2
from osmia.object import Object


@click.command("check", cls=Verb)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict-btf", is_flag=True, help="Maps and functions without types are errors.")
@click.option("--dialect", type=click.Choice(DIALECTS), help="The files' dialect.")
@pass_output
def check_command(
    output: Output, files: tuple[Path, ...], strict_btf: bool, dialect: str | None
) -> int:
    """Read FILES and say what is wrong with them, and what a load would refuse, without loading
    anything."""
    from osmia.errors import OsmiaError
    from osmia.kernel.load.tc_pins import namespaces
    from osmia.object.strict_btf import missing_types
    from osmia.passes.refusals import refusals

    failed = False
    for path in files:
        try:
            obj = open_legacy(path, dialect=dialect)
        except OsmiaError as error:
            output.line(printable(str(error)))
            failed = True
            continue
        wrong = refusals(obj, namespaces())
        wrong += missing_types(obj) if strict_btf else []
        for each in wrong:
            output.line(printable(f"{path}: {each}"))
        failed = failed or bool(wrong)
        if output.verbose and not wrong:
            counts = f"{len(obj.programs)} programs, {len(obj.maps)} maps"
            output.line(printable(f"{path}: {obj.dialect}, {counts}{_layout(path, obj)}"))
    return 1 if failed else 0


def _layout(path: Path, obj: Object) -> str:
    """Which of the older structs describes the maps: no file says it."""
    if obj.dialect != iproute2.DIALECT or not obj.maps:
        return ""
    return f" ({iproute2.map_layout(ElfFile.parse(path.read_bytes(), str(path)))})"
