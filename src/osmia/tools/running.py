"""A tool while it runs: its programs attached, its rows as they come or its counts when asked."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from osmia.errors import NotSupportedError
from osmia.tools.programs import open_program

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.events import EventSource

Row = TypeVar("Row")
Count = TypeVar("Count")


@contextmanager
def attached(
    name: str,
    settings: Mapping[str, object],
    *,
    without: Collection[str] = (),
    optional: Collection[str] = (),
) -> Iterator[LoadedObject]:
    """Load a tool's programs with values of their constants, and attach them meanwhile.

    Programs named in `without` are left out, those in `optional` where this kernel has not what
    they attach to.
    Raises NotSupportedError where it lacks what others need, BpfPermissionError.
    """
    obj = open_program(name)
    for variable, value in settings.items():
        obj.data[variable] = value
    for program_name in without:
        obj.set_autoload(program_name, False)
    with obj.load() as loaded, ExitStack() as links:
        for program in loaded.programs.values():
            try:
                links.enter_context(program.attach())
            except NotSupportedError:
                if program.name not in optional:
                    raise
        yield loaded


class Stream(Generic[Row]):
    """Rows as they come, named tuples; iterating waits for ever. Who leaves one loop goes on in
    the next where the first stopped.

    `line` is how a row is shown, a format for its fields.
    """

    def __init__(
        self, loaded: LoadedObject, events: EventSource[Any], line: str, row: Callable[[Any], Row]
    ) -> None:
        self.line = line
        self._loaded = loaded
        self._events = events
        self._row = row
        self._taken: deque[Any] = deque()

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def rows(self, duration: float | None = None) -> Iterator[Row]:
        """Rows as they come, for so many seconds, and those that are there then."""
        end = inf if duration is None else time.monotonic() + duration
        over = False
        while True:
            while self._taken:
                yield self._row(self._taken.popleft())
            left = None if duration is None else max(0.0, end - time.monotonic())
            if over or not self._events.poll(left):
                return
            over = time.monotonic() >= end
            self._taken.extend(self._events.read())

    @property
    def lost(self) -> int:
        """How many there was no room for, since nobody took those before."""
        return int(self._loaded.data["lost"])


@contextmanager
def streaming(
    name: str,
    line: str,
    row: Callable[[Any], Row],
    settings: Mapping[str, object],
    *,
    optional: Collection[str] = (),
) -> Iterator[Stream[Row]]:
    """The events of a tool's programs as rows; see `attached` and `Stream`."""
    with (
        attached(name, settings, optional=optional) as loaded,
        loaded.maps["events"].events as events,
    ):
        yield Stream(loaded, events, line, row)


class Summary(Generic[Count]):
    """What is counted while it is open, by what it is counted for: `key` names that.

    Counts are numbers by name, or histograms. `line` is how numbers are shown, a format for `key`
    and their names. Of many, `top` are reported, those with most of the first number; 0: all.
    """

    def __init__(
        self, key: str, line: str, counts: Callable[[], dict[str, Count]], top: int = 0
    ) -> None:
        self.key = key
        self.line = line
        self._top = top
        self._counts = counts
        self._before: dict[str, Count] = {}

    def report(self) -> dict[str, Count]:
        """What was counted since the last report."""
        now, before = self._counts(), self._before
        self._before = now
        since = {key: _since(count, before.get(key)) for key, count in now.items()}
        if not self._top:
            return since
        first = {key: _first(count) for key, count in since.items()}
        most = sorted((key for key in first if first[key]), key=lambda key: -first[key])
        return {key: since[key] for key in most[: self._top]}


def _first(count: Any) -> float:
    return float(next(iter(count.values())))


def _since(now: Any, before: Any) -> Any:
    if before is None:
        return now
    if isinstance(now, dict):
        return {name: number - before[name] for name, number in now.items()}
    return now - before
