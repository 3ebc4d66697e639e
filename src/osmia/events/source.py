"""`EventSource`: what all sources of events share: waiting, iteration, async, closing.

A source takes what is there in batches: `_refill` copies the bytes out, gives their room
back to the producer at once, and leaves an iterator over the events in `_batch`. Events
are decoded when they are taken from it. The batch belongs to the source, not to a loop:
who breaks out of one loop goes on in the next where the first stopped.
"""

from __future__ import annotations

import os
import select
import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from osmia.arguments import explained
from osmia.events.closable import Closable
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import asyncio

    import numpy

#: How long to sleep, in seconds, when a record is reserved and not yet committed: the
#: descriptor is readable then, and there is nothing to read.
RESERVED_PAUSE = 50e-6

Event = TypeVar("Event")


class EventCodec(Protocol):
    """What events need of a codec; `osmia.values.Codec` is one. `size` is in bytes."""

    size: int

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Turns a record into its value."""

    def dtype(self) -> numpy.dtype[Any]:
        """The numpy type of the same bytes."""


class Batch(NamedTuple):
    """Events taken from the source and not yet handed out.

    `counter` advances together with `events` and knows how many are left
    (`operator.length_hint`); exhausting it ends `events`.
    """

    events: Iterator[Any]
    counter: Iterator[Any]


EMPTY = Batch(iter(()), iter(()))


class EventSource(Closable, ABC, Generic[Event]):
    """Events of one kind, in order, each given once.

    One consumer at a time: loops in several threads share the events between them. `close`
    may be called from any thread or signal handler; whoever waits then gets ClosedError.
    """

    def __init__(self, what: str, close: Callable[[], None] | None = None) -> None:
        super().__init__(what)
        self._batch = EMPTY
        self._fault: Exception | None = None  # what the next reader is told before all else
        self._on_close = close
        self._wake = -1  # an eventfd, made at the first wait, that `close` writes to
        self._waiting = 0
        self._reader: tuple[asyncio.AbstractEventLoop, asyncio.Future[None], int] | None = None

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to read."""

    @abstractmethod
    def _refill(self) -> int:
        """Take the next batch into `_batch`; the bytes taken, 0 when nothing is there."""

    @abstractmethod
    def _backlog(self) -> int:
        """About how many bytes are there to be taken now."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what the source holds; called once, under the lock."""

    def __iter__(self) -> Iterator[Event]:
        """The events as they come; waits for ever. ClosedError once the source is closed."""
        return self.iterate()

    def iterate(self, timeout: float | None = None) -> Iterator[Event]:
        """The events as they come; ends when none came for `timeout` seconds (None: never).

        A source without a descriptor never waits: its iteration ends when it is empty.
        Raises ClosedError when the source is closed, also while waiting.
        """
        return chain.from_iterable(self._batches(timeout))

    def poll(self, timeout: float | None = None) -> bool:
        """Wait until an event is there, `timeout` seconds at most (None: for ever).

        True when `read` or an iteration will give one without waiting.
        """
        try:
            return self._fill(timeout)
        except TypeError as error:
            raise explained(error, EventSource.poll, timeout=timeout) from None

    def read(self) -> list[Event]:
        """What is there now, without waiting; empty when nothing is.

        Ends before a record that the codec refuses; whoever reads next gets its exception.
        """
        events: list[Event] = []
        try:
            for batch in self._present():
                events += batch
        except Exception as error:
            if not events:
                raise
            self._fault = error
        return events

    def drain(self, callback: Callable[[Event], object]) -> int:
        """Call `callback` with each event that is there now; how many there were.

        An exception of the callback passes through; the events after that one stay.
        """
        count = 0
        for batch in self._present():
            for event in batch:
                count += 1
                callback(event)
        return count

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events as they come, for `async for`; leaves the loop to others between batches.

        One task at a time may wait: RuntimeError otherwise.
        """
        return self._iterate_async()

    async def _iterate_async(self) -> AsyncIterator[Event]:
        import asyncio

        ready = False
        while True:
            self._raise_fault()
            for event in self._batch.events:
                yield event
            if self._checked_refill():
                ready = False
                await asyncio.sleep(0)
                continue
            if ready:
                await asyncio.sleep(RESERVED_PAUSE)
            ready = await self._readable()
            if not ready:
                return

    def close(self) -> None:
        """End the source: what was not read is dropped. Closing twice does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            batch, self._batch = self._batch, EMPTY
            deque(batch.counter, maxlen=0)  # a loop over this batch ends here too
            if self._waiting:
                os.eventfd_write(self._wake, 1)
            else:
                self._close_wake()
            self._stop_reader()
            self._release()
        if self._on_close is not None:
            self._on_close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.what}{', closed' if self._closed else ''}>"

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        warnings.warn(f"{self.what} was never closed", ResourceWarning, stacklevel=2, source=self)
        self.close()

    def _raise_fault(self) -> None:
        error, self._fault = self._fault, None
        if error is not None:
            raise error

    def _checked_refill(self) -> int:
        return self._while_open(self._refill)

    def _present(self) -> Iterator[Iterator[Event]]:
        """The batches that are there now. What comes while they are used is left alone."""
        self._check_open()
        self._raise_fault()
        backlog = self._while_open(self._backlog)
        yield self._batch.events
        while backlog > 0 and (taken := self._checked_refill()):
            backlog -= taken
            yield self._batch.events

    def _batches(self, timeout: float | None) -> Iterator[Iterator[Event]]:
        while self._fill(timeout):
            yield self._batch.events

    def _fill(self, timeout: float | None) -> bool:
        """See that the batch has an event, waiting for it if needed; False when none came."""
        self._raise_fault()
        deadline = None if timeout is None else time.monotonic() + timeout
        ready = False
        while not length_hint(self._batch.counter):
            if self._checked_refill():
                ready = False
                continue
            if ready:
                time.sleep(RESERVED_PAUSE)
            ready = self._wait(deadline)
            if not ready:
                return False
        return True

    def _wait(self, deadline: float | None) -> bool:
        """Wait for the descriptor; False when the time is over or there is no descriptor."""
        with self._lock:
            self._check_open()
            fd = self.fileno()
            if fd < 0:
                return False
            if self._wake < 0:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            wake = self._wake
            self._waiting += 1
        try:
            self._check_open()  # from here on `close` finds who waits
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.register(wake, select.POLLIN)
            return bool(poller.poll(_milliseconds(deadline)))
        finally:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        with self._lock:
            self._waiting -= 1
            if self._closed and not self._waiting:
                self._close_wake()

    def _close_wake(self) -> None:
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    async def _readable(self) -> bool:
        """Wait for the descriptor in the running event loop; False when there is none."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._check_open()
            fd = self.fileno()
            if fd < 0:
                return False
            if self._reader is not None and not self._reader[0].is_closed():
                raise RuntimeError(f"another task waits for {self.what}")
            self._reader = (loop, future, fd)
        try:
            loop.add_reader(fd, _finish, future)
            self._check_open()  # from here on `close` finds who waits
            await future
        finally:
            with self._lock:
                if self._reader is not None and self._reader[1] is future:
                    self._reader = None
                    if not loop.is_closed():
                        loop.remove_reader(fd)
        return True

    def _stop_reader(self) -> None:
        """Wake the task that waits, while its descriptor is still the one it registered."""
        if self._reader is None:
            return
        loop, future, fd = self._reader
        self._reader = None
        if not loop.is_closed():
            loop.remove_reader(fd)
            loop.call_soon_threadsafe(_finish, future)


class RecordType:
    """The numpy type of a source's records: the codec's, unless another is asked for.

    A codec builds its type anew each time (20 µs, as long as 5,000 records take): asked once.
    """

    def __init__(self, codec: EventCodec | None, what: str) -> None:
        self._codec = codec
        self._what = what
        self._known: numpy.dtype[Any] | None = None

    def resolve(self, wanted: Any) -> numpy.dtype[Any]:
        """`wanted` as a dtype, or the codec's when it is None; TypeError without either."""
        from osmia.numpy_extra import numpy

        if wanted is not None:
            try:
                given: numpy.dtype[Any] = numpy.dtype(wanted)
            except (TypeError, ValueError) as error:  # UnicodeError among them
                raise TypeError(f"dtype={wanted!r:.80}: {error}") from None
            return given
        if self._known is None:
            if self._codec is None:
                raise TypeError(f"to_numpy needs a dtype for a {self._what} without a codec")
            self._known = self._codec.dtype()
        return self._known


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _milliseconds(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
