"""The counters of a loaded object's code, which `load(cover=True)` puts there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from osmia.errors import VerifierError
from osmia.object.model import Object

if TYPE_CHECKING:
    from osmia.kernel.load.data_sections import LoadedSection
    from osmia.passes.cover import Counted, CountedFunction


class Counters:
    """What ran of an object's functions since it was loaded; of one that is closed, until then."""

    def __init__(self, counted: Counted, section: LoadedSection | None) -> None:
        self._counted = counted
        self._section = section  # None: nothing to count
        self._last: Sequence[int] | None = None if section is not None else ()

    @property
    def object(self) -> Object:
        """The object as it is without counters."""
        return self._counted.object

    @property
    def functions(self) -> Mapping[str, CountedFunction]:
        """Its functions, by key: `counts` says of what `read` gives what ran of each."""
        return self._counted.functions

    def read(self) -> Sequence[int]:
        """The counters now."""
        if self._last is not None or self._section is None:
            return self._last or ()
        size = self._counted.rows.size
        return self._counted.sums(self._section.memory.read(0, size))

    def keep(self) -> None:
        """The section goes away: what was counted stays."""
        self._last, self._section = self.read(), None

    def differences(self, before: Sequence[int]) -> Iterator[int]:
        """How much each counter went on since a `read`."""
        return (now - then for now, then in zip(self.read(), before, strict=True))


def refused(error: VerifierError, counted: Counted) -> VerifierError:
    """A refusal of a program with counters: they may be what is too much."""
    summary = (
        f"{error.summary}; the object has {counted.counters} counters, for cover=True: without them"
        f' the verifier may take it, or with fewer: cover=["{_smallest(counted)}", …] counts in the'
        " functions that it names"
    )
    return VerifierError(error.errno or 0, error.program, summary, error.log, error.tail)


def _smallest(counted: Counted) -> str:
    """The function with the fewest counters, which fits if any does."""
    found = min(counted.functions.values(), key=lambda each: each.counters)
    return found.function.name
