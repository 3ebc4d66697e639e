"""What `osmia debug` debugs: a program of a file on packets, the runs of a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.captures.packets import PACKET_TYPES, read_packets
from osmia.cli.literals import parse_integer, parse_literal
from osmia.cli.output import note
from osmia.cli.packets import captured, missing, packet_of
from osmia.cli.sources import is_source, open_source, set_globals
from osmia.errors import MissingPackageError, OsmiaError
from osmia.named_tuples import NamedTuple
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.passes.target import Target
    from osmia.vm.programs import VmProgram

_ZEROS = bytes(64)


class ConsoleOptions(NamedTuple):
    """How the console is run."""

    styled: bool
    scripts: Sequence[str]
    commands: Sequence[str]
    batch: bool


class Data(NamedTuple):
    """What a run is given; the packets of the capture that it comes from."""

    packet: bytes
    packets: Sequence[bytes] = ()
    before: int = 0


@contextmanager
def loaded_file(
    file: Path,
    name: str,
    assignments: Sequence[str],
    compiler: Mapping[str, Any],
    target: Target | None,
    passes: Mapping[str, Any],
) -> Iterator[VmProgram]:
    """A program of a file, loaded: the one of the name, or the only one."""
    from osmia.debugger import loading

    obj, files = loading.read(file, **compiler) if is_source(file) else (open_source(file), None)
    set_globals(obj, assignments)
    with loading.load(obj, files, target=target, interruptible=True, **passes) as loaded:
        programs = loaded.programs
        if name and name not in programs:
            raise OsmiaError(unknown_name(str(file), name, programs))
        if not name and len(programs) != 1:
            names = ", ".join(programs)
            words = f"say which program: {names}" if names else "there is no program in it"
            raise click.UsageError(f"{file}: {words}")
        yield programs[name or next(iter(programs))]


def data_for(program: VmProgram, packet: str, pcap: str) -> Data:
    """What the program runs on: the packet that is given, or zeros, if it takes any."""
    if packet and pcap:
        raise click.UsageError("--packet or --pcap, not both")
    if pcap:
        return _captured(pcap)
    if packet:
        return Data(packet_of(packet))
    if program.type in PACKET_TYPES:
        note(f"the packet is {len(_ZEROS)} bytes of zeros: --packet and --pcap give another")
        return Data(_ZEROS)
    return Data(b"")


def _captured(text: str) -> Data:
    path, number = captured(text)
    packets, number = [data for _, data in read_packets(path)], number or 1
    if number > len(packets):
        raise missing(path, number, len(packets))
    return Data(packets[number - 1], packets, number - 1)


def context_of(words: Sequence[str]) -> Any:
    """The context that `--ctx` describes; None without any."""
    if not words:
        return None
    if words[0].startswith("@"):
        return Path(words[0][1:]).read_bytes()
    if all("=" in word for word in words):
        pairs = (word.partition("=") for word in words)
        return {name: parse_literal(text) for name, _, text in pairs}
    try:
        return [parse_integer(part) for word in words for part in word.split(",") if part]
    except ValueError:
        raise click.UsageError(
            f"--ctx {' '.join(words)}: NAME=VALUE, numbers with commas, or @FILE"
        ) from None


def debug_program(
    program: VmProgram, data: Data, ctx: Any, strict: bool, options: ConsoleOptions
) -> int:
    """The console on a run; the status to exit with."""
    from osmia.debugger.terminal.console import Console
    from osmia.debugger.terminal.opening import open_console

    for each in data.packets[: data.before]:
        program.run(each)
    try:
        begun = program.session(data.packet, ctx, strict=strict)
    except TypeError:
        if isinstance(ctx, list):
            why = "others take NAME=VALUE or @FILE"
            raise click.UsageError(f"--ctx: numbers are for programs that trace, {why}") from None
        if isinstance(ctx, dict):
            why = "this one's is numbers with commas, or @FILE"
            raise click.UsageError(f"--ctx: not every context has fields, {why}") from None
        raise
    with begun as session:
        console = Console(session, styled=options.styled, packets=data.packets)
        return open_console(
            console, scripts=options.scripts, commands=options.commands, batch=options.batch
        )


def debug_test(node: str, program: str, options: ConsoleOptions) -> int:
    """Run a test of pytest, with the console on each run of its programs in a vm; of those of a
    name alone, where one is given. The status: pytest's."""
    try:
        import pytest
    except ImportError:
        raise MissingPackageError("pytest", extra="test") from None
    from osmia.debugger.terminal.opening import TestDebugger

    plugin = TestDebugger(
        program,
        scripts=options.scripts,
        commands=options.commands,
        batch=options.batch,
        styled=options.styled,
    )
    return int(pytest.main([node, "-q", "--bpf-engine=vm", "-p", "no:cacheprovider"], [plugin]))
