"""`osmia run`: load a program and attach it, or run it on packets; show what it says."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from osmia.captures.packets import read_packets, run_packets, verdict_name
from osmia.cli.attaching import Direction, Mode, Places, attach_all, iterators
from osmia.cli.compile import given, takes_compiler_options
from osmia.cli.final_state import print_final_state
from osmia.cli.formats import Formats, takes_formats
from osmia.cli.importing import open_imports, takes_bind, takes_imports
from osmia.cli.literals import parse_hex
from osmia.cli.options import EngineName, Verb, pass_output
from osmia.cli.output import Output, hex_bytes, note, printable
from osmia.cli.passes import chosen_passes, takes_passes
from osmia.cli.sampling import Sampling, takes_sampling
from osmia.cli.sources import (
    open_source,
    select_programs,
    set_globals,
    takes_target,
    target_of,
)
from osmia.cli.summaries import Summaries, Wanted, takes_summaries
from osmia.cli.termination import Ended, ends_cleanly
from osmia.cli.watching import Watcher
from osmia.engine import registry
from osmia.errors import KernelError, OsmiaError
from osmia.object import Object, ProgramType

#: How many packets to run before looking for events: no ring buffer should overflow.
_PACKETS_A_TURN = 64
_PACKET_TYPES = (
    ProgramType.XDP,
    ProgramType.SCHED_CLS,
    ProgramType.SCHED_ACT,
    ProgramType.SOCKET_FILTER,
    ProgramType.CGROUP_SKB,
    ProgramType.LWT_IN,
    ProgramType.LWT_OUT,
    ProgramType.LWT_XMIT,
    ProgramType.SK_SKB,
    ProgramType.NETFILTER,
)
_file = click.Path(path_type=Path)
_seconds = click.FloatRange(0)


@click.command("run", cls=Verb, json=True)
@click.argument("file", type=_file)
@click.option("-p", "--prog", "names", multiple=True, help="This program only (more than once).")
@click.option("-s", "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A global.")
@click.option("-i", "--iface", default="", help="The interface for XDP and tc programs.")
@click.option("--mode", type=click.Choice(["native", "generic"]), default=None, help="Of XDP.")
@click.option("--direction", type=click.Choice(["ingress", "egress"]), help="Of tc programs.")
@click.option("--cgroup", default="", help="The cgroup (v2 directory) for cgroup programs.")
@click.option("--pid", type=int, default=0, help="The process of uprobes, task iterators, …")
@click.option("--pcap", type=_file, help="Run on the packets of this pcap or pcapng file.")
@click.option("--packet", "packets", multiple=True, metavar="HEX", help="Run on this packet.")
@click.option("--event", "types", multiple=True, metavar="[MAP=]TYPE", help="The events' type.")
@click.option("--duration", type=_seconds, metavar="SECONDS", help="End after this time.")
@click.option("--count", type=click.IntRange(0), default=0, help="End after so many events.")
@click.option(
    "--engine",
    type=EngineName(),
    default="kernel",
    show_default=True,
    help="Where to load: kernel, vm (this process), or an engine that a package brings.",
)
@click.option("--pin-root", type=_file, default=Path("/sys/fs/bpf"), help="Where maps are pinned.")
@takes_formats
@click.option(
    "--prometheus",
    default="",
    metavar="[HOST]:PORT",
    help="Answer scrapes there: maps and globals as metrics. Without a host: this machine's only.",
)
@takes_sampling
@takes_summaries
@takes_passes
@takes_imports
@takes_bind
@takes_target
@takes_compiler_options
@pass_output
def run_command(
    output: Output,
    /,
    file: Path,
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    iface: str,
    mode: Mode | None,
    direction: Direction | None,
    cgroup: str,
    pid: int,
    pcap: Path | None,
    packets: tuple[str, ...],
    types: tuple[str, ...],
    duration: float | None,
    count: int,
    engine: str,
    pin_root: Path,
    formats: Formats,
    imports: tuple[str, ...],
    bind: str,
    target: Path | None,
    target_btf: Path | None,
    prometheus: str,
    wanted: Wanted,
    sampling: Sampling | None,
    **compiler: Any,
) -> None:
    """Load FILE (C source or an object), attach what its sections say, print what it says.

    Events of ring and perf buffers are printed with their types, and what the programs print
    with bpf_printk, until Ctrl-C; then the maps and global variables. With --pcap or
    --packet the program is not attached but run on packets, and the verdicts are counted.
    With --top or --histogram events are summed up instead of printed. Nothing stays behind: all
    is detached, and pins that were made are removed.
    """
    on_packets = pcap is not None or bool(packets)
    of_engine = registry.find(engine)
    if "attach" in of_engine.lacks and not on_packets:
        raise click.UsageError("programs are attached in the kernel; give --pcap or --packet")
    if sampling is not None and on_packets:
        raise click.UsageError("--perf-event is for programs that are attached, not for packets")
    if prometheus and on_packets:
        raise click.UsageError("--prometheus is for programs that are attached, not for packets")
    given_packets = _packets(pcap, packets)
    places = Places(iface, mode or "", direction or "", cgroup, pid, sampling)
    with ExitStack() as undo:
        interruptible = undo.enter_context(ends_cleanly())
        obj = select_programs(open_source(file, **given(compiler)), names)
        set_globals(obj, assignments)
        undo.enter_context(_own_pins_removed(obj, pin_root))
        options: dict[str, Any] = {"target": target_of(target, target_btf, engine)}
        if "pin_root" in of_engine.options["load"]:
            options["pin_root"] = pin_root
        if "interruptible" in of_engine.options["load"]:
            options["interruptible"] = True
        if imports or bind != "copy":
            if engine == "vm":
                options["vm"] = undo.enter_context(_interruptible_vm(options))
            others = open_imports(
                imports, undo, engine=engine, options=options, compiler=given(compiler)
            )
            options |= {"imports": others, "bind": bind}
        loaded = undo.enter_context(obj.load(engine, **options, **chosen_passes()))
        watching = undo.enter_context(ExitStack())
        watcher = Watcher(
            output,
            loaded,
            watching,
            types=_event_types(types),
            formats=formats,
            count=count,
        )
        summaries = _summed_up(output, wanted, loaded, watcher)
        if prometheus:
            _serve(loaded, prometheus, watching)
        ended_by: BaseException | None = None
        try:
            if on_packets:
                ended_by = _run_on_packets(output, loaded, watcher, given_packets)
            else:
                _run_attached(output, loaded, watcher, places, duration)
        except Ended as ended:
            ended_by = ended
        interruptible()
        if summaries is None or not summaries.asked_for or output.verbose:
            print_final_state(output, loaded, formats)
        if summaries is not None:
            summaries.report_whole()
        if ended_by is not None:
            output.flush()  # before what is said on stderr
            raise ended_by


def _summed_up(output: Output, wanted: Wanted, loaded: Any, watcher: Watcher) -> Summaries | None:
    """What `watcher` sums up; None where nothing is."""
    if not wanted.anything:
        return None
    summaries = watcher.summaries = Summaries(output, wanted, loaded, watcher.codecs)
    if summaries.asked_for:
        watcher.take = summaries.take
    return summaries


def _serve(loaded: Any, address: str, undo: ExitStack) -> None:
    """Answer scrapes until `undo`."""
    from osmia.metrics import serve

    try:
        server = undo.enter_context(serve(loaded, address))
    except ValueError as error:
        raise click.UsageError(f"--prometheus {error}") from None
    note(f"metrics at {server.url}")


def _interruptible_vm(options: dict[str, Any]) -> AbstractContextManager[Any]:
    """A vm for an object and for all that it imports, with what `options` have for one."""
    from osmia.vm.engine import Vm

    return Vm(interruptible=options.pop("interruptible"))


def _run_attached(
    output: Output, loaded: Any, watcher: Watcher, places: Places, duration: float | None
) -> None:
    """Attach; print until the end. However that comes, all is detached when this returns."""
    with ExitStack() as attached:
        links = attach_all(loaded, places, attached)
        readable = iterators(links)
        for iterator in readable:
            for line in iterator:
                if output.json:
                    output.record({"line": line})
                else:
                    output.line(printable(line.expandtabs()))
        if len(readable) == len(links):
            return
        for link in links:
            note(f"attached {link.what}")
        if duration is None:
            note("Ctrl-C ends")
        watcher.watch(duration)
    watcher.drain()


def _run_on_packets(
    output: Output, loaded: Any, watcher: Watcher, packets: Iterable[tuple[float, bytes]]
) -> BaseException | None:
    """Run; report what was run, also where an error or a signal ends it early, and give that.

    Raised is an error before the first packet, when there is nothing to report.
    """
    program = _packet_program(loaded)
    verdicts: Counter[int] = Counter()
    refusals: list[str] = []
    duration_ns = 0
    ended_by: BaseException | None = None
    started = time.perf_counter()
    try:
        for data, result in _run_each(program, packets, refusals):
            verdicts[result.retval] += 1
            duration_ns += result.duration_ns
            if output.verbose:
                _print_packet(output, program, verdicts.total(), data, result)
            if verdicts.total() % _PACKETS_A_TURN == 0:
                watcher.drain()
    except BrokenPipeError:
        raise
    except (OsmiaError, OSError, Ended) as error:
        if not verdicts:
            raise
        ended_by = error
    elapsed = time.perf_counter() - started
    watcher.drain()
    _print_verdicts(output, program, verdicts, duration_ns, elapsed)
    if refusals:
        note(f"{_number(len(refusals), 'packet')} not run; the first: {refusals[0]}")
    return ended_by


def _run_each(
    program: Any, packets: Iterable[tuple[float, bytes]], refusals: list[str]
) -> Iterator[tuple[bytes, Any]]:
    """Run on each packet. What the kernel says of those that it runs no program of the type on
    (too short, of a protocol that it does not know) goes to `refusals`.

    Raised is what it says of the last where it refuses all.
    """
    refused: KernelError | None = None
    ran = False
    for number, packet in enumerate(packets, 1):
        try:
            for pair in run_packets(program, [packet]):
                ran = True
                yield pair
        except KernelError as error:
            if error.errno != errno.EINVAL:
                raise
            refused = error
            refusals.append(f"number {number}, {_number(len(packet[1]), 'byte')}: {error}")
    if refused is not None and not ran:
        raise refused


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _print_packet(output: Output, program: Any, number: int, data: bytes, result: Any) -> None:
    verdict = verdict_name(program.type, result.retval)
    changed = result.data if result.data != data else b""
    if output.json:
        told = {"number": number, "size": len(data), "retval": result.retval, "verdict": verdict}
        output.record({"packet": told | ({"changed": changed.hex()} if changed else {})})
        return
    output.line(f"packet {number}: {len(data)} bytes, {verdict}")
    if changed:
        output.line(f"  now {hex_bytes(changed)}", "dim")


def _print_verdicts(
    output: Output, program: Any, verdicts: Counter[int], duration_ns: int, elapsed: float
) -> None:
    total = verdicts.total()
    mean_ns = duration_ns // total if total else 0
    rate = round(total / elapsed) if elapsed else 0
    named = [(verdict_name(program.type, value), n) for value, n in verdicts.most_common()]
    if output.json:
        told = {"program": program.name, "total": total, "verdicts": dict(named)}
        output.record({"packets": told | {"mean_ns": mean_ns, "packets_per_second": rate}})
        return
    output.heading(f"program {program.name}")
    output.table(
        ("verdict", "packets", "share"), ((name, n, f"{n / total:.1%}") for name, n in named)
    )
    if total == 1:  # no rate, and no mean: of code and data that no cache had
        output.line(f"1 packet in {elapsed:.3f} s: {mean_ns} ns in the program, a first run")
        return
    output.line(
        f"{total} packets in {elapsed:.3f} s: {rate} packets/s, {mean_ns} ns each in the program"
    )


def _packets(pcap: Path | None, packets: tuple[str, ...]) -> Iterator[tuple[float, bytes]]:
    given_packets = [(0.0, parse_hex(text)) for text in packets]
    if pcap is not None:
        yield from read_packets(pcap)
    yield from given_packets


def _packet_program(loaded: Any) -> Any:
    found = [each for each in loaded.programs.values() if each.type in _PACKET_TYPES]
    if len(found) != 1:
        names = ", ".join(each.name for each in found)
        raise click.UsageError(
            f"say with --prog which program gets the packets: {names}"
            if found
            else "there is no program that takes packets"
        )
    return found[0]


def _event_types(given_types: tuple[str, ...]) -> dict[str, str]:
    """ "events=flow_event" is for one map, "flow_event" for all."""
    pairs = (text.rpartition("=") for text in given_types)
    return {name: type_name for name, _, type_name in pairs}


@contextmanager
def _own_pins_removed(obj: Object, pin_root: Path) -> Iterator[None]:
    """Remove in the end the pins of maps that were not there in the beginning."""
    paths = [
        Path(each.pin_path or pin_root / each.name) for each in obj.maps.values() if each.pinning
    ]
    missing = [path for path in paths if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            path.unlink(missing_ok=True)
