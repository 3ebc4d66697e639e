"""`serve`: a port that answers scrapes of a loaded object's metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from osmia.closing import ClosedByWith
from osmia.engine.loaded import LoadedObject
from osmia.errors import MissingPackageError, OsmiaError
from osmia.metrics.addresses import parse_address, shown_address
from osmia.metrics.choice import View
from osmia.metrics.collector import Metrics
from osmia.metrics.prometheus import Collector
from osmia.metrics.reading import Readable
from osmia.summaries.readings import MOST_ENTRIES

try:
    from prometheus_client import CollectorRegistry, start_http_server
except ImportError as error:
    raise MissingPackageError("prometheus_client", extra="metrics") from error

#: A client that says nothing for so many seconds is not waited for.
_TIMEOUT = 10


class Server(ClosedByWith):
    """Answers scrapes of metrics, until it is closed."""

    def __init__(self, metrics: Collector, host: str, port: int) -> None:
        self._metrics = metrics
        registry = CollectorRegistry()
        registry.register(metrics)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OsmiaError(f"cannot listen on {shown_address(host, port)}: {reason}") from None
        handler: Any = self._server.RequestHandlerClass
        self._server.RequestHandlerClass = type("Handler", (handler,), {"timeout": _TIMEOUT})
        self.host = host
        self.port: int = self._server.server_port
        """The port that it listens on, also where 0 was asked for."""

    @property
    def url(self) -> str:
        """Where to scrape: "http://127.0.0.1:9435/metrics"."""
        return f"http://{shown_address(self.host, self.port)}/metrics"

    def close(self) -> None:
        """Answer no more; waits for a reading of the object, not for slow clients."""
        if isinstance(self._metrics, Metrics):
            self._metrics.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(
    source: LoadedObject | Readable,
    address: str = ":9435",
    *,
    prefix: str = "bpf",
    gauges: Collection[str] = (),
    most_entries: int = MOST_ENTRIES,
    views: Sequence[View] = (),
) -> Server:
    """Answer scrapes of a loaded object's `Metrics` in a thread, at "[HOST]:PORT"; or of what else
    can be read: an `Exporter`, a fleet's `FleetMetrics`, to which the keywords do not apply.

    Without a host that is this machine alone (127.0.0.1): there is no encryption and no password;
    "0.0.0.0:9435" is for all. Port 0: any that is free. ValueError for what is no address,
    OsmiaError where it cannot be listened on. Close it before the object.
    """
    host, port = parse_address(address)
    metrics: Collector
    if isinstance(source, LoadedObject):
        metrics = Metrics(
            source, prefix=prefix, gauges=gauges, most_entries=most_entries, views=views
        )
    else:
        metrics = Collector(source.read)
    return Server(metrics, host, port)
