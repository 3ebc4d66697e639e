"""`osmia prog profile FILE`: what the programs of an object cost, on packets or attached."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.output import Output, note
from osmia.cli.packet_runs import packet_program
from osmia.cli.packets import packets_of
from osmia.cli.sources import open_source, select_programs
from osmia.cli.termination import Ended
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.costs.model import Costs

_NAP = 0.2
_NS = 10**9


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of a file's runs."""

    names: tuple[str, ...]
    engine: str
    pcap: str | None
    packets: tuple[str, ...]
    repeat: int
    iface: str
    duration: float | None
    picture: Path | None


def profile_file(output: Output, path: Path, wanted: Wanted) -> None:
    """Load, run, and say what it cost; write the picture where one is wanted."""
    on_packets = wanted.pcap is not None or bool(wanted.packets)
    if not on_packets and wanted.engine != "kernel":
        raise click.UsageError("programs are attached in the kernel; give --pcap or --packet")
    if wanted.picture is not None:
        _check(wanted.picture)
    obj = select_programs(open_source(path), wanted.names)
    ended: Ended | None = None
    with ExitStack() as undo:
        loaded = undo.enter_context(obj.load(wanted.engine, cover=True))
        from osmia.coverage.collecting import cover

        coverage = undo.enter_context(cover(loaded))
        taken: int | None = None
        try:
            if on_packets:
                packets = packets_of(wanted.pcap, wanted.packets)
                taken = _on_packets(packet_program(loaded), packets, wanted.repeat)
            else:
                with _timed(loaded) as timed:
                    _attached(loaded, wanted)
                taken = timed[0]
        except Ended as signal:
            if wanted.duration is not None or on_packets:
                raise
            ended, taken = signal, timed[0]
        from osmia.costs.accounting import costs

        found = costs(loaded, coverage.stop(), taken if wanted.engine == "kernel" else None)
    _show(output, found, wanted.picture)
    if ended is not None:
        output.flush()
        raise ended


def _check(picture: Path) -> None:
    from osmia.symbols.stack_profile import format_of

    try:
        format_of(picture)
    except ValueError as error:
        raise click.UsageError(f"--output-file: {error}") from None


def _on_packets(program: Any, packets: Iterable[tuple[float, bytes]], repeat: int) -> int:
    """Run on each packet so often; the ns that all took."""
    taken = 0
    for _, data in packets:
        taken += repeat * program.run(data, repeat=repeat).duration_ns
    return taken


@contextmanager
def _timed(loaded: Any) -> Iterator[list[int]]:
    """The ns that programs run meanwhile, by the kernel's statistics; what it gives has it then."""
    from osmia.kernel.programs.program import enable_run_statistics

    found = [0]
    with enable_run_statistics():
        before = _run_time(loaded)
        try:
            yield found
        finally:
            found[0] = _run_time(loaded) - before


def _run_time(loaded: Any) -> int:
    return sum(each.info.run_time_ns for each in loaded.programs.values())


def _attached(loaded: Any, wanted: Wanted) -> None:
    """Attach all that can be, for so long or until a signal."""
    from osmia.cli.attaching import Places, attach_all

    with ExitStack() as attached:
        links = attach_all(loaded, Places(wanted.iface, "", "", "", 0, None), attached)
        for link in links:
            note(f"attached {link.what}")
        if wanted.duration is None:
            note("Ctrl-C ends")
        end = None if wanted.duration is None else time.monotonic() + wanted.duration
        while end is None or (left := end - time.monotonic()) > 0:
            time.sleep(_NAP if end is None else min(_NAP, left))


def _show(output: Output, found: Costs, picture: Path | None) -> None:
    if picture is not None:
        from osmia.costs.flames import profile

        profile(found).save(picture)
        note(f"{picture}: {found.instructions} instructions")
    if output.json:
        output.document(found.document())
        return
    from osmia.costs.text import report

    for line in report(found, None if output.verbose else 20).splitlines():
        output.line(line)
