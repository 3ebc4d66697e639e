"""`osmia metrics`: what programs count and send, for Prometheus and OpenTelemetry."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output, note, remarks_noted
from osmia.cli.sources import open_source, select_programs, set_globals
from osmia.cli.telemetry import Wanted, show_checked, takes_telemetry, telling, wait
from osmia.cli.termination import ends_cleanly
from osmia.metrics.checks import facts_of, facts_of_parts
from osmia.metrics.configuration import Configuration, FleetObjects, ObjectFile, Pinned
from osmia.metrics.parts import PinnedParts

if TYPE_CHECKING:
    from osmia.object import Object


@click.command("metrics", cls=Verb, json=True)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-p", "--prog", "names", multiple=True, help="This program only.")
@click.option("-s", "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A global.")
@click.option("-i", "--iface", default="", help="The interface for XDP and tc programs.")
@click.option("--cgroup", default="", help="The cgroup (v2 directory) for cgroup programs.")
@click.option(
    "--pinned",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Tell of maps and programs that are pinned there.",
)
@takes_telemetry
@pass_output
def metrics_command(
    output: Output,
    file: Path | None,
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    iface: str,
    cgroup: str,
    pinned: Path | None,
    wanted: Wanted,
) -> None:
    """Tell Prometheus and OpenTelemetry what FILE's programs count and send, until Ctrl-C.

    FILE (C source, an object, oci://…) is loaded and attached as by osmia run; maps and variables
    are metrics, and how often and how long programs ran; --log has a buffer's events as log
    records. With --pinned nothing is loaded. --config has all of it in a file.
    """
    configuration = wanted.configuration()
    subject = _subject(configuration, wanted, pinned, file)
    if isinstance(subject, ObjectFile) and file is not None:
        subject = ObjectFile(str(file), names, interface=iface, cgroup=cgroup)
    elif names or assignments or iface or cgroup:
        raise click.UsageError("-p, -s, -i and --cgroup are for FILE")
    with ExitStack() as undo:
        undo.enter_context(ends_cleanly())
        match subject:
            case ObjectFile():
                obj = _opened(subject, assignments)
                configuration.check([facts_of(obj)])
                if not wanted.check:
                    _tell_of_object(obj, subject, configuration, wanted, undo)
            case Pinned():
                parts = undo.enter_context(PinnedParts(subject.path))
                configuration.check([facts_of_parts(parts)])
                if not wanted.check:
                    undo.enter_context(telling(parts, configuration.telemetry))
                    wait(wanted.duration)
    if wanted.check:
        show_checked(output, configuration)


def _subject(
    configuration: Configuration, wanted: Wanted, pinned: Path | None, file: Path | None
) -> ObjectFile | Pinned | FleetObjects | None:
    """What the arguments or the configuration say that it is of. UsageError where both do."""
    subject = configuration.subject
    if (file is not None) + (pinned is not None) + (subject is not None) > 1:
        raise click.UsageError("one of FILE, --pinned and the configuration says what it is of")
    if file is not None:
        return ObjectFile(str(file))
    if pinned is not None:
        return Pinned(pinned)
    if isinstance(subject, FleetObjects) and not wanted.check:
        raise click.UsageError(f"{wanted.config} is of a fleet: osmia fleet metrics --config FILE")
    if subject is None and not wanted.check:
        raise click.UsageError("FILE, --pinned or --config has to say what it is of")
    return subject


def _opened(subject: ObjectFile, assignments: tuple[str, ...]) -> Object:
    """The object, with what is wanted of it."""
    with remarks_noted():
        obj = select_programs(open_source(Path(subject.file)), subject.programs)
    given = [f"{name}={value}" for name, value in subject.globals.items()]
    set_globals(obj, [*given, *assignments])
    return obj


def _tell_of_object(
    obj: Object,
    subject: ObjectFile,
    configuration: Configuration,
    wanted: Wanted,
    undo: ExitStack,
) -> None:
    """Load and attach it; what has to be told is told before all is undone."""
    from osmia.cli.attaching import Places, attach_all
    from osmia.cli.run import own_pins_removed

    undo.enter_context(own_pins_removed(obj, Path("/sys/fs/bpf")))
    loaded: Any = undo.enter_context(obj.load())
    undo.enter_context(telling(loaded, configuration.telemetry))
    places = Places(subject.interface, subject.mode, subject.direction, subject.cgroup, subject.pid)
    for link in attach_all(loaded, places, undo):
        note(f"attached {link.what}")
    wait(wanted.duration)
