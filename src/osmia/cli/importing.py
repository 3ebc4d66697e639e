"""`--import` and `--bind`: what a verb that loads an object links it against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.cli.libraries import LibraryName
from osmia.cli.sources import open_source

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.object import Object
    from osmia.passes.options import Source

_KERNEL = "kernel"
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


def takes_imports(command: AnyCommand) -> AnyCommand:
    """`imports=` of `Object.load` on the command line, for `open_imports`."""
    option = click.option(
        "--import",
        "imports",
        multiple=True,
        type=LibraryName(),
        metavar="LIBRARY",
        help="Link against this published library, or against a FILE (with a dot or slash in"
        " it), which is loaded beside, or `kernel`: maps and variables that are loaded (more than"
        " once).",
    )
    return option(command)


def takes_bind(command: AnyCommand) -> AnyCommand:
    """`bind=` of `Object.load` on the command line."""
    return click.option(
        "--bind",
        type=click.Choice(["copy", "replace", "call"]),
        default="copy",
        show_default=True,
        help="How functions of imports are used: replace needs the kernel, call the vm.",
    )(command)


def open_imports(
    words: Iterable[str],
    held: ExitStack,
    root: Path | None = None,
    *,
    engine: str = "kernel",
    options: Mapping[str, Any] | None = None,
    compiler: Mapping[str, Any] | None = None,
) -> list[Source]:
    """What `--import` names, for `imports=` of `Object.load`; `held` closes it.

    Files are loaded into the engine with `options`, each against those before it.
    """
    opened: list[Source] = []
    for word in words:
        if word == _KERNEL:
            opened.append(word)
        elif "." in word or "/" in word:
            obj = open_source(Path(word), **(compiler or {}))
            against = {"imports": list(opened)} if opened else {}
            opened.append(held.enter_context(_loaded(obj, engine, {**(options or {}), **against})))
        else:
            from osmia.kernel.libraries.library import library

            opened.append(held.enter_context(library(word, root=root)))
    return opened


def _loaded(obj: Object, engine: str, options: dict[str, Any]) -> LoadedObject:
    return obj.load(engine, **options)
