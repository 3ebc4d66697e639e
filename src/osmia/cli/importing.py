"""`--import` and `--bind`: what a verb that loads an object links it against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.cli.sources import open_source
from osmia.object import Object

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject

_KERNEL = "kernel"
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


def takes_imports(command: AnyCommand) -> AnyCommand:
    """`imports=` of `Object.load` on the command line, for `imported`."""
    return click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="FILE|NAME|kernel",
        help="Link against this: a file, which is loaded beside; a published library; what the"
        " kernel holds. More than once.",
    )(command)


def takes_bind(command: AnyCommand) -> AnyCommand:
    """`bind=` of `Object.load` on the command line."""
    return click.option(
        "--bind",
        type=click.Choice(["copy", "replace", "call"]),
        default="copy",
        show_default=True,
        help="How functions of imports are used: replace needs the kernel, call the vm.",
    )(command)


def imported(
    names: Sequence[str],
    engine: str,
    undo: ExitStack,
    options: Mapping[str, Any],
    compiler: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The option of a load for `--import`: files are loaded with `options`, each against those
    before it, and libraries opened, until `undo` is closed."""
    sources: list[Any] = []
    for name in names:
        path = Path(name)
        if name == _KERNEL:
            sources.append(name)
        elif path.exists() or "/" in name or path.suffix:
            obj = open_source(path, **(compiler or {}))
            against = {"imports": list(sources)} if sources else {}
            sources.append(undo.enter_context(_loaded(obj, engine, {**options, **against})))
        else:
            from osmia.kernel.libraries.library import library

            sources.append(undo.enter_context(library(name)))
    return {"imports": sources} if sources else {}


def _loaded(obj: Object, engine: str, options: dict[str, Any]) -> LoadedObject:
    return obj.load(engine, **options)
