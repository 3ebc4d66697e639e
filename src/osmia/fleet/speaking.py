"""What a scheduler is asked, and how long: one that went away is an error of ours, soon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
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
        forsake([task, watching])


def forsake(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and do not wait for them: what connects to a scheduler that hangs ends when
    Dask's patience does."""
    for task in tasks:
        task.add_done_callback(_heard)
        task.cancel()


def _heard(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # or it would be logged


def leave(client: Any, seconds: float) -> None:
    """Close a Client. One that looks for its scheduler would log that it does so no more."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    if client.status != "running":
        logger.setLevel(logging.CRITICAL)
    try:
        with suppress(OSError):  # TimeoutError is one
            client.close(timeout=seconds)
    finally:
        logger.setLevel(level)


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
    known = getattr(client.scheduler, "address", None)  # None where the Client is closed
    address = known or getattr(client, "_start_arg", "")
    if isinstance(error, TimeoutError):
        return SchedulerError(f"the scheduler at {address} does not answer: {what}")
    return SchedulerError(f"the scheduler at {address} went away: {what}")
