"""`osmia completion`: completion scripts for shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from osmia.cli.options import Verb


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script for SHELL.

    bash: `eval "$(osmia completion bash)"` in ~/.bashrc; zsh: the same in ~/.zshrc; fish:
    `osmia completion fish > ~/.config/fish/completions/osmia.fish`.
    """
    from osmia.cli.application import application
    from osmia.cli.running import COMPLETION_VARIABLE

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(application, {}, "osmia", COMPLETION_VARIABLE).source())
