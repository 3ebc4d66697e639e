"""What programs count as metrics, for Prometheus and OpenTelemetry; what they send as log records.

    from prometheus_client import REGISTRY
    REGISTRY.register(osmia.metrics.Metrics(bpf))        # beside a service's own metrics

    with osmia.metrics.serve(bpf, ":9435") as server:    # or on a port of their own
        ...
    with osmia.metrics.export(bpf, "http://collector:4318", logs=[EventLog("drops")]):
        ...                                              # or sent, by OTLP

Prometheus needs `pip install 'osmia[metrics]'`, OpenTelemetry `osmia[otel]`. The program never
waits for a reader: what it counts is read as it is, by a thread of its own.
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.metrics.addresses import parse_address
    from osmia.metrics.choice import Choice, View
    from osmia.metrics.collector import Metrics
    from osmia.metrics.configuration import Configuration, ConfigurationError
    from osmia.metrics.exporting import Exporter, export
    from osmia.metrics.server import Server, serve
    from osmia.metrics.settings import EventLog, Otlp, Telemetry
    from osmia.metrics.telling import Teller, tell

__all__ = [
    "Choice",
    "Configuration",
    "ConfigurationError",
    "EventLog",
    "Exporter",
    "Metrics",
    "Otlp",
    "Server",
    "Telemetry",
    "Teller",
    "View",
    "export",
    "parse_address",
    "serve",
    "tell",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".addresses": "parse_address",
            ".choice": "Choice View",
            ".collector": "Metrics",
            ".configuration": "Configuration ConfigurationError",
            ".exporting": "Exporter export",
            ".server": "Server serve",
            ".settings": "EventLog Otlp Telemetry",
            ".telling": "Teller tell",
        },
    )
