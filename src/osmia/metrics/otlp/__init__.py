"""Metrics and events for OpenTelemetry, by OTLP over HTTP, through OpenTelemetry's own library."""

from __future__ import annotations

from osmia.errors import MissingPackageError

try:
    import opentelemetry.exporter.otlp.proto.http as _library  # noqa: F401
except ImportError as error:
    package = "opentelemetry-exporter-otlp-proto-http"
    raise MissingPackageError(package, extra="otel") from error
