"""What a scheduler is asked, and how long: one that went away is an error of ours, soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from osmia.fleet.errors import SchedulerError

#: How long a scheduler that was there may be away, in seconds: Dask looks for it much longer.
GRACE = 2.0
_LOOK = 0.1


async def answered(
    client: Any, what: str, asking: Callable[[], Coroutine[Any, Any, Any]], seconds: float | None
) -> Any:
    """What is asked of the scheduler; SchedulerError where it went away meanwhile, or does not
    answer in so many seconds (None: as long as it takes while it is there)."""
    task = asyncio.ensure_future(asking())
    watching = asyncio.ensure_future(_lost(client))
    try:
        await asyncio.wait({task, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise gone(client, what, None if watching.done() else TimeoutError())
        return task.result()
    except SchedulerError:
        raise
    except OSError as error:
        raise gone(client, what, error) from None
    finally:
        watching.cancel()
        task.cancel()
        await asyncio.gather(task, watching, return_exceptions=True)


async def _lost(client: Any) -> None:
    """Return when the Client has been without its scheduler for a moment."""
    since = None
    while since is None or time.monotonic() - since < GRACE:
        if client.status in ("running", "newly-created"):
            since = None
        elif since is None:
            since = time.monotonic()
        await asyncio.sleep(_LOOK)


def gone(client: Any, what: str, error: BaseException | None) -> SchedulerError:
    """The error of who asks a scheduler that does not answer."""
    address = getattr(client.scheduler, "address", "its address")
    if isinstance(error, TimeoutError):
        return SchedulerError(f"the scheduler at {address} does not answer: {what}")
    return SchedulerError(f"the scheduler at {address} went away: {what}")
