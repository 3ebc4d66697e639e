"""All types of many BTFs as small integers: types of one colour look the same.

Painting goes through each BTF once. What looks the same is found by keys (`likeness`) in one
dictionary, from what refers to nothing upwards. Types can refer to each other in circles,
but in C each circle goes through a struct or union that has a name: those (and enumerations,
since they can be declared only) get the colour of their *tag* before anybody looks at their
members. So a forward declaration has the colour of its definition, and whether one tag means
one thing is seen at the end: when all definitions of each tag are alike, painted with these
very colours, then all that has one colour is equal, along any path.

Tags with several definitions, and what refers to them, are told apart the long way
(`repainting`): few types, as a rule.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate, count
from operator import add
from typing import TypeAlias

from osmia.btf.layout import KIND_FLAG, KIND_MASK, KIND_SHIFT, RECORD_WORDS, VLEN_MASK, kind_in
from osmia.btf.likeness import (
    COMPOSITE,
    DECL_TAG,
    ENUM,
    ENUM64,
    ENUMERATION,
    FWD,
    PLAIN,
    PROTOTYPE,
    STRUCT,
    UNION,
    VAR,
    Key,
    key_at,
    types_at,
)
from osmia.btf.reader import BTF
from osmia.btf.types import Kind
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

_DATASEC = int(Kind.DATASEC)

#: What paints types, and returns those that are to wait for others.
_Paint: TypeAlias = Callable[[list[int]], list[int]]

#: A struct's or union's `info`, size, and of its members names, colours and offsets.
_Meaning: TypeAlias = tuple[int, int, list[bytes], list[int], list[int]]

#: In this order, most types find painted what they refer to.
_ORDER = [
    int(kind)
    for kind in (
        *(Kind.INT, Kind.FLOAT, Kind.ENUM, Kind.ENUM64, Kind.FWD),
        *(Kind.TYPEDEF, Kind.ARRAY, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG),
        *(Kind.PTR, Kind.FUNC_PROTO, Kind.FUNC, Kind.VAR, Kind.DECL_TAG),
    )
]

#: Where the kind is in a word of the host's order, and what that byte is without the flag.
_KIND_BYTE = 3 if sys.byteorder == "little" else 0
_WITHOUT_FLAG = bytes(number & KIND_MASK for number in range(256))

#: How often what could not be painted yet is tried again in a row, before that is planned.
_TRIALS = 8


class Unit(NamedTuple):
    """One of the BTFs: the colour of each of its types by id, 0 for what was left out."""

    btf: BTF
    colours: list[int]


class Strings(dict[int, bytes]):
    """The strings of a BTF by their offsets, each read when it is first asked for."""

    def __init__(self, btf: BTF) -> None:
        super().__init__()
        self._btf = btf

    def read_all(self) -> None:
        """Read all but those that are ends of others: much cheaper than one by one."""
        texts = self._btf.string_bytes().split(b"\0")
        offsets = map(add, accumulate(map(len, texts), initial=0), range(len(texts) - 1))
        self.update(zip(offsets, texts, strict=False))

    def __missing__(self, offset: int) -> bytes:
        text = self[offset] = self._btf.string(offset).encode("utf-8", "surrogateescape")
        return text


class Colours:
    """The colours of the BTFs that were painted; 0 is void's, and that of what is left out."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.numbers = count(1)
        self.by_key: defaultdict[Key, int] = defaultdict(self.numbers.__next__, {(): 0})
        #: By the colour of a tag, (keyword, name) as a key: its first definition; others that
        #: are not like it; what declares an enumeration.
        self.definitions: dict[int, Key] = {}
        #: The definitions in parts that are quicker to make and to compare than keys.
        self.meanings: dict[int, _Meaning] = {}
        self.variants: defaultdict[int, dict[Key, None]] = defaultdict(dict)
        self.declarations: dict[int, Key] = {}
        #: The colour of what refers to itself without a name, which nothing does in C.
        self.circular = next(self.numbers)
        self.has_circles = False

    def paint(self, btf: BTF, left_out: Collection[int]) -> None:
        """Add a BTF; of what it holds, data sections are left out, `left_out` and their tags."""
        painting = _Painting(self, btf)
        try:
            colours = painting.paint(left_out)
        except LookupError:
            raise painting.explained() from None
        self.units.append(Unit(btf, colours))

    def keys(self) -> list[Key | None]:
        """The key of each colour, in colours; None for a tag that means several things."""
        found: list[Key | None] = [None] * next(self.numbers)
        for key, colour in self.by_key.items():
            found[colour] = key if len(key) != 2 else self._tagged(key, colour)
        return found

    def _tagged(self, tag: Key, colour: int) -> Key | None:
        keyword, name = tag
        if colour in self.variants:
            return None
        if colour in self.definitions:
            return self.definitions[colour]
        if keyword == ENUM:
            return self.declarations[colour]
        return (FWD << KIND_SHIFT | (KIND_FLAG if keyword == UNION else 0), name, 0)


class _Painting:
    """One BTF on its way into `Colours`."""

    def __init__(self, whole: Colours, btf: BTF) -> None:
        self._whole = whole
        self._btf = btf
        words, starts = btf.records()
        self._names = Strings(btf)
        self._names.read_all()
        self._words: list[int] = words.tolist()
        #: By id; void has no record.
        self._starts: list[int] = [0, *starts.tolist()]
        #: Of each word the byte that is the kind, with its flag, where the word is an `info`.
        self._kinds = bytes(words)[_KIND_BYTE::4].translate(_WITHOUT_FLAG)
        self._rows = range(len(starts), 0, -1)
        self._colour_of = whole.by_key
        #: By id; what is not in it waits for others to be.
        self.colours: dict[int, int] = {0: 0}
        self._paints: dict[int, _Paint] = dict.fromkeys(PLAIN, self._paint_plain)
        self._paints |= dict.fromkeys(COMPOSITE, self._paint_composites)
        self._paints[PROTOTYPE] = self._paint_prototypes

    def paint(self, left_out: Collection[int]) -> list[int]:
        """Paint all types; LookupError when one refers to a type that does not exist."""
        kinds = self._rows_by_kind(left_out)
        tagged = self._paint_tags(kinds)
        composites = sorted(kinds.get(STRUCT, []) + kinds.get(UNION, []), reverse=True)
        waiting = [
            *((self._paints.get(kind, self._paint_others), kinds.get(kind, [])) for kind in _ORDER),
            (self._paint_composites, composites),
        ]
        for _ in range(_TRIALS):
            waiting = [(paint, left) for paint, rows in waiting if (left := paint(rows))]
        self._paint_in_order([row for _, rows in waiting for row in rows])
        # A list is twice as fast to look up in as a dictionary whose keys are other objects.
        colours = list(map(self.colours.__getitem__, range(len(self._starts))))
        self._compare_definitions(tagged, colours)
        return colours

    def _rows_by_kind(self, left_out: Collection[int]) -> dict[int, list[int]]:
        """The ids of each kind, downwards: most types refer to later ones."""
        kinds = defaultdict[int, list[int]](list)
        of_word = self._kinds
        for row, start in zip(self._rows, reversed(self._starts), strict=False):
            kinds[of_word[start + 1]].append(row)
        absent = {*left_out, *kinds.pop(_DATASEC, ())}
        if absent:
            words, starts = self._words, self._starts
            tags = kinds.get(DECL_TAG, ())
            absent.update([row for row in tags if words[starts[row] + 2] in absent])
            self.colours.update(dict.fromkeys(absent, 0))
            for kind, rows in kinds.items():
                if not absent.isdisjoint(rows):
                    kinds[kind] = [row for row in rows if row not in absent]
        return kinds

    def _paint_tags(self, kinds: dict[int, list[int]]) -> list[int]:
        """Paint what has a tag, and leave the others in `kinds`; those that are definitions."""
        words, starts, names = self._words, self._starts, self._names
        colours, colour_of = self.colours, self._colour_of
        tagged: list[int] = []
        for kind in (STRUCT, UNION, ENUM, ENUM64, FWD):
            left = []
            keyword = ENUM if kind == ENUM64 else kind
            for row in kinds.get(kind, ()):
                start = starts[row]
                name = names[words[start]]
                if not name:
                    left.append(row)
                    continue
                if kind == FWD:
                    keyword = UNION if words[start + 1] & KIND_FLAG else STRUCT
                else:
                    tagged.append(row)
                colours[row] = colour_of[keyword, name]
            kinds[kind] = left
        return tagged

    def _paint_plain(self, rows: list[int]) -> list[int]:
        """Paint pointers and the like; those are left that are to wait, as with all kinds."""
        words, starts, names = self._words, self._starts, self._names
        colours, colour_of = self.colours, self._colour_of
        colour_at = colours.get
        left = []
        for row in rows:
            start = starts[row]
            target = colour_at(words[start + 2])
            if target is None:
                left.append(row)
            else:
                colours[row] = colour_of[words[start + 1], names[words[start]], target]
        return left

    def _paint_composites(self, rows: list[int]) -> list[int]:
        """Paint structs and unions without a name: `key_at` for what much of the time goes into."""
        words, starts, colours = self._words, self._starts, self.colours
        name_of, colour_of = self._names.__getitem__, colours.__getitem__
        left = []
        for row in rows:
            start = starts[row]
            info = words[start + 1]
            first = start + RECORD_WORDS
            end = first + 3 * (info & VLEN_MASK)
            try:
                colours[row] = self._colour_of[
                    info,
                    name_of(words[start]),
                    words[start + 2],
                    *map(name_of, words[first:end:3]),
                    *map(colour_of, words[first + 1 : end : 3]),
                    *words[first + 2 : end : 3],
                ]
            except KeyError:
                left.append(row)
        return left

    def _paint_prototypes(self, rows: list[int]) -> list[int]:
        words, starts, colours = self._words, self._starts, self.colours
        name_of, colour_of = self._names.__getitem__, colours.__getitem__
        left = []
        for row in rows:
            start = starts[row]
            info = words[start + 1]
            first = start + RECORD_WORDS
            end = first + 2 * (info & VLEN_MASK)
            try:
                colours[row] = self._colour_of[
                    info,
                    name_of(words[start]),
                    colour_of(words[start + 2]),
                    *map(name_of, words[first:end:2]),
                    *map(colour_of, words[first + 1 : end : 2]),
                ]
            except KeyError:
                left.append(row)
        return left

    def _paint_others(self, rows: list[int]) -> list[int]:
        left = []
        for row in rows:
            try:
                self._paint_one(row)
            except KeyError:
                left.append(row)
        return left

    def _paint_one(self, row: int) -> None:
        key = key_at(self._words, self._starts[row], self._names, self.colours)
        if kind_in(key[0]) == VAR:
            key = (*key, len(self._whole.units) << 32 | row)
        self.colours[row] = self._colour_of[key]

    def _paint_in_order(self, rows: list[int]) -> None:
        """Paint each once all that it refers to are, in whatever order they stand."""
        ready = [(row, iter(types_at(self._words, self._starts[row]))) for row in rows]
        waiting = defaultdict[int, list[tuple[int, Iterator[int]]]](list)
        while ready:
            row, children = ready.pop()
            for child in children:
                if child not in self.colours:
                    waiting[child].append((row, children))
                    break
            else:
                self._paint_one(row)
                ready += waiting.pop(row, ())
        circular = {row for entries in waiting.values() for row, _ in entries}
        for row in circular:
            for child in types_at(self._words, self._starts[row]):
                if child not in self.colours and child not in circular:
                    raise KeyError
        self.colours.update(dict.fromkeys(circular, self._whole.circular))
        self._whole.has_circles |= bool(circular)

    def _compare_definitions(self, tagged: list[int], colours: list[int]) -> None:
        """See whether tags mean what they meant before."""
        whole, names = self._whole, self._names
        words, starts = self._words, self._starts
        name_of, colour_of = names.__getitem__, colours.__getitem__
        for row in tagged:
            start = starts[row]
            info = words[start + 1]
            tag = colours[row]
            if kind_in(info) in ENUMERATION:
                self._compare_enumeration(tag, key_at(words, start, names, colours))
                continue
            # Most are as they were: their keys, which take a third more time, are not made.
            first = start + RECORD_WORDS
            end = first + 3 * (info & VLEN_MASK)
            meaning = (
                info,
                words[start + 2],
                list(map(name_of, words[first:end:3])),
                list(map(colour_of, words[first + 1 : end : 3])),
                words[first + 2 : end : 3],
            )
            before = whole.meanings.setdefault(tag, meaning)
            if before is meaning:
                whole.definitions[tag] = key_at(words, start, names, colours)
            elif before != meaning:
                whole.variants[tag][key_at(words, start, names, colours)] = None

    def _compare_enumeration(self, tag: int, key: Key) -> None:
        whole = self._whole
        if not key[0] & VLEN_MASK:
            whole.declarations[tag] = min(key, whole.declarations.get(tag, key))
        elif whole.definitions.setdefault(tag, key) != key:
            whole.variants[tag][key] = None

    def explained(self) -> ObjectFormatError:
        """What is wrong with a BTF that refers to what does not exist."""
        count = len(self._starts)
        for row in reversed(self._rows):
            for child in types_at(self._words, self._starts[row]):
                if child >= count:
                    problem = f"type {row} refers to type {child}, which does not exist"
                    return ObjectFormatError(problem, file=self._btf.name)
        raise AssertionError("all types exist")
