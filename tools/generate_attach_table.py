#!/usr/bin/env python3
"""Write the table of docs/python.md that says what programs are attached to, and how.

It shows `osmia.kernel.links.kinds.KINDS`; the test suite sees that the document has what this
gives.
"""

from __future__ import annotations

import typing
from pathlib import Path

from osmia.engine import attaching
from osmia.kernel.links.kinds import KINDS, Kind

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/python.md"
BEGIN = "| program | target | options |\n"
LAST = "| struct_ops | | `bpf.attach_struct_ops(name)` gives the link |\n"


def table() -> str:
    """The whole table."""
    rows = [f"| {kind.name} | {kind.target} | {_options(kind)} |\n" for kind in KINDS]
    return "".join([BEGIN, "|---|---|---|\n", *rows, LAST]).replace("|  |", "| |")


def _options(kind: Kind) -> str:
    """The options that all of a kind's functions take, then those of single functions."""
    groups: dict[str, list[str]] = {"": []}
    for name in kind.options():
        by = [function for function in kind.functions if name in _parameters(function)]
        shared = len(by) == len(kind.functions)
        title = "" if shared else f"{by[0].__name__.removeprefix('attach_')}: "
        choices = _choices(name)
        said = f" ({', '.join(choices)})" if choices else ""
        groups.setdefault(title, []).append(f"`{name}`{said}")
    return "; ".join(title + ", ".join(names) for title, names in groups.items())


def _parameters(function: typing.Any) -> tuple[str, ...]:
    code = getattr(function, "__wrapped__", function).__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _choices(name: str) -> list[str]:
    """The values that an option can have, where they are listed."""
    text = attaching.AttachOptions.__annotations__[name].__forward_arg__
    if not text.startswith("Literal["):
        return []
    values = typing.get_args(eval(text, vars(attaching)))
    return [f'"{value}"' for value in values if value]


def document(text: str) -> str:
    """The document with the table as it is to be."""
    before, rest = text.split(BEGIN, 1)
    return before + table() + rest.split(LAST, 1)[1]


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text()))
