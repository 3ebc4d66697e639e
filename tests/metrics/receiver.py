"""A receiver of OTLP over HTTP on the loopback, which decodes what it gets; it may misbehave."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


class Receiver:
    """What came: requests of metrics and of logs, with their headers.

    `answer` is a status, "close" (the connection, with no answer) or "hang" (no answer until the
    end); `refuses` is how many records of each request it does not take.
    """

    def __init__(self) -> None:
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.answer: int | str = 200
        self.refuses = 0
        self.tries = 0
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until it holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it does not come about"
            time.sleep(0.01)

    def last(self, host: str = "") -> dict[str, Metric]:
        """The metrics of the last request by name; of one host, where there are several."""
        return {
            metric.name: metric
            for resource in self.metrics[-1].resource_metrics
            if host in ("", attributes(resource.resource.attributes)["host.name"])
            for each in resource.scope_metrics
            for metric in each.metrics
        }

    def records(self) -> list[LogRecord]:
        """All log records."""
        return [
            record
            for request in self.logs
            for resource in request.resource_logs
            for each in resource.scope_logs
            for record in each.log_records
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.tries += 1
                answer = receiver.answer
                if answer == "hang":
                    receiver.ended.wait(30)
                if isinstance(answer, str):
                    self.close_connection = True
                    return
                content = receiver._take(self, body) if answer == 200 else b""
                self.send_response(answer)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing."""

        return Handler

    def _take(self, handler: BaseHTTPRequestHandler, body: bytes) -> bytes:
        assert handler.headers["Content-Type"] == "application/x-protobuf"
        if handler.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.headers.append(dict(handler.headers))
        if handler.path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
            return b""
        assert handler.path == "/v1/logs"
        self.logs.append(ExportLogsServiceRequest.FromString(body))
        told = ExportLogsPartialSuccess(
            rejected_log_records=self.refuses, error_message="too old" if self.refuses else ""
        )
        return bytes(ExportLogsServiceResponse(partial_success=told).SerializeToString())

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving(made: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver that runs until the end of the block."""
    made = Receiver() if made is None else made
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


def value_of(value: Any) -> Any:
    """An AnyValue as Python has it."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [value_of(each) for each in value.array_value.values]
        case "kvlist_value":
            return attributes(value.kvlist_value.values)
        case field:
            return getattr(value, field)


def attributes(pairs: Any) -> dict[str, Any]:
    """Attributes by name."""
    return {each.key: value_of(each.value) for each in pairs}
