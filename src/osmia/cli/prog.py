"""`osmia prog`: programs in the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from osmia.cli.options import Deed, Noun, Verb, pass_output, takes_pins
from osmia.cli.output import Output, hex_bytes, printable, remarks_noted
from osmia.cli.packets import packet_of
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)
from osmia.cli.targets import only_target, open_program, take_target
from osmia.errors import VerifierError
from osmia.files import write_whole
from osmia.kernel.sys import pins

_file = click.Path(path_type=Path)


_ELSEWHERE = {
    "dump": "osmia.cli.prog_dump:dump",
    "load": "osmia.cli.prog_load:load_programs",
    "attach": "osmia.cli.sockmaps:attach_program",
    "detach": "osmia.cli.sockmaps:detach_program",
    "profile": "osmia.cli.prog_profile:profile_program",
}


@click.group("prog", cls=Noun, elsewhere=_ELSEWHERE)
def prog_command() -> None:
    """Programs in the kernel.

    PROG is `id 12`, `name flows`, `tag 0a1b…` or `pinned PATH`; or just `12`, `flows`, a path.
    """


@prog_command.command("list", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[PROG]")
@takes_pins
@pass_output
def list_programs(output: Output, words: tuple[str, ...], pins: bool) -> None:
    """List all programs; with PROG, show all about those that it names."""
    from osmia.cli import prog_list  # for this verb alone

    prog_list.list_programs(output, words, pins)


prog_command.add_command(list_programs, "show")


@prog_command.command("pin", cls=Deed)
@click.argument("words", nargs=-1, metavar="PROG PATH")
def pin_program(words: tuple[str, ...]) -> None:
    """Pin PROG to a PATH in a bpffs; missing directories are made."""
    target, rest = take_target(words)
    if len(rest) != 1:
        raise click.UsageError("give the program and one path")
    with open_program(target) as program:
        pins.pin(program.fileno(), rest[0], what=f"program {program.name!r}")


@prog_command.command("run", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="PROG")
@click.option("--data", type=_file, help="A file with the packet, from its Ethernet header on.")
@click.option("--packet", metavar="HEX|FILE", help="The packet, or a file's bytes.")
@click.option("--ctx", type=_file, help="A file with the context's bytes.")
@click.option("--repeat", default=1, show_default=True, help="How often to run.")
@click.option("--data-out", type=_file, help="Where to write the packet as the program left it.")
@click.option("--ctx-out", type=_file, help="Where to write the context as the program left it.")
@pass_output
def run_program(
    output: Output,
    words: tuple[str, ...],
    data: Path | None,
    packet: str | None,
    ctx: Path | None,
    repeat: int,
    data_out: Path | None,
    ctx_out: Path | None,
) -> None:
    """Run PROG on a packet or a context, without attaching it."""
    given = data.read_bytes() if data is not None else packet_of(packet) if packet else b""
    context = ctx.read_bytes() if ctx is not None else None
    with open_program(only_target(words)) as program:
        result = program.run(given, context, repeat=repeat)
    if data_out is not None:
        write_whole(data_out, result.data)
    if ctx_out is not None:
        write_whole(ctx_out, result.ctx_data)
    if output.json:
        told: dict[str, Any] = {"retval": result.retval, "duration": result.duration_ns}
        if result.data and data_out is None:
            told["data_out"] = list(result.data)
        if result.ctx_data and ctx_out is None:
            told["ctx_out"] = list(result.ctx_data)
        output.document(told)
        return
    if result.data and data_out is None and result.data != given:
        output.line(f"data: {hex_bytes(result.data)}")
    output.line(f"return value: {result.retval}, duration (average): {result.duration_ns} ns")


@prog_command.command("log", cls=Verb)
@click.argument("file", type=_file)
@click.option("-p", "--prog", "names", multiple=True, help="Load this program only.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option(
    "--level",
    type=click.IntRange(1, 7),
    default=2,
    show_default=True,
    help="1: the last path; 2: all paths; 4: statistics; or a sum of them.",
)
@takes_target
@pass_output
def show_log(
    output: Output,
    file: Path,
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    level: int,
    target: Path | None,
    target_btf: Path | None,
) -> None:
    """Load FILE (an object or C source), print the verifier's log, unload it again."""
    obj = select_programs(open_source(file), names)
    set_globals(obj, assignments)
    try:
        with obj.load(log_level=level, target=target_of(target, target_btf)) as loaded:
            logs = {name: program.log for name, program in loaded.programs.items()}
    except VerifierError as error:
        _print_log(output, error.program, error.log)
        raise VerifierError(
            error.errno or 0, error.program, error.summary, "", kind=error.kind, hint=error.hint
        ) from error
    for name, log in logs.items():
        _print_log(output, name, log)


def _print_log(output: Output, name: str, log: str) -> None:
    output.line(printable(f"{name}:"), "bold")
    for line in log.splitlines():
        output.line(printable(line.expandtabs()))


@prog_command.command("tracelog", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="[stdout|stderr PROG]")
@pass_output
def trace_log(output: Output, words: tuple[str, ...]) -> None:
    """Print what programs say with bpf_printk, until Ctrl-C.

    `stdout PROG`: what PROG wrote to its output since somebody read it last; `stderr PROG`:
    what it, or the kernel about it, wrote to its errors (since Linux 6.17).
    """
    from osmia.events import TracePipe

    if words:
        if words[0] not in ("stdout", "stderr"):
            raise click.UsageError(f"`stdout` or `stderr`, not {words[0]!r}")
        with open_program(only_target(words[1:])) as program:
            text = program.read_output() if words[0] == "stdout" else program.read_errors()
        if output.json:
            output.document({words[0]: text})
            return
        for each in text.splitlines():
            output.line(printable(each.expandtabs()))
        return
    with remarks_noted():
        pipe = TracePipe()
    with pipe:
        for line in pipe:
            if output.json:
                output.record(line._asdict())
            else:
                output.line(
                    printable(f"{line.timestamp:.6f} {line.task}-{line.pid}: {line.message}")
                )
                output.flush()
