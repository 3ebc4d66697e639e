"""Sending by OTLP over HTTP: what the endpoint does not take is told once, in our words."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData

from osmia.metrics.settings import Otlp

#: A kind of telemetry, as OTLP's paths name it.
Signal: TypeAlias = Literal["metrics", "logs"]
#: A request has no more points.
_MOST_POINTS = 10_000
#: What the library itself says of each try; told while this thread sends, it is not heard.
_LIBRARY = (
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
)
_here = threading.local()


class Trouble:
    """Which signals do not come through; says so when it begins, and when it is over."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._failing: set[Signal] = set()
        self._lock = threading.Lock()

    def has(self, signal: Signal) -> bool:
        """Whether the last thing that was sent did not come through."""
        return signal in self._failing

    def failed(self, signal: Signal, where: str, reason: str) -> None:
        with self._lock:
            first = not self._failing
            self._failing.add(signal)
        if first:
            self._say(f"OTLP: {where}: {reason}; it is tried again")

    def worked(self, signal: Signal, where: str) -> None:
        with self._lock:
            last = self._failing == {signal}
            self._failing.discard(signal)
        if last:
            self._say(f"OTLP: {where} takes it again")


class Sender:
    """Sends one signal; a request at a time."""

    def __init__(self, signal: Signal, otlp: Otlp, trouble: Trouble) -> None:
        _silence()
        self._signal, self._trouble = signal, trouble
        self._heard = _Heard()
        options: dict[str, Any] = {
            "endpoint": f"{otlp.endpoint.rstrip('/')}/v1/{signal}" if otlp.endpoint else None,
            "headers": dict(otlp.headers) or None,
            "timeout": otlp.timeout,
            "certificate_file": otlp.certificate or None,
            "client_certificate_file": otlp.client_certificate or None,
            "client_key_file": otlp.client_key or None,
            "compression": Compression(otlp.compression) if otlp.compression else None,
            "session": self._heard.session(),
        }
        self._exporter: Any = (
            OTLPMetricExporter(max_export_batch_size=_MOST_POINTS, **options)
            if signal == "metrics"
            else OTLPLogExporter(**options)
        )

    @property
    def where(self) -> str:
        """The address that it is sent to."""
        return _shown(str(self._exporter._endpoint))  # which the environment may say

    def send(self, what: MetricsData | Sequence[ReadableLogRecord]) -> int:
        """Send it, with retries as long as the timeout lets there be; how many points or records
        the endpoint refused, -1: it has none of them."""
        self._heard.forget()
        _here.sends = True
        try:
            worked = self._exporter.export(what).name == "SUCCESS"
        finally:
            _here.sends = False
        if not worked:
            reason = self._heard.reason or "it cannot be sent"
            self._trouble.failed(self._signal, self.where, reason)
            return -1
        refused, reason = self._heard.refused(self._signal)
        if refused:
            self._trouble.failed(self._signal, self.where, f"{refused} were refused: {reason}")
        else:
            self._trouble.worked(self._signal, self.where)
        return refused

    def stop(self) -> None:
        """Wait for no further retry, and send nothing more."""
        self._exporter.shutdown()


class _Heard:
    """What the endpoint said last."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.reason = ""
        self._answers: list[bytes] = []

    def session(self) -> Any:
        """A session of `requests` that is listened to."""
        session: Any = requests.Session()
        session.request = partial(self._ask, session.request)
        return session

    def refused(self, signal: Signal) -> tuple[int, str]:
        """How many points or records the endpoint has refused, and why."""
        count, reason = 0, ""
        for content in self._answers:
            try:
                if signal == "logs":
                    logs = ExportLogsServiceResponse.FromString(content).partial_success
                    count, reason = count + logs.rejected_log_records, logs.error_message
                else:
                    metrics = ExportMetricsServiceResponse.FromString(content).partial_success
                    count, reason = count + metrics.rejected_data_points, metrics.error_message
            except ValueError:  # DecodeError: it is none of protobuf's
                continue
        return count, reason

    def _ask(self, request: Callable[..., Any], *given: Any, **options: Any) -> Any:
        try:
            answer = request(*given, **options)
        except Exception as error:
            self.reason = _reason(error)
            raise
        if answer.status_code >= 400:
            self.reason = f"HTTP {answer.status_code} {answer.reason}"
        else:
            self._answers.append(answer.content)
        return answer


def _reason(error: BaseException) -> str:
    """What is behind the exceptions that the network's libraries wrap in each other."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.InvalidHeader):
        return "a header that HTTP does not allow"  # it says its value, which may be secret
    found = ""
    inner: BaseException | None = error
    seen: set[int] = set()
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        found = getattr(inner, "strerror", None) or str(inner) or found
        inner = inner.__cause__ or inner.__context__
    return " ".join(found.split())[:200]


def _shown(url: str) -> str:
    """A URL without what may be secret in it: a name and password, a query."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"


def _silence() -> None:
    for name in _LIBRARY:
        logging.getLogger(name).addFilter(_is_not_ours)  # once, however often


def _is_not_ours(record: logging.LogRecord) -> bool:
    return not getattr(_here, "sends", False)
