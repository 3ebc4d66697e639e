"""`osmia token`: what mounted bpffs delegate to processes without privileges."""

from __future__ import annotations

import click

from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output
from osmia.kernel.sys.token import delegations

_OPTIONS = ("cmds", "maps", "progs", "attachs")


@click.group("token", cls=Noun)
def token_command() -> None:
    """BPF tokens: the right to load, delegated to a user namespace (since Linux 6.9).

    Every command that loads takes the token of the bpffs that $LIBBPF_BPF_TOKEN_PATH names,
    or where it is needed that of /sys/fs/bpf.
    """


@token_command.command("list", cls=Verb, json=True)
@pass_output
def list_tokens(output: Output) -> None:
    """List the mounted bpffs that delegate something, with what they delegate."""
    found = list(delegations())
    if output.json:
        output.document([{"mounted": str(each.path), **each.allowed} for each in found])
        return
    rows = [[str(each.path), *(each.allowed.get(name) for name in _OPTIONS)] for each in found]
    output.table(["mounted", *_OPTIONS], rows)


token_command.add_command(list_tokens, "show")
