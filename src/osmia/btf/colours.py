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
from typing import NamedTuple, TypeAlias

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

_DATASEC = int(Kind.DATASEC)

#: What paints types, and returns those that are to wait for others; and such types.
_Paint: TypeAlias = Callable[[list[int]], list[int]]
_Waiting: TypeAlias = tuple[_Paint, list[int]]

#: Where the kind is in a word of the host's order, and what that byte is without the flag.
_KIND_BYTE = 3 if sys.byteorder == "little" else 0
_WITHOUT_FLAG = bytes(number & KIND_MASK for number in range(256))

#: How often what could not be painted yet is tried again in a row, before that is planned.
_TRIALS = 8


class Unit(NamedTuple):
    """One of the BTFs: the colour of each of its types by id, 0 for what was left out."""

    btf: BTF
    colours: dict[int, int]


class Strings(dict[int, bytes]):
    """All strings of a BTF by their offsets; ends of others when they are asked for."""

    def __init__(self, btf: BTF) -> None:
        texts = btf.string_bytes().split(b"\0")
        offsets = map(add, accumulate(map(len, texts), initial=0), range(len(texts) - 1))
        super().__init__(zip(offsets, texts, strict=False))
        self._btf = btf

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
        self.variants: defaultdict[int, dict[Key, None]] = defaultdict(dict)
        self.declarations: dict[int, Key] = {}
        #: The colour of what refers to itself without a name; none in C.
        self.circular = next(self.numbers)

    def paint(self, btf: BTF, left_out: Collection[int]) -> None:
        """Add a BTF; of what it holds, data sections are left out, `left_out` and their tags."""
        painting = _Painting(self, btf)
        try:
            painting.paint(left_out)
        except KeyError:
            raise painting.explained() from None
        self.units.append(Unit(btf, painting.colours))

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

    def paint(self, left_out: Collection[int]) -> None:
        """Paint all types; KeyError when one refers to a type that does not exist."""
        kinds = self._rows_by_kind(left_out)
        tagged, unnamed = self._paint_tags(kinds)
        waiting = [
            *((self._paints.get(kind, self._paint_others), kinds[kind]) for kind in sorted(kinds)),
            *unnamed,
        ]
        for _ in range(_TRIALS):
            waiting = [(paint, left) for paint, rows in waiting if (left := paint(rows))]
        self._paint_in_order([row for _, rows in waiting for row in rows])
        self._compare_definitions(tagged)

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

    def _paint_tags(self, kinds: dict[int, list[int]]) -> tuple[list[int], list[_Waiting]]:
        """Paint what has a tag; the definitions, and how to paint those without a name."""
        words, starts, names = self._words, self._starts, self._names
        colours, colour_of = self.colours, self._colour_of
        tagged: list[int] = []
        waiting: list[_Waiting] = []
        for kind in (STRUCT, UNION, ENUM, ENUM64, FWD):
            left = []
            keyword = ENUM if kind == ENUM64 else kind
            for row in kinds.pop(kind, ()):
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
            paint = self._paint_composites if kind in COMPOSITE else self._paint_others
            waiting.append((paint, left))
        return tagged, waiting

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
        left: list[int] = []
        for row, key in self._composites(rows, left):
            self.colours[row] = self._colour_of[key]
        return left

    def _composites(self, rows: list[int], left: list[int]) -> Iterator[tuple[int, Key]]:
        """The keys of structs or unions, but of those that are to wait, which go to `left`.

        This is `key_at` for what most of the time goes into.
        """
        words, starts = self._words, self._starts
        name_of, colour_of = self._names.__getitem__, self.colours.__getitem__
        for row in rows:
            start = starts[row]
            info = words[start + 1]
            first = start + RECORD_WORDS
            end = first + 3 * (info & VLEN_MASK)
            try:
                key = (
                    info,
                    name_of(words[start]),
                    words[start + 2],
                    *map(name_of, words[first:end:3]),
                    *map(colour_of, words[first + 1 : end : 3]),
                    *words[first + 2 : end : 3],
                )
            except KeyError:
                left.append(row)
            else:
                yield row, key

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
        if any(child not in circular for child in waiting):
            raise KeyError
        self.colours.update(dict.fromkeys(circular, self._whole.circular))

    def _compare_definitions(self, tagged: list[int]) -> None:
        """See whether tags mean what they meant before."""
        words, starts, colours = self._words, self._starts, self.colours
        variants, meaning = self._whole.variants, self._whole.definitions.setdefault
        enums = [row for row in tagged if kind_in(words[starts[row] + 1]) in ENUMERATION]
        dangling: list[int] = []
        for row, key in self._composites(tagged[: len(tagged) - len(enums)], dangling):
            if meaning(colours[row], key) != key:
                variants[colours[row]][key] = None
        if dangling:
            raise KeyError
        declarations = self._whole.declarations
        for row in enums:
            tag, key = colours[row], key_at(words, starts[row], self._names, colours)
            if not key[0] & VLEN_MASK:
                declarations[tag] = min(key, declarations.get(tag, key))
            elif meaning(tag, key) != key:
                variants[tag][key] = None

    def explained(self) -> ObjectFormatError:
        """What is wrong with a BTF that refers to what does not exist."""
        count = len(self._starts)
        for row in reversed(self._rows):
            for child in types_at(self._words, self._starts[row]):
                if child >= count:
                    problem = f"type {row} refers to type {child}, which does not exist"
                    return ObjectFormatError(problem, file=self._btf.name)
        raise AssertionError("all types exist")
