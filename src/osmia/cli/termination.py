"""Signals that end a run: all end it as Ctrl-C does, so that nothing is left behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C; `kill` and service managers; the terminal was closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells give it."""
        return 128 + self.number


@contextmanager
def ends_cleanly() -> Iterator[Callable[[], None]]:
    """Let SIGINT, SIGTERM and SIGHUP raise `Ended`; SIGHUP not where it is ignored (nohup).

    Then no further one interrupts what is undone: the impatient press Ctrl-C again. What the
    block gets lets them raise once more, for when nothing is attached any more.
    """
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Ended(number)

    def listen() -> None:
        for each in before:
            signal.signal(each, end)

    listen()
    try:
        yield listen
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
