"""`tell`: metrics and logs to where a `Telemetry` says, until it is closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from osmia.closing import ClosedByWith
from osmia.engine.loaded import LoadedObject
from osmia.metrics.parts import ObjectParts, PinnedParts
from osmia.metrics.reading import ObjectReader, Readable, Source
from osmia.metrics.settings import Telemetry

if TYPE_CHECKING:
    from osmia.metrics.exporting import Exporter
    from osmia.metrics.server import Server


class Teller(ClosedByWith):
    """What `tell` gives: the `exporter` and the `server` that there are."""

    def __init__(
        self, source: Source, telemetry: Telemetry, say: Callable[[str], object] | None
    ) -> None:
        self.exporter: Exporter | None = None
        self.server: Server | None = None
        with ExitStack() as held:
            told: Readable = source
            if telemetry.otlp is not None:
                from osmia.metrics.exporting import export

                self.exporter = told = held.enter_context(
                    export(
                        source,
                        telemetry.otlp,
                        logs=telemetry.logs,
                        choice=telemetry.choice,
                        say=say,
                    )
                )
            if telemetry.prometheus:
                from osmia.metrics.server import serve

                self.server = held.enter_context(serve(told, telemetry.prometheus))
            self._held = held.pop_all()

    def close(self) -> None:
        """Answer no more scrapes; send what is left. Close it before the object."""
        self._held.close()


def tell(
    source: LoadedObject | PinnedParts | Source,
    telemetry: Telemetry,
    say: Callable[[str], object] | None = None,
) -> Teller:
    """Tell Prometheus and OpenTelemetry of a loaded object, or a fleet (`FleetMetrics`), as
    `telemetry` says. `say` is that of `export`. ValueError where that says not where to, or what
    the object does not have."""
    if not telemetry.prometheus and telemetry.otlp is None:
        raise ValueError("neither prometheus nor otlp says where to")
    if telemetry.logs and telemetry.otlp is None:
        raise ValueError("logs are sent by otlp, which says not where to")
    if isinstance(source, LoadedObject | PinnedParts):
        parts = ObjectParts(source) if isinstance(source, LoadedObject) else source
        source = ObjectReader(parts, telemetry.choice)
    return Teller(source, telemetry, say)
