"""The options of rewriting passes on the command line: each named as that of `Object.load`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

_CHOSEN = "osmia.cli.passes"


def takes_passes(command: AnyCommand) -> AnyCommand:
    """Options of passes for `chosen_passes`."""
    options = [
        _option(
            "--calls",
            type=click.Choice(["keep", "inline", "auto"]),
            help="BPF-to-BPF calls: keep them, inline all that can be, or those that this kernel"
            " takes in no other way.",
        ),
        _option(
            "--tail-calls",
            type=click.Choice(["subprogram", "program"]),
            help="What a tail call in a subprogram replaces.",
        ),
        _option(
            "--direct-tail-calls",
            is_flag=True,
            help="Compare variable keys with likely ones, and jump straight to those programs.",
        ),
        _option("--prune", is_flag=True, help="Leave out what cannot run with these globals."),
        _option(
            "--keep", multiple=True, metavar="PROGRAM", help="With --prune: it is entered, too."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_passes() -> dict[str, Any]:
    """What the command line says of passes, as options of `Object.load`."""
    chosen: dict[str, Any] = click.get_current_context().meta.get(_CHOSEN, {})
    return chosen


def _option(name: str, **settings: Any) -> Callable[[AnyCommand], AnyCommand]:
    def note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta.setdefault(_CHOSEN, {})[param.name] = value

    return click.option(name, expose_value=False, callback=note, **settings)
