"""What telemetry is sent, and where to: what a configuration file says, as code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import TYPE_CHECKING, Literal

from osmia.metrics.choice import Choice
from osmia.records import dataclass, field
from osmia.values.moments import CLOCKS

if TYPE_CHECKING:
    from osmia.values.wall_time import Clock

#: OpenTelemetry's words for how grave something is, with what they are in numbers.
SEVERITIES = {
    f"{name}{number or ''}": 4 * at + 1 + max(0, number - 1)
    for at, name in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for number in (0, 2, 3, 4)
}


@dataclass(frozen=True)
class EventLog:
    """The events of a ring or perf buffer as log records.

    `name` is the events' (else bpf.MAP), `severity` one of OpenTelemetry's words (INFO, WARN2).
    `time` is the member that says when, in ns of `clock`; without, a record's time is when the
    event was read. `attributes` are the members that are told (dotted: "flow.port"); None: all.
    `body` is text with members in braces ("dropped {size} bytes"); without: all members. `type` is
    that of the events, where neither the map nor its name says it ("flow_event").
    ValueError for what cannot be.
    """

    map: str
    name: str = ""
    severity: str = "INFO"
    time: str = ""
    clock: Clock = "monotonic"
    attributes: Sequence[str] | None = None
    body: str = ""
    type: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r}: TRACE, DEBUG, INFO, WARN, ERROR, FATAL")
        if self.clock not in CLOCKS:
            raise ValueError(f"clock {self.clock!r}: {', '.join(CLOCKS)}")
        self.parts()

    def parts(self) -> list[tuple[str, str]]:
        """The body's text, and the member behind each piece of it ("": none)."""
        try:
            found = list(Formatter().parse(self.body))
        except ValueError as error:
            raise ValueError(f"body {self.body!r}: {error}") from None
        for _, member, rule, conversion in found:
            if member == "" or rule or conversion:
                raise ValueError(f"body {self.body!r}: braces have the name of a member, no more")
        return [(text, member or "") for text, member, _, _ in found]

    def members(self) -> set[str]:
        """The members that the events must have."""
        named = {member for _, member in self.parts()} | set(self.attributes or ()) | {self.time}
        return named - {""}


@dataclass(frozen=True)
class Otlp:
    """Where OTLP goes, over HTTP; what is not said is as OTEL_EXPORTER_OTLP_… say.

    `endpoint` is a collector's address (http://localhost:4318), to which /v1/metrics and /v1/logs
    are added. A request has `timeout` seconds with all its retries (10); metrics are sent every
    `interval` seconds (60, or OTEL_METRIC_EXPORT_INTERVAL). `resource` are OpenTelemetry's
    attributes of what sends: service.name, deployment.environment.name. No more than `queue` log
    records wait. ValueError for what cannot be.
    """

    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: Literal["", "none", "gzip", "deflate"] = ""
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    timeout: float | None = None
    interval: float | None = None
    queue: int = 8192
    resource: Mapping[str, str] = field(default_factory=dict)
    metrics: bool = True

    def __post_init__(self) -> None:
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {self.endpoint!r} begins with neither http:// nor https://")
        if self.compression not in ("", "none", "gzip", "deflate"):
            raise ValueError(f"compression {self.compression!r}: none, gzip or deflate")
        for name, value in (("timeout", self.timeout), ("interval", self.interval)):
            if value is not None and not 0 < value < 1e6:
                raise ValueError(f"{name} {value:g}: a number of seconds above 0")
        if self.queue < 1:
            raise ValueError(f"queue {self.queue}: at least 1")
        if bool(self.client_key) and not self.client_certificate:
            raise ValueError("client_key: there is no client_certificate that it belongs to")


@dataclass(frozen=True)
class Telemetry:
    """Which metrics and logs there are, and where to: an address that Prometheus scrapes
    ("[HOST]:PORT"), a collector of OpenTelemetry's, or both."""

    choice: Choice = field(default_factory=lambda: Choice(programs=True))
    logs: tuple[EventLog, ...] = ()
    prometheus: str = ""
    otlp: Otlp | None = None
