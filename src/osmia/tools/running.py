"""A tool while it runs: its programs attached, its rows as they come or its counts when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from osmia.errors import NotSupportedError
from osmia.tools.programs import open_program

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.events import EventSource

Row = TypeVar("Row")
Counts = dict[str, Any]


@contextmanager
def attached(
    name: str, *, optional: Collection[str] = (), **settings: object
) -> Iterator[LoadedObject]:
    """Load a tool's programs with these values of their constants, and attach them meanwhile.

    Programs named in `optional` are left out where this kernel has not what they attach to.
    Raises NotSupportedError where it lacks what others need, BpfPermissionError.
    """
    obj = open_program(name)
    for variable, value in settings.items():
        obj.data[variable] = value
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

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def rows(self, duration: float | None = None) -> Iterator[Row]:
        """Rows as they come, for so many seconds."""
        end = inf if duration is None else time.monotonic() + duration
        while self._events.poll(None if end == inf else max(0.0, end - time.monotonic())):
            for event in self._events.iterate(0):
                yield self._row(event)
                if time.monotonic() > end:
                    return

    @property
    def lost(self) -> int:
        """How many there was no room for, since nobody took those before."""
        return int(self._loaded.data["lost"])


@contextmanager
def streaming(
    name: str,
    line: str,
    row: Callable[[Any], Row],
    *,
    optional: Collection[str] = (),
    **settings: object,
) -> Iterator[Stream[Row]]:
    """The events of a tool's programs as rows; see `attached` and `Stream`."""
    with (
        attached(name, optional=optional, **settings) as loaded,
        loaded.maps["events"].events as events,
    ):
        yield Stream(loaded, events, line, row)


class Summary:
    """What is counted while it is open, by what it is counted for: `key` names that.

    Counts are numbers by name, or histograms. `line` is how numbers are shown, a format for `key`
    and their names. Of many, `top` are reported, those with most of the first number; 0: all.
    """

    def __init__(self, key: str, line: str, counts: Callable[[], Counts], top: int = 0) -> None:
        self.key = key
        self.line = line
        self._top = top
        self._counts = counts
        self._before: Counts = {}

    def report(self) -> Counts:
        """What was counted since the last report."""
        now, before = self._counts(), self._before
        self._before = now
        since = {key: _since(count, before.get(key)) for key, count in now.items()}
        if not self._top:
            return since
        first = {key: next(iter(count.values())) for key, count in since.items()}
        most = sorted((key for key in first if first[key]), key=lambda key: -first[key])
        return {key: since[key] for key in most[: self._top]}


def _since(now: Any, before: Any) -> Any:
    if before is None:
        return now
    if isinstance(now, dict):
        return {name: number - before[name] for name, number in now.items()}
    return now - before
