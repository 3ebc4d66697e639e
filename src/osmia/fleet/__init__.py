"""The same object on many hosts, which a Dask cluster's workers stand for.

    from osmia.fleet import Fleet

    files = {"ca": "ca.pem", "cert": "client.pem", "key": "client-key.pem"}
    with Fleet("tls://scheduler:8786", **files) as fleet:
        running = fleet.load(osmia.open("limit.bpf.o"))
        running.attach("ingress", interface="eth*")
        running.data["limit"] = 5
        running.maps["flows"].to_arrow()               # of all hosts, with a column `host`
        for batch in running.events("drops"):
            print(batch.host, batch.table)
        running.upgrade(osmia.open("limit-2.bpf.o"), tries=[Try("ingress", packet, "XDP_PASS")])

One worker of each host is its agent: it loads, attaches and owns what is there, catches up with
what was asked for while it was away, and gives it up when it ends. Needs `osmia[fleet]`.
"""

from __future__ import annotations

from osmia.fleet.answers import Answers
from osmia.fleet.errors import FleetError, HostError, HostLostError, SchedulerError
from osmia.fleet.fleet import Fleet
from osmia.fleet.metrics import FleetMetrics
from osmia.fleet.running import Running
from osmia.fleet.streams import HostBatch
from osmia.fleet.upgrades import Moves, Try

__all__ = [
    "Answers",
    "Fleet",
    "FleetError",
    "FleetMetrics",
    "HostBatch",
    "HostError",
    "HostLostError",
    "Moves",
    "Running",
    "SchedulerError",
    "Try",
]
