"""`osmia run`: load a program and attach it, or run it on packets; show what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from osmia.cli.attaching import Direction, Mode, Places, attach_all, iterators
from osmia.cli.compile import given, takes_compiler_options
from osmia.cli.covering import covered, with_counters
from osmia.cli.final_state import print_final_state
from osmia.cli.formats import Formats, takes_formats
from osmia.cli.importing import open_imports, takes_bind, takes_imports
from osmia.cli.options import EngineName, Verb, pass_output
from osmia.cli.output import Output, note, printable
from osmia.cli.packet_runs import packets_of, run_on_packets
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
from osmia.object import MapType, Object

if TYPE_CHECKING:
    from osmia.cli.event_files import EventFile, Place
    from osmia.engine.link import Link

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
    "-o",
    "--output",
    "events_to",
    default="",
    metavar="FORMAT|FILE",
    help="Write events as jsonl, csv or parquet: to stdout (all else to stderr), or to a file.",
)
@click.option(
    "--prometheus",
    default="",
    metavar="[HOST]:PORT",
    help="Answer scrapes there: maps and globals as metrics. Without a host: this machine's only.",
)
@click.option(
    "--cover",
    type=_file,
    metavar="FILE",
    help="Write what of the programs ran; the name says how: .info (lcov), .xml, .html, .txt, …",
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
    events_to: str,
    prometheus: str,
    cover: Path | None,
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
    counting = with_counters(cover)
    given_packets = packets_of(pcap, packets)
    places = Places(iface, mode or "", direction or "", cgroup, pid, sampling)
    place = _place(events_to)
    with ExitStack() as undo:
        stdout = sys.stdout
        if place is not None and place.path is None:
            undo.enter_context(redirect_stdout(sys.stderr))
        interruptible = undo.enter_context(ends_cleanly())
        obj = select_programs(open_source(file, **given(compiler)), names)
        set_globals(obj, assignments)
        undo.enter_context(own_pins_removed(obj, pin_root))
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
        loaded = undo.enter_context(obj.load(engine, **options, **counting, **chosen_passes()))
        watching = undo.enter_context(ExitStack())
        watcher = Watcher(
            output,
            loaded,
            watching,
            types=_event_types(types),
            formats=formats,
            count=count,
        )
        summaries = _summed_up(output, wanted, loaded, watcher, formats)
        written = None if place is None else _written(place, stdout, loaded, watcher)
        if prometheus:
            _serve(loaded, prometheus, watching)
        ended_by: BaseException | None = None
        try:
            with covered(loaded, cover):
                if on_packets:
                    ended_by = run_on_packets(output, loaded, watcher, given_packets)
                else:
                    _run_attached(output, loaded, watcher, places, duration)
        except Ended as ended:
            ended_by = ended
        if written is not None:
            written.finish()
        interruptible()
        if summaries is None or not summaries.asked_for or output.verbose:
            print_final_state(output, loaded, formats)
        if summaries is not None:
            summaries.report_whole()
        if ended_by is not None:
            output.flush()  # before what is said on stderr
            raise ended_by


def _summed_up(
    output: Output, wanted: Wanted, loaded: Any, watcher: Watcher, formats: Formats
) -> Summaries | None:
    """What `watcher` sums up; None where nothing is."""
    if not wanted.anything:
        return None
    summaries = watcher.summaries = Summaries(output, wanted, loaded, watcher.codecs, formats)
    if summaries.asked_for:
        watcher.takers.append(summaries.take)
    return summaries


def _place(text: str) -> Place | None:
    """Where the events are to be written."""
    if not text:
        return None
    from osmia.cli.event_files import place_of

    return place_of(text)


def _written(place: Place, stdout: IO[str], loaded: Any, watcher: Watcher) -> EventFile:
    """The file that takes what `watcher` sees."""
    from osmia.cli.event_files import EventFile

    maps = watcher.event_maps
    if not maps:
        raise click.UsageError("--output: there is no ring or perf buffer that events come from")
    per_cpu = {name for name in maps if loaded.maps[name].type is MapType.PERF_EVENT_ARRAY}
    codecs = {name: watcher.formats.meant(watcher.codecs.get(name), name) for name in maps}
    file = EventFile(place, stdout, codecs, per_cpu)
    watcher.takers.append(file.take)
    return file


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
    """Attach; print until the end. However that comes, all is detached when this returns, and what
    was sent until then is printed."""
    ended_by: Ended | None = None
    with ExitStack() as attached:
        links = attach_all(loaded, places, attached)
        try:
            _watch_attached(output, links, watcher, duration)
        except Ended as ended:
            ended_by = ended
    watcher.drain()
    if ended_by is not None:
        raise ended_by


def _watch_attached(
    output: Output, links: list[Link], watcher: Watcher, duration: float | None
) -> None:
    """Print what iterators have; then, where other programs are attached, what these say."""
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


def _event_types(given_types: tuple[str, ...]) -> dict[str, str]:
    """ "events=flow_event" is for one map, "flow_event" for all."""
    pairs = (text.rpartition("=") for text in given_types)
    return {name: type_name for name, _, type_name in pairs}


@contextmanager
def own_pins_removed(obj: Object, pin_root: Path) -> Iterator[None]:
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
