"""Libraries on the command line: their names, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LibraryName(click.ParamType):  # type: ignore[type-arg]  # generic since 8.5 only
    """The name of a library; completed by those that are there."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        from click.shell_completion import CompletionItem

        from osmia.kernel.libraries import places

        try:
            names = places.names(ctx.params.get("root"))
        except OsmiaError:
            return []
        return [CompletionItem(each) for each in names if each.startswith(incomplete)]


takes_root = click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Where libraries are published.  [default: osmia/libraries in the bpffs]",
)
