"""`osmia fleet`: an object on the hosts of a Dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.fleet_access import opened, takes_scheduler
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note, printable, remarks_noted
from osmia.cli.sources import open_source, set_globals
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from osmia.fleet import Fleet, Moves, Running, Try

_SCHEDULER = takes_scheduler
_FLEET = click.option(
    "--fleet", "fleet_name", default="default", show_default=True, help="Which one, by name."
)
_WATCH = click.option(
    "-w",
    "--watch",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Show it again, each so often.",
)
_DURATION = click.option(
    "-d", "--duration", type=click.FloatRange(0), help="Seconds; else to Ctrl-C."
)

_ELSEWHERE = {
    "certificates": "osmia.cli.fleet_certificates:certificates_command",
    "metrics": "osmia.cli.fleet_metrics:metrics",
}


@click.group("fleet", cls=Noun, elsewhere=_ELSEWHERE)
def fleet_command() -> None:
    """The same object on many hosts, through the workers of a Dask cluster.

    SCHEDULER is its address: tls://host:8786, for which --ca, --cert and --key are the certificates
    (or Dask's configuration has them). What runs goes on without this command.
    """


def _opened(scheduler: str, name: str) -> Fleet:
    return opened(scheduler, name)


def _running(fleet: Fleet, name: str) -> Running:
    there = fleet.running()
    if name not in there:
        has = ", ".join(there) or "nothing"
        raise OsmiaError(f"the fleet has no object {name!r}: {has}")
    return there[name]


@fleet_command.command("status", cls=Verb, json=True)
@_SCHEDULER
@_FLEET
@_WATCH
@_DURATION
@pass_output
def status(
    output: Output, scheduler: str, fleet_name: str, watch: float | None, duration: float | None
) -> int:
    """Show what runs where, how often and how long, and what went wrong.

    With --watch again and again, and what happened since the last time; how long programs run is
    known where kernel.bpf_stats_enabled is set. The status is 1 where a host does not answer or
    cannot do what is wanted.
    """
    from osmia.cli.fleet_tables import StatusPages
    from osmia.cli.live import show

    with _opened(scheduler, fleet_name) as fleet:
        title = f"fleet {fleet_name} at {scheduler}"
        return int(show(output, StatusPages(fleet), title, every=watch, duration=duration))


@fleet_command.command("run", cls=Verb, json=True)
@_SCHEDULER
@click.argument("file", type=click.Path(path_type=Path))
@_FLEET
@click.option("--name", help="How it is called in the fleet.  [default: the object's name]")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a global.")
@click.option(
    "--attach",
    "places",
    multiple=True,
    metavar="PROGRAM[=KIND:PATTERN]",
    help="Attach it: ingress=interface:eth*, egress=cgroup:app.slice/*, or as its section says.",
)
@click.option("--pins", is_flag=True, help="Keep maps and links when the agent ends.")
@click.option("--best-effort", is_flag=True, help="Where some hosts cannot, the others do.")
@pass_output
def run(
    output: Output,
    scheduler: str,
    file: Path,
    fleet_name: str,
    name: str | None,
    assignments: tuple[str, ...],
    places: tuple[str, ...],
    pins: bool,
    best_effort: bool,
) -> int:
    """Load FILE (an object, C source, or oci://…) on all hosts, and attach it.

    All hosts or none, unless with --best-effort; hosts that join later get it.
    """
    wanted = [_place(each) for each in places]
    with remarks_noted():
        obj = open_source(file)
        set_globals(obj, assignments)
    with _opened(scheduler, fleet_name) as fleet:
        running = fleet.load(obj, name=name or "", pins=pins, best_effort=best_effort)
        try:
            for program, kind, pattern in wanted:
                running.attach(
                    program, best_effort=best_effort, **({kind: pattern} if kind else {})
                )
        except BaseException:
            running.close()
            raise
        found = running.status()
        if output.json:
            output.document({"name": running.name, "hosts": sorted(found)})
        else:
            output.line(printable(f"{running.name}: on {_hosts(len(found))}"))
        for host, error in running.errors.items():
            note(f"{host}: {error}")
        return int(bool(found.errors) or bool(running.errors))


def _hosts(number: int) -> str:
    return f"{number} host" if number == 1 else f"{number} hosts"


def _place(text: str) -> tuple[str, str, Any]:
    program, equals, place = text.partition("=")
    kind, colon, pattern = place.partition(":")
    if not program or (equals and not (colon and pattern)):
        raise click.UsageError(f"--attach takes PROGRAM or PROGRAM=KIND:PATTERN, not {text!r}")
    if equals and kind not in ("interface", "cgroup", "pid"):
        raise click.UsageError(f"{kind!r}: interface, cgroup or pid says where")
    if kind == "pid" and not (pattern.isascii() and pattern.isdigit()):
        raise click.UsageError(f"--attach {text!r}: a pid is a number")
    return program, kind, int(pattern) if kind == "pid" else pattern


@fleet_command.command("top", cls=Verb, json=True)
@_SCHEDULER
@click.argument("name")
@click.argument("map_name", metavar="MAP")
@click.argument("column")
@_FLEET
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--by", "groups", multiple=True, metavar="COLUMN", help="Add up by this; host is one."
)
@_WATCH
@_DURATION
@pass_output
def top(
    output: Output,
    scheduler: str,
    name: str,
    map_name: str,
    column: str,
    fleet_name: str,
    count: int,
    groups: tuple[str, ...],
    watch: float | None,
    duration: float | None,
) -> None:
    """Show the rows of MAP on all hosts with the largest numbers in COLUMN (value.packets).

    With --watch again and again, and how much was added in a second.
    """
    from osmia.cli.fleet_tables import TopPages
    from osmia.cli.live import show

    with _opened(scheduler, fleet_name) as fleet:
        pages = TopPages(_running(fleet, name), map_name, column, count, groups)
        title = f"{name}: {map_name} by {column}"
        show(output, pages, title, every=watch, duration=duration)


@fleet_command.command("upgrade", cls=Verb, json=True)
@_SCHEDULER
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@_FLEET
@click.option(
    "--try",
    "tries",
    multiple=True,
    metavar="PROGRAM:HEX=VERDICT",
    help="Run it on a packet first: ingress:00ff…=XDP_PASS.",
)
@click.option(
    "--moves", multiple=True, metavar="VARIABLE", help="A counter that has to grow in 5 s."
)
@click.option(
    "--fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Only this part of the hosts, the canaries: 0.1. Again with more, or without, is the next "
    "step; rollback the way back.",
)
@click.option("--pause", type=click.FloatRange(0), default=0.0, help="Seconds between two hosts.")
@pass_output
def upgrade(
    output: Output,
    scheduler: str,
    name: str,
    file: Path,
    fleet_name: str,
    tries: tuple[str, ...],
    moves: tuple[str, ...],
    fraction: float,
    pause: float,
) -> None:
    """Put FILE into the place of NAME, host by host, with its maps.

    Where a check fails, everything is as before, on all hosts.
    """
    checks = [_try(each) for each in tries]
    with remarks_noted():
        obj = open_source(file)
    with _opened(scheduler, fleet_name) as fleet:
        running = _running(fleet, name)
        done = running.upgrade(
            obj, tries=checks, moves=_moves(moves), fraction=fraction, pause=pause
        )
        if output.json:
            output.document({"name": name, "digest": obj.digest, "hosts": sorted(done)})
        else:
            part = f"{len(done)} of {_hosts(len(fleet.hosts))}"
            output.line(printable(f"{name}: upgraded on {part}"))


@fleet_command.command("rollback", cls=Verb, json=True)
@_SCHEDULER
@click.argument("name")
@_FLEET
@pass_output
def rollback(output: Output, scheduler: str, name: str, fleet_name: str) -> None:
    """Give canaries of NAME (upgrade --fraction) the object again that the other hosts have.

    It is an error where there are no canaries: an upgrade of all hosts is undone by another one, to
    the object before.
    """
    with _opened(scheduler, fleet_name) as fleet:
        running = _running(fleet, name)
        done = running.roll_back()
        if output.json:
            output.document({"name": name, "digest": running.digest, "hosts": sorted(done)})
        else:
            output.line(printable(f"{name}: {running.digest[:12]} on {_hosts(len(done))}"))


def _try(text: str) -> Try:
    from osmia.fleet import Try

    head, equals, verdict = text.rpartition("=")
    program, colon, packet = head.partition(":")
    if not equals or not colon:
        raise click.UsageError(f"--try takes PROGRAM:HEX=VERDICT, not {text!r}")
    try:
        content = bytes.fromhex(packet)
    except ValueError:
        raise click.UsageError(f"--try {text!r}: its packet is no hexadecimal") from None
    return Try(program, content, int(verdict) if verdict.isdigit() else verdict)


def _moves(names: Sequence[str]) -> list[Moves]:
    from osmia.fleet import Moves

    return [Moves(each) for each in names]


@fleet_command.command("logs", cls=Verb)
@_SCHEDULER
@click.argument("name")
@click.argument("map_name", metavar="MAP")
@_FLEET
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many events.")
@_DURATION
@pass_output
def logs(
    output: Output,
    scheduler: str,
    name: str,
    map_name: str,
    fleet_name: str,
    count: int | None,
    duration: float | None,
) -> None:
    """Print the events of MAP (a ring or perf buffer) on all hosts, a line of JSON each."""
    shown = 0
    with _opened(scheduler, fleet_name) as fleet:
        running = _running(fleet, name)
        _check_map(running, map_name)
        batches = running.events(map_name, duration=duration)
        for batch in batches:
            if batch.error is not None:
                note(str(batch.error))
            for row in [] if batch.table is None else batch.table.to_pylist():
                output.record({"host": batch.host, **row})
                shown += 1
                if shown == count:
                    return
            output.flush()


def _check_map(running: Running, map_name: str) -> None:
    if map_name not in running.maps:
        has = ", ".join(running.maps)
        raise OsmiaError(f"{running.name!r} has no map {map_name!r}: {has}")


@fleet_command.command("close", cls=Verb)
@_SCHEDULER
@click.argument("name")
@_FLEET
def close(scheduler: str, name: str, fleet_name: str) -> None:
    """Give up NAME on all hosts, its pins too."""
    with _opened(scheduler, fleet_name) as fleet:
        _running(fleet, name).close()
