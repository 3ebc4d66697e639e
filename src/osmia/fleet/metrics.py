"""What a fleet's programs count: the metrics of `osmia.metrics` for each host, how often and how
long programs ran, as far as the kernel counts (`kernel.bpf_stats_enabled`), which hosts answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from osmia.metrics.choice import Choice
from osmia.metrics.families import Family, Point
from osmia.metrics.reading import Reading, age_of, read_object
from osmia.records import replace

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from osmia.engine.loaded import LoadedObject
    from osmia.fleet.running import Running


def figures_of(loaded: LoadedObject, choice: Choice) -> tuple[list[Family], int]:
    """An object's metrics on this host, and for how many ns they may have been counting."""
    return read_object(loaded, choice), age_of(loaded)


class FleetMetrics:
    """A collector for `prometheus_client` of what an object counts on all hosts:
    `REGISTRY.register(FleetMetrics(running))`. A host that does not answer is left out, and
    `bpf_host_up{host="…"}` is 0 for it. `choice` says which numbers are metrics."""

    def __init__(self, running: Running, choice: Choice = Choice()) -> None:  # noqa: B008
        self._running = running
        self._choice = replace(choice, programs=True)
        self._known: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Nothing: which metrics there are is known when they are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        from osmia.metrics.prometheus import prometheus_metrics

        return prometheus_metrics(self.read())

    def read(self) -> list[Reading]:
        """The same, a Reading for each host that is there or was."""
        running = self._running
        answers = running.fleet.ask("figures", running.name, self._choice)
        self._known |= set(answers) | set(answers.errors)
        there = dict(answers)
        made = []
        for host in sorted(self._known):
            families, age = there.get(host, ([], 0))
            found = [_up(host in there), *families]
            made.append(Reading(host, found, age, lost=host not in there))
        return made


def _up(answered: bool) -> Family:
    return Family(
        "bpf_host_up", "gauge", "Whether a host answered.", "", [Point((), int(answered))]
    )
