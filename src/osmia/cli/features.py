"""`osmia features`: what this kernel can do, and since which version kernels can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, enum_name
from osmia.errors import NotSupportedError
from osmia.kernel.probes import features
from osmia.kernel.probes.features import Feature
from osmia.kernel.sys.token import with_token
from osmia.object import AttachType, MapType, ProgramType
from osmia.object.uapi import LinkType

_PARTS: dict[str, Callable[[], Iterator[Feature]]] = {
    "program_types": features.program_types,
    "map_types": features.map_types,
    "attach_types": features.attach_types,
    "link_types": features.link_types,
    "misc": features.abilities,
}
#: What --builtins lists, under bpftool's names.
_BUILTINS = {
    "prog_types": ProgramType,
    "map_types": MapType,
    "attach_types": AttachType,
    "link_types": LinkType,
    "helpers": None,
}


@click.command("features", cls=Verb, json=True)
@click.option(
    "-p",
    "--part",
    "parts",
    multiple=True,
    type=click.Choice([*_PARTS, "helpers"]),
    help="This part only.  [default: all but helpers; with -j or --helpers, all]",
)
@click.option("--helpers", is_flag=True, help="Also which program type may call which helper.")
@click.option("--missing", is_flag=True, help="Only what this kernel lacks.")
@click.option(
    "--builtins",
    type=click.Choice([*_BUILTINS]),
    help="Ask nothing: list the names that osmia knows.",
)
@pass_output
def features_command(
    output: Output, parts: tuple[str, ...], helpers: bool, missing: bool, builtins: str | None
) -> None:
    """Ask the kernel what it can do; each feature with the version that brought it.

    Everything is tried, in the smallest way there is; nothing is attached to anything but, for
    a moment, to the kernel's bpf_fentry_test1, which does nothing.
    """
    if builtins is not None:
        _list_builtins(output, builtins)
        return
    wanted = list(parts) or list(_PARTS)
    if helpers or (output.json and not parts):
        wanted.append("helpers")
    found, callable_helpers = with_token(lambda token: _asked(wanted, missing))
    if output.json:
        document: dict[str, object] = {"kernel": os.uname().release}
        document |= {part: list(map(_described, each)) for part, each in found.items()}
        if callable_helpers:
            document["helpers"] = {
                kind: list(map(_described, each)) for kind, each in callable_helpers.items()
            }
        output.document(document)
        return
    output.line(f"Linux {os.uname().release}")
    tables = {part.replace("_", " "): each for part, each in found.items()}
    tables |= {f"helpers of {kind} programs": each for kind, each in callable_helpers.items()}
    for title, each in tables.items():
        if each:
            output.heading(title)
            _table(output, each)


def _list_builtins(output: Output, group: str) -> None:
    kinds = _BUILTINS[group]
    if kinds is None:
        from osmia.isa import HELPERS

        names = [each.name for each in HELPERS.values()]
    else:
        names = [enum_name(kind) for kind in kinds]
    if output.json:
        output.document(names)
        return
    for name in names:
        output.line(name)


def _asked(
    wanted: list[str], missing: bool
) -> tuple[dict[str, list[Feature]], dict[str, list[Feature]]]:
    found = {part: _chosen(_PARTS[part](), missing) for part in wanted if part in _PARTS}
    return found, _helpers(missing) if "helpers" in wanted else {}


def _helpers(missing: bool) -> dict[str, list[Feature]]:
    """By program type: the helpers that its programs may call, or those they may not."""
    found = {}
    for loads in features.program_types():
        if loads.supported:
            kind = ProgramType[loads.name]
            with suppress(NotSupportedError):  # struct_ops: each has helpers of its own
                known = features.helpers(kind)
                found[enum_name(kind)] = [each for each in known if each.supported != missing]
    return found


def _chosen(found: Iterable[Feature], missing: bool) -> list[Feature]:
    return [feature for feature in found if not (missing and feature.supported)]


def _described(feature: Feature) -> dict[str, object]:
    return {
        "name": feature.name.lower(),
        "since": feature.since,
        "supported": feature.supported,
    }


def _table(output: Output, found: Iterable[Feature]) -> None:
    rows = [
        (each.name.lower(), each.since, "unknown" if each.supported is None else each.supported)
        for each in found
    ]
    output.table(("name", "since", "here"), rows)
