"""Names of many stacks: each address of a process is looked up once, all of a process together."""

from __future__ import annotations

from collections.abc import Iterable

from osmia.symbols.frames import Frame
from osmia.symbols.symbolizer import Symbols
from osmia.values.stacks import Stack

#: An address, and whether it is one that a call returns to.
_Place = tuple[int, bool]


class RecordedNames:
    """Frames of stacks that were announced by `want`."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._wanted: dict[int | None, set[_Place]] = {}
        self._found: dict[int | None, dict[_Place, tuple[Frame, ...]]] = {}

    def want(self, stack: Stack, pid: int | None) -> None:
        """Announce a stack of a process; None: of the kernel."""
        self._wanted.setdefault(pid, set()).update(_places(stack))

    def frames(self, stack: Stack, pid: int | None) -> list[Frame]:
        """The frames of one of them, innermost first."""
        if pid not in self._found:
            self._found[pid] = self._look_up(pid, self._wanted.get(pid, set()))
        found = self._found[pid]
        return [frame for place in _places(stack) for frame in found[place]]

    def _look_up(self, pid: int | None, places: set[_Place]) -> dict[_Place, tuple[Frame, ...]]:
        found: dict[_Place, tuple[Frame, ...]] = {}
        for returned_to in (False, True):
            wanted = sorted(place[0] for place in places if place[1] is returned_to)
            # In a stack all but the first are returned to.
            stack = [0, *wanted] if returned_to else wanted
            named = self._symbols.grouped(stack, pid, returns=returned_to)[-len(wanted) :]
            found |= {(a, returned_to): f for a, f in zip(wanted, named, strict=False)}
        return found


def _places(stack: Stack) -> Iterable[_Place]:
    return [(each, index > 0) for index, each in enumerate(stack) if isinstance(each, int)]
