"""`osmia prog`: programs in the kernel."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.listings import Description, show, takes_pins, wall_clock
from osmia.cli.literals import parse_hex
from osmia.cli.options import Deed, Noun, Verb, pass_output
from osmia.cli.output import Output, enum_name, hex_bytes, printable, remarks_noted
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)
from osmia.cli.targets import only_target, open_program, program_infos, take_target
from osmia.errors import OsmiaError, VerifierError
from osmia.files import write_whole
from osmia.kernel.inventory.full_names import program_name
from osmia.kernel.programs.info import ProgramInfo, locked_memory
from osmia.kernel.sys import pins

_COLUMNS = {
    "id": "id",
    "type": "type",
    "name": "name",
    "tag": "tag",
    "xlated": "bytes_xlated",
    "jited": "bytes_jited",
    "maps": "map_ids",
    "loaded": "loaded_at",
    "held by": "pids",
}
#: What a narrow terminal does without.
_OPTIONAL = ("xlated", "jited", "loaded", "maps")
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
    infos = program_infos(only_target(words) if words else None)
    things = list(map(describe, infos))
    if output.json or words:
        things = [{**thing, **_memory(thing["id"])} for thing in things]
    show(output, "program", things, _COLUMNS, only=bool(words), pins=pins, optional=_OPTIONAL)


prog_command.add_command(list_programs, "show")


def describe(info: ProgramInfo) -> Description:
    """A program as bpftool's JSON has it."""
    described: Description = {
        "id": info.id,
        "type": enum_name(info.type),
        "name": program_name(info),
        "tag": info.tag,
        "gpl_compatible": info.gpl_compatible,
        "loaded_at": wall_clock(info.load_time),
        "uid": info.uid,
        "orphaned": False,  # who is tells nothing about itself
        "bytes_xlated": info.xlated_len,
        "jited": info.jited_len > 0,
        "bytes_jited": info.jited_len,
        "map_ids": list(info.map_ids),
    }
    optional = {
        "btf_id": info.btf_id,
        "attach_btf_obj_id": info.attach_btf_obj_id,
        "attach_btf_id": info.attach_btf_id,
        "run_time_ns": info.run_time_ns,
        "run_cnt": info.run_cnt,
        "recursion_misses": info.recursion_misses,
        "verified_insns": info.verified_insns,
        "ifindex": info.ifindex,
    }
    return described | {name: value for name, value in optional.items() if value}


def _memory(number: int) -> Description:
    """What the kernel keeps a program in; nothing where it does not say."""
    from osmia.kernel.programs.program import KernelProgram

    try:
        with KernelProgram.from_id(number) as program:
            memory = locked_memory(program.fileno())
    except OsmiaError:
        return {}
    return {"bytes_memlock": memory} if memory else {}


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
@click.option("--packet", metavar="HEX", help="The packet in hexadecimal.")
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
    given = data.read_bytes() if data is not None else parse_hex(packet or "")
    context = ctx.read_bytes() if ctx is not None else None
    with open_program(only_target(words)) as program:
        result = program.run(given, context, repeat=repeat)
    if data_out is not None:
        write_whole(data_out, result.data)
    if ctx_out is not None:
        write_whole(ctx_out, result.ctx_data)
    if output.json:
        told: Description = {"retval": result.retval, "duration": result.duration_ns}
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
        raise OsmiaError(
            f"the verifier rejected program {error.program!r}: {error.summary}"
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
