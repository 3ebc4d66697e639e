"""The index of a BTF as large as the kernel's, made no further than somebody asked.

A load wants a few dozen of 130,000 types, most of them among the first. So the walk over the
records ends behind the last one wanted, and goes on from there. Names need no walk: where a
name's offset stands among all words is searched, and where that is the name of a record of
the right kind, the walk must come that far to tell its id.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from osmia.btf.index_cache import IndexFile, KeptIndex
from osmia.btf.layout import (
    RECORD_WORDS,
    cut_off,
    end_of_record,
    record_starts,
    record_words,
)
from osmia.btf.names import NameColumn
from osmia.btf.record_search import RecordSearch
from osmia.btf.types import Kind
from osmia.errors import ObjectFormatError

#: Records that are walked at a time: a millisecond.
_STEP = 8192
#: The names of so many types are looked at before others are searched.
_FIRST = 256
#: What grew by so many records is kept anew.
_WORTH_KEEPING = 8192


class PartialIndex:
    """Where records start, in words: `positions`, which grow and do not change otherwise.

    It begins with what an earlier process kept in `file`; of that each row is to be checked
    before it is used, those below `restored`. ObjectFormatError for records that are none.
    """

    def __init__(
        self,
        words: memoryview,
        search: RecordSearch,
        file: IndexFile,
        name: str,
        types_start: int,
        first_id: int,
    ) -> None:
        self._words = words
        self._infos = words[1:]
        self._search = search
        self._file = file
        self._name = name
        self._types_start = types_start
        self._first_id = first_id
        self._strides: dict[int, int] = {}
        kept = file.load() or KeptIndex(array("I"), None, {})
        self.positions = kept.positions
        self.flavoured = kept.flavoured
        search.columns.update(kept.columns)
        self.restored = self._kept = len(kept.positions)
        self._kept_columns = len(kept.columns)

    @property
    def end(self) -> int:
        """Where the next record starts that was not walked over."""
        return self._end_of(self.positions[-1:])

    def _end_of(self, positions: array[int]) -> int:
        if not positions:
            return 0
        return end_of_record(self._words, positions[-1], self._name, self._types_start)

    def reach(self, row: int = -1, place: int = -1) -> None:
        """Walk until `row` is there and a record that starts at word `place`, or to the end."""
        positions = self.positions
        count = len(positions)
        if count > row and count and positions[-1] >= place:
            return
        if count and self.restored == count:
            self.check(count - 1)
        while self._walk_on() and not (len(positions) > row and positions[-1] >= place):
            pass
        self._keep_if_worth()

    def whole(self) -> array[int]:
        """Where all records start."""
        self.reach(place=len(self._words))
        return self.positions

    def checked(self) -> array[int]:
        """The same, and none is to be checked any more: one walk instead of a look at each."""
        if self.restored:
            name, types_start = self._name, self._types_start
            starts = record_starts(self._infos, self._strides, [], name, types_start)
            walked = array("I", islice(starts, self.restored))
            if walked != self.positions[: self.restored]:
                raise self._unfit()
            self.restored = 0
        return self.whole()

    def _walk_on(self) -> bool:
        """Some records further; whether there may be more.

        Threads may do so at the same time: each writes the same rows at the same place.
        """
        words, name, types_start = self._words, self._name, self._types_start
        count = len(self.positions)
        start = self._end_of(self.positions[max(count - 1, 0) : count])
        if start == len(words):
            return False
        starts = record_starts(self._infos, self._strides, [], name, types_start, start)
        step = array("I", islice(starts, _STEP))
        end = self._end_of(step) if step else start
        if end > len(words) or (len(step) < _STEP and end < len(words)):
            known = self.positions + step
            raise cut_off(known, end, len(words), name, types_start, self._first_id)
        self.positions[count : count + len(step)] = step
        return True

    def rows(self, offsets: list[int], kinds: tuple[Kind, ...]) -> Iterator[int]:
        """The rows of types whose name is at one of `offsets`, in order.

        All of `kinds` are there, or of any; others may be.
        """
        if len(offsets) == 1:
            return self._rows_of(offsets[0], kinds)
        return iter(sorted(row for each in offsets for row in self._rows_of(each, kinds)))

    def _rows_of(self, offset: int, kinds: tuple[Kind, ...]) -> Iterator[int]:
        positions = self.positions
        yield from self._first_names.rows([offset])
        for place in self._search.places(offset, kinds):
            self.reach(place=place)
            row = bisect_left(positions, place)
            if _FIRST <= row < len(positions) and positions[row] == place:
                yield row
        self._keep_if_worth()

    @cached_property
    def _first_names(self) -> NameColumn:
        """C's own types are among the first and asked for the most: no search for them."""
        starts = record_starts(self._infos, self._strides, [], self._name, self._types_start)
        return NameColumn.gathered(self._words, islice(starts, _FIRST))

    def check(self, row: int) -> None:
        """See that a row that was kept fits the data; the file goes where it does not."""
        last = row == self.restored - 1
        if row < self.restored and not (self._fits(row) and (not last or self._fits(row - 1))):
            raise self._unfit()

    def _unfit(self) -> ObjectFormatError:
        self._file.discard()
        problem = f"the index kept in the cache ({self._file.name}) does not fit"
        return ObjectFormatError(problem, file=self._name)

    def _fits(self, row: int) -> bool:
        """Whether there is a record that ends where the next starts; none is before the first."""
        words, positions = self._words, self.positions
        if row < 0:
            return not positions or positions[0] == 0
        start = positions[row]
        if start + RECORD_WORDS > len(words):
            return False
        try:
            end = start + record_words(words[start + 1], self._name, start)
        except ObjectFormatError:  # it points to what is no record
            return False
        return end == positions[row + 1] if row + 1 < len(positions) else end <= len(words)

    def note_flavoured(self, flavoured: list[str]) -> None:
        """The strings with a flavour, for later processes too."""
        self.flavoured = flavoured
        if self._kept:
            self._keep()

    def _keep_if_worth(self) -> None:
        grown = len(self.positions) - self._kept
        more = grown and (grown >= _WORTH_KEEPING or self._is_whole())
        if more or len(self._search.columns) > self._kept_columns:
            self._keep()

    def _is_whole(self) -> bool:
        return self.end == len(self._words)

    def _keep(self) -> None:
        columns = dict(self._search.columns)
        self._kept, self._kept_columns = len(self.positions), len(columns)
        self._file.keep(KeptIndex(self.positions, self.flavoured, columns))
