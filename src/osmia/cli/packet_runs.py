"""`osmia run --pcap`, `--packet`: programs run on packets, and the verdicts counted."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import click

from osmia.captures.packets import PACKET_TYPES, run_packets, verdict_name
from osmia.cli.output import Output, hex_bytes, note
from osmia.cli.termination import Ended
from osmia.cli.watching import Watcher
from osmia.errors import KernelError, OsmiaError

#: How many packets to run before looking for events: no ring buffer should overflow.
_PACKETS_A_TURN = 64


def run_on_packets(
    output: Output, loaded: Any, watcher: Watcher, packets: Iterable[tuple[float, bytes]]
) -> BaseException | None:
    """Run; report what was run, also where an error or a signal ends it early, and give that.

    Raised is an error before the first packet, when there is nothing to report.
    """
    program = packet_program(loaded)
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


def packet_program(loaded: Any) -> Any:
    """The one program that takes packets. UsageError where there is none, or several."""
    found = [each for each in loaded.programs.values() if each.type in PACKET_TYPES]
    if len(found) != 1:
        names = ", ".join(each.name for each in found)
        raise click.UsageError(
            f"say with --prog which program gets the packets: {names}"
            if found
            else "there is no program that takes packets"
        )
    return found[0]
