"""`osmia prog attach` and `detach`: programs of sockmaps, and flow dissectors, without links."""

from __future__ import annotations

from contextlib import ExitStack

import click

from osmia.cli.options import Deed
from osmia.cli.targets import only_target, open_map, open_program, take_target
from osmia.kernel.sys import syscall
from osmia.object import AttachType

_SOCKMAP_HOOKS = (
    AttachType.SK_MSG_VERDICT,
    AttachType.SK_SKB_VERDICT,
    AttachType.SK_SKB_STREAM_VERDICT,
    AttachType.SK_SKB_STREAM_PARSER,
)
HOOKS = {hook.name.lower(): hook for hook in (*_SOCKMAP_HOOKS, AttachType.FLOW_DISSECTOR)}
_METAVAR = "PROG HOOK [MAP]"


@click.command("attach", cls=Deed)
@click.argument("words", nargs=-1, metavar=_METAVAR)
def attach_program(words: tuple[str, ...]) -> None:
    """Attach PROG to a HOOK: of the sockmap MAP, or `flow_dissector` of this network namespace.

    Hooks of sockmaps are sk_msg_verdict, sk_skb_verdict, sk_skb_stream_verdict and
    sk_skb_stream_parser. The program stays until it is detached, or the map is gone. Other
    programs: `osmia xdp`, `tc`, `cgroup`, `struct_ops`, and `osmia run` while it runs.
    """
    _change(words, attach=True)


@click.command("detach", cls=Deed)
@click.argument("words", nargs=-1, metavar=_METAVAR)
def detach_program(words: tuple[str, ...]) -> None:
    """Take off what `attach` attached. What is attached by a link: `osmia link detach`."""
    _change(words, attach=False)


def _change(words: tuple[str, ...], *, attach: bool) -> None:
    target, rest = take_target(words)
    if not rest or rest[0] not in HOOKS:
        raise click.UsageError(f"give a hook behind the program: {', '.join(HOOKS)}")
    hook, where = HOOKS[rest[0]], rest[1:]
    if bool(where) != (hook in _SOCKMAP_HOOKS):
        raise click.UsageError(f"{rest[0]} takes {'no' if where else 'a'} map")
    with ExitStack() as opened:
        program = opened.enter_context(open_program(target))
        place = opened.enter_context(open_map(only_target(where))).fileno() if where else 0
        action, verb = (
            (syscall.prog_attach, "attach") if attach else (syscall.prog_detach, "detach")
        )
        what = f"{verb} program {program.name!r} {'to' if attach else 'from'} {' '.join(rest)}"
        action(program.fileno(), target=place, attach_type=hook, what=what)
