"""`osmia debug`: step through a program on a packet, in this process, as in gdb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from osmia.cli.compile import given, takes_compiler_options
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.passes import chosen_passes, takes_passes
from osmia.cli.sources import takes_target, target_of

_file = click.Path(path_type=Path)


@click.command("debug", cls=Verb)
@click.argument("file", type=_file, required=False)
@click.argument("program", required=False, default="")
@click.option("-s", "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A global.")
@click.option("--packet", default="", metavar="HEX|FILE", help="The packet, or a file's bytes.")
@click.option(
    "--pcap",
    default="",
    metavar="FILE[:N]",
    help="The first packet of a capture; with N that one, after a run on each before it.",
)
@click.option(
    "--ctx",
    "context",
    multiple=True,
    metavar="NAME=VALUE|NUMBER,…|@FILE",
    help="The context: its fields, a tracepoint's arguments, a file's bytes.",
)
@click.option("--test", "node", default="", metavar="NODEID", help="The runs of a pytest test.")
@click.option("-x", "scripts", multiple=True, type=_file, help="Run the commands of this file.")
@click.option("--command", "commands", multiple=True, metavar="TEXT", help="Run this command.")
@click.option("--batch", is_flag=True, help="Leave after -x and --command.")
@click.option(
    "--dap",
    is_flag=False,
    flag_value="stdio",
    default="",
    metavar="[PORT]",
    help="Serve an editor: on stdin and stdout, or with --dap=PORT on 127.0.0.1.",
)
@click.option("--no-strict", is_flag=True, help="Masked addresses, as compiled code has them.")
@takes_passes
@takes_target
@takes_compiler_options
@pass_output
def debug_command(
    output: Output,
    /,
    file: Path | None,
    program: str,
    assignments: tuple[str, ...],
    packet: str,
    pcap: str,
    context: tuple[str, ...],
    node: str,
    scripts: tuple[Path, ...],
    commands: tuple[str, ...],
    batch: bool,
    dap: str,
    no_strict: bool,
    target: Path | None,
    target_btf: Path | None,
    **compiler: Any,
) -> None:
    """Step through PROGRAM of FILE (C source or an object), on a packet or a context.

    The run stands still before the first instruction. Commands are gdb's: break, step, next,
    finish, continue, print, x, info, …, and back, rnext, rcontinue to go back; `help` lists
    them. Without a terminal, commands are read from standard input; one that fails ends it, with
    status 1. With --test a test of pytest runs, and stops at each run of a program.

    With --dap an editor is served, by the Debug Adapter Protocol; it says what to debug, or
    takes what stands here.
    """
    if dap:
        if node or scripts or commands or batch:
            raise click.UsageError("--dap: the editor says what is done, and debugs no tests")
        from osmia.cli import debug_adapter

        wanted = debug_adapter.defaults(
            file, program, assignments, packet, pcap, context, given(compiler)
        )
        options = {**chosen_passes(), "target": target_of(target, target_btf, "vm")}
        debug_adapter.serve(dap, {**wanted, "strict": not no_strict, "options": options})
        return
    from osmia.cli import debugging

    texts = [str(path) for path in scripts]
    console = debugging.ConsoleOptions(output.styled, texts, list(commands), batch)
    if node:
        if packet or pcap or context:
            raise click.UsageError("--test: the test says what its programs run on")
        status = debugging.debug_test(node, program or (str(file) if file else ""), console)
    elif file is None:
        raise click.UsageError("FILE is missing: C source or an object; or give --test")
    else:
        machine = target_of(target, target_btf, "vm")
        with debugging.loaded_file(
            file, program, assignments, given(compiler), machine, chosen_passes()
        ) as found:
            data = debugging.data_for(found, packet, pcap)
            ctx = debugging.context_of(context)
            status = debugging.debug_program(found, data, ctx, not no_strict, console)
    if status:
        click.get_current_context().exit(status)
