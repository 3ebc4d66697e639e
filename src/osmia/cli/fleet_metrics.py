"""`osmia fleet metrics`: what a fleet's programs count and send, for Prometheus, OpenTelemetry."""

from __future__ import annotations

import click

from osmia.cli.fleet_access import opened, takes_certificates
from osmia.cli.options import Verb, pass_output
from osmia.cli.output import Output
from osmia.cli.telemetry import Wanted, show_checked, takes_telemetry, telling, wait
from osmia.cli.termination import ends_cleanly
from osmia.errors import OsmiaError
from osmia.metrics.checks import facts_of
from osmia.metrics.configuration import FleetObjects


@click.command("metrics", cls=Verb, json=True)
@takes_certificates
@click.argument("scheduler", required=False)
@click.argument("objects", nargs=-1, metavar="[NAME]...")
@click.option(
    "--fleet", "fleet_name", default="default", show_default=True, help="Which one, by name."
)
@takes_telemetry
@pass_output
def metrics(
    output: Output,
    scheduler: str | None,
    objects: tuple[str, ...],
    fleet_name: str,
    wanted: Wanted,
) -> None:
    """Tell Prometheus and OpenTelemetry what objects count and send on all hosts, until Ctrl-C.

    Without a NAME: all objects that run now. Hosts read their own numbers; this command gathers
    and tells them, each with its host. --config has all of it in a file.
    """
    from osmia.fleet import FleetMetrics

    configuration = wanted.configuration()
    subject = configuration.subject
    if scheduler is not None:
        if subject is not None:
            raise click.UsageError("one of SCHEDULER and the configuration says what it is of")
        subject = FleetObjects(scheduler, fleet_name, objects)
    if not isinstance(subject, FleetObjects):
        raise click.UsageError("SCHEDULER, or [fleet] in the configuration, is wanted")
    with ends_cleanly(), opened(subject.scheduler, subject.fleet, subject.access) as fleet:
        there = fleet.running()
        for name in subject.names:
            if name not in there:
                has = ", ".join(there) or "nothing"
                raise OsmiaError(f"the fleet has no object {name!r}: {has}")
        running = [there[name] for name in subject.names or there]
        if not running:
            raise OsmiaError("the fleet runs nothing")
        configuration.check([facts_of(each.object) for each in running])
        if wanted.check:
            return show_checked(output, configuration)
        source = FleetMetrics(*running, choice=configuration.telemetry.choice)
        with telling(source, configuration.telemetry):
            wait(wanted.duration)
    return None
