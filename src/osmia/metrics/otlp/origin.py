"""Where telemetry comes from: resource attributes of OpenTelemetry's; the scope, which is osmia."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping
from functools import cache

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from osmia import __version__

#: Names of OpenTelemetry's semantic conventions.
_SERVICE, _INSTANCE = "service.name", "service.instance.id"
_HOST, _ARCHITECTURE = "host.name", "host.arch"
#: What they call architectures.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm32", "i686": "x86"}


@cache
def scope() -> InstrumentationScope:
    """osmia and its version."""
    return InstrumentationScope("osmia", __version__)


def resources(given: Mapping[str, str]) -> Callable[[str], Resource]:
    """The resource of each host ("": this one).

    What is `given` goes before OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, and both before
    osmia's own; a fleet's hosts have their own names in any case.
    """
    stated = Resource.create(dict(given))
    named = _SERVICE in given or not _unnamed(stated)

    @cache
    def of(host: str) -> Resource:
        if host:  # one process tells of many: each is an instance
            made = stated.merge(Resource({_HOST: host, _INSTANCE: host}))
        else:
            own = {_HOST: socket.gethostname(), _ARCHITECTURE: _architecture()}
            made = Resource(own).merge(stated)
        return made if named else made.merge(Resource({_SERVICE: "osmia"}))

    return of


def _unnamed(stated: Resource) -> bool:
    """Whether the service's name is the library's, for want of another."""
    return str(stated.attributes.get(_SERVICE, "")).startswith("unknown_service")


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)
