"""`osmia link`: attachments in the kernel."""

from __future__ import annotations

import click

from osmia.cli.options import Deed, Noun, Verb, pass_output, takes_pins
from osmia.cli.output import Output
from osmia.cli.targets import only_target, open_link, take_target
from osmia.kernel.sys import pins, syscall


@click.group("link", cls=Noun)
def link_command() -> None:
    """Attachments in the kernel. LINK is `id 12` or `pinned PATH`; or just `12`, or a path."""


@link_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[LINK]")
@takes_pins
@pass_output
def list_links(output: Output, words: tuple[str, ...], pins: bool) -> None:
    """List all links; with LINK, show all about that one."""
    from osmia.cli import link_list  # for this verb alone

    link_list.list_links(output, words, pins)


link_command.add_command(list_links, "show")


@link_command.command("detach", cls=Deed)
@click.argument("words", nargs=-1, metavar="LINK")
def detach(words: tuple[str, ...]) -> None:
    """Take a link's program off its hook, whoever holds the link (where the kernel can)."""
    with open_link(only_target(words)) as link:
        # Not Link.detach, which is content when only closing the link takes it off.
        syscall.link_detach(link.fileno(), what=f"detach {link.what}")


@link_command.command("pin", cls=Deed)
@click.argument("words", nargs=-1, metavar="LINK PATH")
def pin_link(words: tuple[str, ...]) -> None:
    """Pin LINK to a PATH in a bpffs: it stays when nobody else holds it."""
    target, rest = take_target(words)
    if len(rest) != 1:
        raise click.UsageError("give the link and one path")
    with open_link(target) as link:
        pins.pin(link.fileno(), rest[0], what=link.what)
