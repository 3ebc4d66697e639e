"""Several sources of events as one stream."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from typing import Any

from osmia.events.source import RESERVED_PAUSE, EventSource

#: How often to look without being woken, in seconds: programs may send without waking.
INTERVAL = 0.1


def present(sources: Mapping[str, EventSource[Any]]) -> Iterator[tuple[str, Any]]:
    """The events that are there now, with the name of their source.

    Each is taken when it is asked for: what an interruption leaves (Ctrl-C between two of them) is
    there for the next reader. Of a source that raises comes first what it has before.
    """
    for name, source in sources.items():
        for batch in source._present():
            for event in batch:
                yield name, event


def merged(
    sources: Mapping[str, EventSource[Any]], *, timeout: float | None = None
) -> Iterator[tuple[str, Any]]:
    """Events as they come, with the name of their source; ends after `timeout` seconds.

    Those of one source stay in order; between sources there is none. Events that their
    programs send without waking the reader are seen within `INTERVAL` seconds. When the
    time is over, what is there is still given.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    poller = select.poll()
    for source in sources.values():
        if source.fileno() >= 0:
            poller.register(source.fileno(), select.POLLIN)
    while True:
        left = INTERVAL if deadline is None else deadline - time.monotonic()
        ready = poller.poll(max(0.0, min(left, INTERVAL)) * 1000)
        seen = 0
        for pair in present(sources):
            seen += 1
            yield pair
        if left <= 0:
            return
        if ready and not seen:
            time.sleep(RESERVED_PAUSE)
