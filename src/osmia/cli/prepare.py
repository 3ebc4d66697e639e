"""`osmia prepare`: loads kept ahead of time."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, printable


@click.command("prepare", cls=Verb, json=True)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@pass_output
def prepare_command(output: Output, files: tuple[Path, ...]) -> int:
    """Keep what loading each of FILES (objects) needs in the cache, so that this user's processes
    load them without reading them: in container images, or before the first start.

    Nothing is loaded, and no privileges are needed. Objects that ask for the kernel's types are
    kept for the kernel that runs here. The status is 1 where one cannot be kept, and it is said
    why; such files are read at each load, as without this.
    """
    from osmia.errors import OsmiaError
    from osmia.kernel.load.keeping import prepare_file

    failed = False
    for path in files:
        try:
            kept = prepare_file(path)
        except OsmiaError as error:
            failed = True
            _tell(output, path, "", str(error))
        except OSError as error:
            failed = True
            _tell(output, path, "", error.strerror or str(error))
        else:
            _tell(output, path, kept.holds_for, "")
    return int(failed)


def _tell(output: Output, path: Path, kernels: str, reason: str) -> None:
    if output.json:
        output.record(
            {"file": str(path), "prepared_for": kernels or None, "reason": reason or None}
        )
    elif kernels:
        output.line(printable(f"{path}: prepared for {kernels}"))
    else:
        output.line(printable(f"{path}: not prepared: {reason}"))
