"""`Closable`: what may be closed by another thread, or by a signal handler of its own thread."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self, TypeVar

from osmia.closing import ClosedByWith
from osmia.errors import ClosedError
from osmia.locks import make_lock

Result = TypeVar("Result")


def unmap(views: Iterable[memoryview], maps: Iterable[mmap.mmap]) -> None:
    """Give memory back; what a reader is just going through keeps its pages until it is done."""
    for give_back in (*(view.release for view in views), *(each.close for each in maps)):
        with suppress(BufferError):
            give_back()


class Closable(ClosedByWith):
    """Something with a name that `close` ends; whoever uses it afterwards gets ClosedError."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._lock = make_lock()  # a signal handler may close while its own thread reads
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End it; closing twice does nothing."""
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.what} is closed")

    def _while_open(self, step: Callable[[], Result]) -> Result:
        """What `step` gives while it is open; ClosedError when it was closed meanwhile."""
        with self._lock:
            self._check_open()
            try:
                return step()
            except (ValueError, OSError):
                # A signal handler closed it between two steps of its own thread.
                self._check_open()
                raise

    def __enter__(self) -> Self:
        self._check_open()
        return self
