"""What a fleet's programs count as Prometheus metrics: those of `osmia.metrics` for each host, with
a label `host`, and how often and how long programs ran, as far as the kernel counts
(`kernel.bpf_stats_enabled`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from osmia.engine.loaded import LoadedObject
    from osmia.fleet.running import Running


class Figures(NamedTuple):
    """A metric as it travels."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def figures_of(loaded: LoadedObject) -> list[Figures]:
    """An object's metrics on this host."""
    from osmia.metrics import Metrics

    with Metrics(loaded) as metrics:
        found = [
            Figures(
                each.name,
                each.documentation,
                each.type,
                [(one.name, dict(one.labels), float(one.value)) for one in each.samples],
            )
            for each in metrics.collect()
        ]
    return [*found, *_runs(loaded)]


def _runs(loaded: LoadedObject) -> Iterator[Figures]:
    for name, text, field, factor in (
        ("bpf_program_runs", "How often a program ran.", "run_cnt", 1.0),
        ("bpf_program_seconds", "How long a program ran, in seconds.", "run_time_ns", 1e-9),
    ):
        samples = []
        for program in loaded.programs.values():
            value = getattr(getattr(program, "info", None), field, None)
            if value is not None:
                labels = {"program": program.name}
                samples.append((f"{name}_total", labels, float(value) * factor))
        yield Figures(name, text, "counter", samples)


class FleetMetrics:
    """A collector for `prometheus_client` of what an object counts on all hosts:
    `REGISTRY.register(FleetMetrics(running))`. A host that does not answer is left out, and
    `bpf_host_up{host="…"}` is 0 for it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._known: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Nothing: which metrics there are is known when they are read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        from prometheus_client.core import Metric

        answers = self._running.fleet.ask("figures", self._running.name)
        self._known |= set(answers) | set(answers.errors)
        metrics: dict[str, Any] = {}
        up = Metric("bpf_host_up", "Whether a host answered.", "gauge")
        for host in sorted(self._known):
            up.add_sample("bpf_host_up", {"host": host}, float(host in answers))
        for host, found in answers.items():
            for each in found:
                metric = metrics.setdefault(each.name, Metric(each.name, each.text, each.kind))
                for name, labels, value in each.samples:
                    metric.add_sample(name, {"host": host, **labels}, value)
        return [up, *metrics.values()]
