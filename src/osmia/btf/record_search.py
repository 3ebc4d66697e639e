"""Finding records by name among a million words, before anybody knows where records start.

A record starts with its name's offset and a word whose highest byte is its kind. Searching
four bytes in the bytes of all words is slow, since zeros abound. So one byte of each word is
put in a row (a plane), where `find` runs at the speed of memory.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from functools import cached_property
from operator import itemgetter

from osmia.btf.layout import KIND_FLAG, KIND_SHIFT, ByteOrder, kind_in
from osmia.btf.names import NameColumn
from osmia.btf.types import Kind
from osmia.named_tuples import NamedTuple

#: Kinds with names of which a kernel has some thousands: all of one are put in a column.
_FEW = frozenset(
    {Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.FWD, Kind.TYPEDEF}
    | {Kind.VAR, Kind.DATASEC, Kind.FLOAT, Kind.ENUM64}
)
_ANY = tuple(Kind)[1:]
#: So many words are searched at a time: new memory takes longer to get than to fill.
_CHUNK = 1 << 16
#: One byte in so many is counted to see which plane has fewest of the wanted one.
_SAMPLED = 61
#: Where a sample has more of it than one in so many, the next plane is asked too.
_RARE = 100


class KindColumn(NamedTuple):
    """Where the records of one kind may start, in words, and their names, row by row."""

    places: array[int]
    names: NameColumn


class RecordSearch:
    """Searches the 32-bit words in `data[start:end]`; `words` has them in the host's order."""

    def __init__(
        self,
        data: memoryview | mmap.mmap,
        start: int,
        end: int,
        words: memoryview,
        byteorder: ByteOrder,
    ) -> None:
        self._data = data
        self._start = start
        self._end = end
        self._words = words
        self._order = range(4) if byteorder == "little" else range(3, -1, -1)
        #: What was made for the kinds that were asked for; later processes may have it from here.
        self.columns: dict[int, KindColumn] = {}

    def places(self, offset: int, kinds: tuple[Kind, ...]) -> list[int] | Iterator[int]:
        """Where `offset` stands with a kind of `kinds` (or any) behind it, in order.

        All records with this name are there; so may be what only looks like one.
        """
        if kinds and _FEW.issuperset(kinds):
            self._make_columns(kinds)
            return sorted(place for kind in set(kinds) for place in self._of_kind(offset, kind))
        return self._places(offset, kinds or _ANY)

    def _of_kind(self, offset: int, kind: int) -> Iterator[int]:
        words, (places, names) = self._words, self.columns[kind]
        for row in names.rows([offset]):
            # Another process may have made the column.
            if places[row] + 1 < len(words) and words[places[row]] == offset:
                yield places[row]

    def _make_columns(self, kinds: tuple[Kind, ...]) -> None:
        """Find all records of these kinds."""
        made = {kind: array("I") for kind in kinds if kind not in self.columns}
        tops = [
            (top, places)
            for kind, places in made.items()
            for top in (kind, kind | KIND_FLAG >> KIND_SHIFT)
        ]
        for first in range(0, len(self._words) if made else 0, _CHUNK):
            find, before = self._part(3, first, first + _CHUNK).find, first - 1
            for top, places in tops:
                at = find(top, 0 if first else 1)  # the first word of all is no kind
                while at >= 0:
                    places.append(before + at)
                    at = find(top, at + 1)
        for kind, places in made.items():
            names = array("I", map(self._words.__getitem__, places))
            self.columns[kind] = KindColumn(places, NameColumn(names.tobytes()))

    def _places(self, offset: int, kinds: tuple[Kind, ...]) -> Iterator[int]:
        words, last = self._words, len(self._words) - 1
        for first in range(0, last, _CHUNK):
            plane, byte = self._rarest(offset, first)
            at = plane.find(byte)
            while at >= 0:
                place = first + at
                if words[place] == offset and place < last and kind_in(words[place + 1]) in kinds:
                    yield place
                at = plane.find(byte, at + 1)

    def _rarest(self, offset: int, first: int) -> tuple[bytes, int]:
        """Of a chunk, a plane that has few of the byte of `offset` in it, and that byte."""
        found = []
        for number in range(3):
            plane, byte = self._part(number, first, first + _CHUNK), offset >> 8 * number & 0xFF
            sample = plane[::_SAMPLED]
            count = sample.count(byte)
            found.append((count, plane, byte))
            if _RARE * count < len(sample):
                break
        return min(found, key=itemgetter(0))[1:]

    @cached_property
    def _source(self) -> bytes | mmap.mmap:
        """What can be sliced with a step fast."""
        return self._data if isinstance(self._data, mmap.mmap) else bytes(self._data)

    def _part(self, number: int, first: int, last: int) -> bytes:
        """Of each word in [first, last), the byte that is worth 256 ** `number`."""
        start = self._start + self._order[number]
        return self._source[start + 4 * first : min(start + 4 * last, self._end) : 4]
