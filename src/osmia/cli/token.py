"""`osmia token`: what mounted bpffs delegate to processes without privileges."""

from __future__ import annotations

import click

from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note
from osmia.kernel.sys.token import delegations
from osmia.values.names import unknown_name

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


@token_command.command("create", cls=Verb)
@click.argument("process", type=click.IntRange(1, 0x7FFF_FFFF))
@click.argument("directory", default="/sys/fs/bpf")
@click.option("--cmds", help="Commands of bpf(2): any, or map_create,btf_load,prog_load, …")
@click.option("--maps", help="Types of maps: any, or array,hash, …")
@click.option("--progs", help="Types of programs: any, or xdp,sched_cls, …")
@click.option("--attachs", help="Types of attachment: any, or xdp,cgroup_inet_ingress, …")
@click.option("--all", "everything", is_flag=True, help="any of each that is not given.")
@pass_output
def create(
    output: Output,
    process: int,
    directory: str,
    cmds: str | None,
    maps: str | None,
    progs: str | None,
    attachs: str | None,
    everything: bool,
) -> None:
    """Delegate to the user namespace of PROCESS: mount a bpffs for it on DIRECTORY.

    PROCESS is the pid of one that is in the user namespace and has a mount namespace of its own;
    DIRECTORY is there, in that mount namespace. Whoever has CAP_BPF in the user namespace can load
    what is delegated from then on. It needs CAP_SYS_ADMIN here, and Linux 6.9.
    """
    from osmia.kernel.sys.delegating import delegate

    given = {"cmds": cmds, "maps": maps, "progs": progs, "attachs": attachs}
    default = "any" if everything else ""
    options = {name: _names(name, text or default) for name, text in given.items()}
    options = {name: value for name, value in options.items() if value}
    if not options:
        raise click.UsageError("say what is delegated: --cmds, --maps, --progs, --attachs or --all")
    delegate(process, directory, options)
    if output.verbose:
        note(f"{directory} of process {process} delegates {' '.join(options)}")


def _names(option: str, text: str) -> str:
    """Names, or numbers of bits, as the kernel takes them: between colons."""
    from osmia.kernel.sys.commands import COMMANDS
    from osmia.object.uapi import AttachType, MapType, ProgramType

    names = {
        "cmds": [each.name for each in COMMANDS],
        "maps": [each.name for each in MapType],
        "progs": [each.name for each in ProgramType],
        "attachs": [each.name for each in AttachType],
    }
    known = ["any", *map(str.lower, names[option])]
    words = text.replace(":", ",").lower().split(",") if text else []
    for word in words:
        if word not in known and not word[:1].isdigit():
            raise click.UsageError(unknown_name(f"--{option}", word, known))
    return ":".join(words)
