"""What programs count as Prometheus metrics: maps and global variables, read at each scrape.

    from prometheus_client import REGISTRY
    REGISTRY.register(osmia.metrics.Metrics(bpf))        # beside a service's own metrics

    with osmia.metrics.serve(bpf, ":9435") as server:    # or on a port of their own
        ...

Needs `pip install 'osmia[metrics]'`. The program never waits for a scrape: what it counts is read
as it is, by the thread that answers.
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.metrics.collector import Metrics
    from osmia.metrics.server import Server, parse_address, serve

__all__ = ["Metrics", "Server", "parse_address", "serve"]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__, {".collector": "Metrics", ".server": "Server parse_address serve"}
    )
