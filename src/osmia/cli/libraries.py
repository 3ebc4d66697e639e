"""Libraries on the command line: their names, where they are, linking against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from osmia.passes.options import Source

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


class LibraryName(click.ParamType):  # type: ignore[type-arg]  # generic since 8.5 only
    """The name of a library; completed by those that are there."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
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


def takes_imports(command: AnyCommand) -> AnyCommand:
    """`imports=` of `Object.load` on the command line, for `open_imports`."""
    option = click.option(
        "--import",
        "imports",
        multiple=True,
        type=LibraryName(),
        metavar="LIBRARY",
        help="Link against this published library, or against a FILE (with a dot or slash in it),"
        " or `kernel`: maps and variables that are loaded (more than once).",
    )
    return option(command)


def open_imports(words: Iterable[str], held: ExitStack, root: Path | None = None) -> list[Source]:
    """What `--import` names, for `imports=` of `Object.load`; `held` closes the libraries."""
    return [_opened(word, held, root) for word in words]


def _opened(word: str, held: ExitStack, root: Path | None) -> Source:
    if word == "kernel" or "." in word or "/" in word:
        return word
    from osmia.kernel.libraries.library import library

    return held.enter_context(library(word, root=root))
