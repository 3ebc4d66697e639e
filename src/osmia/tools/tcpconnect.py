"""tcpconnect: who opens TCP connections, and where to."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated, Any

from osmia.named_tuples import NamedTuple
from osmia.tools.running import Stream, streaming
from osmia.tools.text import address_text

LINE = "{pid:>7} {uid:>6} {process:<15} {source:<15} {destination:<15} {port:>5}"


class Connecting(NamedTuple):
    """A process that asks for a connection; whether it gets one is not known yet."""

    pid: int
    uid: int
    process: str
    source: str
    destination: str
    port: int


def tcpconnect(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    port: Annotated[int, "To this port."] = 0,
) -> AbstractContextManager[Stream[Connecting]]:
    """Show who opens TCP connections, and where to."""
    return streaming("tcpconnect", LINE, _row, {"only_pid": pid, "only_port": port})


def _row(event: Any) -> Connecting:
    source, destination = address_text(event.source), address_text(event.destination)
    return Connecting(event.pid, event.uid, event.process, source, destination, event.port)
