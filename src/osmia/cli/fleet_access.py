"""How `osmia fleet` comes to a scheduler: its address, and the certificates that it shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.cli.output import remarks_noted

if TYPE_CHECKING:
    from osmia.fleet import Fleet

_KEY = "osmia.fleet.access"
_NOTHING: Mapping[str, Any] = {}
Function = TypeVar("Function", bound=Callable[..., Any])


def takes_scheduler(function: Function) -> Function:
    """The argument SCHEDULER, and `takes_certificates`."""
    return takes_certificates(click.argument("scheduler")(function))


def takes_certificates(function: Function) -> Function:
    """The options that `opened` takes from the context."""
    file = click.Path(path_type=Path, dir_okay=False)
    for decorate in (
        _option("--insecure", is_flag=True, help="Plain TCP to another machine."),
        _option("--key", type=file, metavar="PEM", help="The key of --cert."),
        _option("--cert", type=file, metavar="PEM", help="Our certificate: who we are."),
        _option(
            "--ca", type=file, metavar="PEM", help="The authority of the fleet's certificates."
        ),
    ):
        function = decorate(function)
    return function


def opened(scheduler: str, name: str, kept: Mapping[str, Any] = _NOTHING) -> Fleet:
    """The fleet, with what the command line says of certificates, else `kept`. OsmiaError where
    that, or the scheduler, does not do."""
    from osmia.errors import OsmiaError
    from osmia.fleet import Fleet

    given = {**kept, **click.get_current_context().meta.get(_KEY, {})}
    _silence()
    try:
        with remarks_noted():
            return Fleet(scheduler, name=name, **given)
    except ValueError as error:  # no address
        raise OsmiaError(str(error)) from None


def _option(name: str, **settings: Any) -> Callable[[Function], Function]:
    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value and param.name is not None:
            ctx.meta.setdefault(_KEY, {})[param.name] = value

    return click.option(name, expose_value=False, callback=remember, **settings)


def _silence() -> None:
    """What Dask logs of lost connections, the command says as errors."""
    import distributed  # sets levels of its own

    for module in (distributed, distributed.client):
        logging.getLogger(module.__name__).setLevel(logging.CRITICAL)
