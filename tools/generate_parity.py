#!/usr/bin/env python3
"""Write docs/parity.md: what libbpf and bpftool can do, and what does it in osmia.

The list is tools/parity.toml. `resolve` finds what an entry names in the code; the test suite
does so for all of them, so that the document cannot promise what does not exist.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tools/parity.toml"
DOCUMENT = ROOT / "docs/parity.md"

HEAD = """\
# What libbpf and bpftool can do, and what does it in osmia

Made by `tools/generate_parity.py` from `tools/parity.toml`; the test suite holds the list to
the code: whatever is named here exists. "Missing" is what somebody who comes from libbpf
will not find yet, "not needed" what Python or osmia's design makes superfluous.
"""


class Answer(Enum):
    """What osmia says to an entry."""

    EQUIVALENT = "in osmia"
    NOT_NEEDED = "not needed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Entry:
    """A symbol or command of theirs, and ours. `name` is a path of names or a command line."""

    theirs: str
    group: str
    answer: Answer
    name: str
    note: str

    @property
    def is_command(self) -> bool:
        """Whether `name` is a command line."""
        return self.name.startswith("osmia ") or self.name == "osmia"


_VALUE = re.compile(r"(\$ osmia[\w ]*?|osmia(?:\.\w+)+)(?: \((.+)\))?")


def parse(theirs: str, group: str, value: str) -> Entry:
    """An entry of the list; ValueError for one that says nothing known."""
    kind, _, note = value.partition(": ")
    if kind in ("missing", "not needed"):
        return Entry(theirs, group, Answer(kind), "", note)
    found = _VALUE.fullmatch(value)
    if found is None:
        raise ValueError(f"{theirs}: {value!r} names nothing of osmia's")
    return Entry(theirs, group, Answer.EQUIVALENT, found[1].removeprefix("$ "), found[2] or "")


def entries(library: str) -> Iterator[Entry]:
    """All entries of "libbpf" (by version) or "bpftool" (by command)."""
    with LIST.open("rb") as file:
        groups = tomllib.load(file)[library]
    for group, values in groups.items():
        for theirs, value in values.items():
            yield parse(theirs, group, value)


def resolve(entry: Entry) -> object:
    """What the entry names. LookupError when there is nothing of that name."""
    return _command(entry.name) if entry.is_command else _attribute(entry.name)


def _command(line: str) -> object:
    import click

    from osmia.cli.application import application

    command: click.Command = application
    context = click.Context(command)
    for word in line.split()[1:]:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            raise LookupError(f"there is no command {line!r}")
        command = found
    return command


def _attribute(path: str) -> object:
    first, *names = path.split(".")
    thing: object = importlib.import_module(first)
    for position, name in enumerate(names):
        if isinstance(thing, ModuleType) and not hasattr(thing, name):
            try:
                thing = importlib.import_module(f"{thing.__name__}.{name}")
            except ModuleNotFoundError as error:
                raise LookupError(f"there is no {path}") from error
        elif hasattr(thing, name):
            thing = getattr(thing, name)
        elif position == len(names) - 1 and _sets(thing, name):
            return name
        else:
            raise LookupError(f"there is no {path}")
    return thing


def _sets(thing: object, name: str) -> bool:
    """Whether the instances of a class have an attribute that the class itself has not."""
    if not inspect.isclass(thing):
        return False
    return any(
        name in vars(each).get("__annotations__", {})
        or name in _names_in(vars(each).get("__init__"))
        for each in thing.__mro__
    )


def _names_in(function: Any) -> Collection[str]:
    """The names that a function's code has, without what it is wrapped in."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    return getattr(code, "co_names", ())


def render() -> str:
    """The document."""
    symbols, commands = list(entries("libbpf")), list(entries("bpftool"))
    parts = [HEAD]
    parts.append(_counts(symbols, commands))
    parts.append("## bpftool's commands\n")
    parts.append(_table(commands, "bpftool", with_group=True))
    parts.append("## libbpf's symbols\n")
    for version in dict.fromkeys(entry.group for entry in symbols):
        parts.append(f"### Since libbpf {version}\n")
        parts.append(_table([entry for entry in symbols if entry.group == version], "libbpf"))
    return "\n".join(parts)


def _counts(symbols: list[Entry], commands: list[Entry]) -> str:
    rows = [
        "| | " + " | ".join(answer.value for answer in Answer) + " | all |",
        "|---|--:|--:|--:|--:|",
    ]
    for title, listed in (("libbpf's symbols", symbols), ("bpftool's commands", commands)):
        counts = [sum(entry.answer is answer for entry in listed) for answer in Answer]
        rows.append(f"| {title} | " + " | ".join(map(str, (*counts, len(listed)))) + " |")
    return "\n".join(rows) + "\n"


def _table(listed: list[Entry], library: str, *, with_group: bool = False) -> str:
    rows = [f"| {library} | osmia |", "|---|---|"]
    for entry in listed:
        theirs = f"{entry.group} {entry.theirs}" if with_group else entry.theirs
        rows.append(f"| `{theirs}` | {_answer(entry)} |")
    return "\n".join(rows) + "\n"


def _answer(entry: Entry) -> str:
    if entry.answer is Answer.EQUIVALENT:
        return f"`{entry.name}`" + (f": {entry.note}" if entry.note else "")
    return f"**{entry.answer.value}**" + (f": {entry.note}" if entry.note else "")


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
