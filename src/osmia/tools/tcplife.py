"""tcplife: TCP connections when they end: whose, between whom, how long, how much."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated, Any

from osmia.named_tuples import NamedTuple
from osmia.tools.running import Stream, streaming
from osmia.tools.text import Bytes, address_text

LINE = "{pid:>7} {process:<10.10} {local:<15} {port:>5} {remote:<15} {to:>5}"
LINE += " {sent:>5} {got:>5} {ms:>5.0f}"


class Life(NamedTuple):
    """A connection that ended, from `local` and its `port` `to` one of `remote`.

    `pid` is who connected or closed it, 0 where nobody here did; of the bytes that were `sent`
    those count that the other side acknowledged. SYN and FIN count for one each.
    """

    pid: int
    process: str
    local: str
    port: int
    remote: str
    to: int
    sent: Bytes
    got: Bytes
    ms: float


def tcplife(
    *,
    pid: Annotated[int, "Of this process."] = 0,
    port: Annotated[int, "With this port on one of the sides."] = 0,
) -> AbstractContextManager[Stream[Life]]:
    """Show TCP connections when they end: whose, how long they were, how much they carried."""
    return streaming("tcplife", LINE, _row, {"only_pid": pid, "only_port": port})


def _row(event: Any) -> Life:
    local, remote = address_text(event.local), address_text(event.remote)
    sent, got = Bytes(event.sent), Bytes(event.got)
    whose, ms = (event.pid, event.process), event.duration / 1e6
    return Life(*whose, local, event.port, remote, event.to, sent, got, ms)
