"""Options that several verbs share."""

from __future__ import annotations

import click

from osmia.cli.options import EngineName


def test_names_of_engines_are_completed_in_the_shell() -> None:
    context = click.Context(click.Command("run"))
    completed = EngineName().shell_complete(context, click.Option(["--engine"]), "v")
    assert [item.value for item in completed] == ["vm"]
