"""What a fleet's programs count: the metrics of `osmia.metrics` for each host, how often and how
long programs ran, as far as the kernel counts (`kernel.bpf_stats_enabled`), which hosts answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from osmia.fleet.errors import HostLostError
from osmia.metrics.checks import check_any, check_view, facts_of
from osmia.metrics.choice import Choice
from osmia.metrics.families import Family, Point, named
from osmia.metrics.parts import ObjectParts
from osmia.metrics.reading import Reading, age_of, read_object
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from osmia.engine.loaded import LoadedObject
    from osmia.fleet.running import Running
    from osmia.metrics.feeds import Feed
    from osmia.metrics.settings import EventLog


def figures_of(loaded: LoadedObject, choice: Choice) -> tuple[list[Family], int]:
    """An object's metrics on this host, and for how many ns they may have been counting."""
    parts = ObjectParts(loaded)
    return read_object(parts, choice), age_of(parts)


class FleetMetrics:
    """What objects count on all hosts, read where they are: a collector for `prometheus_client`
    (`REGISTRY.register(FleetMetrics(running))`), and a source for `osmia.metrics.serve`, `export`
    and `tell`, which run where the fleet's client does.

    A host that does not answer is left out, and `bpf_host_up{host="…"}` is 0 for it. Of several
    objects each point has a label `object`. `choice` says which numbers are metrics (without: all,
    and how often and how long programs ran, as far as the kernel counts). ValueError
    for views of what none of the objects has.
    """

    def __init__(self, *running: Running, choice: Choice | None = None) -> None:
        self._running = running
        self._choice = Choice(programs=True) if choice is None else choice
        self._known: set[str] = set()
        facts = [facts_of(each.object) for each in running]
        for view in self._choice.views:
            check_any(check_view, view, facts)

    def describe(self) -> Iterable[Metric]:
        """Nothing: which metrics there are is known when they are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        from osmia.metrics.prometheus import prometheus_metrics

        return prometheus_metrics(self.read())

    def read(self) -> list[Reading]:
        """The same, a Reading for each host that is there or was."""
        hosts: dict[str, _Host] = {host: _Host() for host in self._known}
        for running in self._running:
            answers = running.fleet.ask("figures", running.name, self._choice)
            for host, error in answers.errors.items():
                up = not isinstance(error, HostLostError)
                hosts[host] = hosts.get(host, _Host()).with_more([], 0, up)
            label = running.name if len(self._running) > 1 else ""
            for host, (families, age) in dict(answers).items():
                told = [_of_object(family, label) for family in families]
                hosts[host] = hosts.get(host, _Host()).with_more(told, age, True)
        self._known |= set(hosts)
        name = named(self._choice.prefix, "host_up")
        return [found.reading(host, name) for host, found in sorted(hosts.items())]

    def feed(self, logs: Sequence[EventLog]) -> Feed:
        """The events of some buffers on all hosts. ValueError for what none of the objects has."""
        from osmia.fleet.feeds import FleetFeed

        return FleetFeed(self._running, logs)


class _Host(NamedTuple):
    """What a host answered."""

    families: tuple[Family, ...] = ()
    age: int = 0
    up: bool = False

    def with_more(self, families: Sequence[Family], age: int, up: bool) -> _Host:
        """With what it said of another object."""
        made = {each.name: each for each in self.families}
        for each in families:
            before = made.get(each.name)
            if before is None:
                made[each.name] = each
            elif before.kind == each.kind:
                made[each.name] = before._replace(points=[*before.points, *each.points])
        return _Host(tuple(made.values()), max(age, self.age), up or self.up)

    def reading(self, host: str, name: str) -> Reading:
        up = Family(name, "gauge", "Whether a host answered.", "", [Point((), self.up)])
        return Reading(host, [up, *self.families], self.age, lost=not self.families)


def _of_object(family: Family, name: str) -> Family:
    """With a label that says of which object it is."""
    if not name:
        return family
    points = [
        Point(
            (("object", name), *((_apart(label), text) for label, text in each.labels)), each.value
        )
        for each in family.points
    ]
    return family._replace(points=points)


def _apart(label: str) -> str:
    return "key_object" if label == "object" else label
