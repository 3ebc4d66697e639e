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

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import accumulate, count
from operator import add
from typing import NamedTuple

from osmia.btf.layout import KIND_FLAG, KIND_SHIFT, VLEN_MASK, kind_in
from osmia.btf.likeness import (
    COMPOSITE,
    DECL_TAG,
    ENUM,
    ENUMERATION,
    FWD,
    SINGLE,
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

#: How often what could not be painted yet is tried again in a row, before that is planned.
_TRIALS = 8


class Unit(NamedTuple):
    """One of the BTFs: the colour of each of its types by id, 0 for what was left out."""

    btf: BTF
    colours: list[int]


class Names(dict[int, int]):
    """The numbers of a BTF's strings by their offsets, whole strings and their ends."""

    def __init__(self, btf: BTF, numbers: defaultdict[bytes, int]) -> None:
        texts = btf.string_bytes().split(b"\0")
        offsets = map(add, accumulate(map(len, texts), initial=0), range(len(texts) - 1))
        super().__init__(zip(offsets, map(numbers.__getitem__, texts), strict=False))
        self._btf = btf
        self._numbers = numbers

    def __missing__(self, offset: int) -> int:
        text = self._btf.string(offset).encode("utf-8", "surrogateescape")
        number = self[offset] = self._numbers[text]
        return number


class Colours:
    """The colours of the BTFs that were painted; 0 is void's, and that of what is left out."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.names: defaultdict[bytes, int] = defaultdict(count(1).__next__, {b"": 0})
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
        self.units.append(Unit(btf, [painting.colours[i] for i in range(len(btf))]))

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
        self._names = Names(btf, whole.names)
        self._words, self._starts = btf.records()
        self._colour_of = whole.by_key
        #: By id; what is not in it waits for others to be.
        self.colours: dict[int, int] = {0: 0}

    def paint(self, left_out: Collection[int]) -> None:
        """Paint all types; KeyError when one refers to a type that does not exist."""
        tagged: list[int] = []
        singles: list[tuple[int, list[int]]] = []
        others: list[int] = []
        for info, rows in self._groups(left_out):
            kind = kind_in(info)
            if kind in COMPOSITE or kind in ENUMERATION:
                others += self._paint_tags(kind, rows, tagged)
            elif kind == FWD:
                others += self._paint_tags(UNION if info & KIND_FLAG else STRUCT, rows, [])
            elif kind in SINGLE and kind not in (VAR, DECL_TAG):
                singles.append((info, rows))
            else:
                others += rows
        for _ in range(_TRIALS):
            singles = [(info, self._paint_singles(info, rows)) for info, rows in singles]
            others = self._paint_others(others)
            if not others and not any(rows for _, rows in singles):
                break
        else:
            self._paint_in_order([*others, *(row for _, rows in singles for row in rows)])
        self._compare_definitions(tagged)

    def _groups(self, left_out: Collection[int]) -> Iterator[tuple[int, list[int]]]:
        """The ids of equal `info` words, downwards: most types refer to later ones."""
        words, groups = self._words, defaultdict[int, list[int]](list)
        for row in range(len(self._starts) - 1, 0, -1):
            groups[words[self._starts[row] + 1]].append(row)
        absent = set(left_out)
        for info in [info for info in groups if kind_in(info) == _DATASEC]:
            absent.update(groups.pop(info))
        if not absent:
            yield from groups.items()
            return
        self.colours.update(dict.fromkeys(absent, 0))
        for info, rows in groups.items():
            if kind_in(info) == DECL_TAG:
                tags = [row for row in rows if words[self._starts[row] + 2] in absent]
                self.colours.update(dict.fromkeys(tags, 0))
            yield info, [row for row in rows if row not in self.colours]

    def _paint_tags(self, kind: int, rows: list[int], tagged: list[int]) -> list[int]:
        """Paint what has a name; the others are left."""
        words, starts, names = self._words, self._starts, self._names
        colours, colour_of = self.colours, self._colour_of
        keyword = ENUM if kind in ENUMERATION else kind
        left = []
        for row in rows:
            name = names[words[starts[row]]]
            if name:
                colours[row] = colour_of[keyword, name]
                tagged.append(row)
            else:
                left.append(row)
        return left

    def _paint_singles(self, info: int, rows: list[int]) -> list[int]:
        """Paint pointers and the like; those are left that are to wait."""
        words, starts, names = self._words, self._starts, self._names
        colours, colour_of = self.colours, self._colour_of
        left = []
        for row in rows:
            start = starts[row]
            target = words[start + 2]
            if target in colours:
                colours[row] = colour_of[info, names[words[start]], colours[target]]
            else:
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

    def _compare_definitions(self, rows: list[int]) -> None:
        words, starts, names, colours = self._words, self._starts, self._names, self.colours
        whole = self._whole
        definitions = whole.definitions
        for row in rows:
            key = key_at(words, starts[row], names, colours)
            tag = colours[row]
            if kind_in(key[0]) in ENUMERATION and not key[0] & VLEN_MASK:
                whole.declarations[tag] = min(key, whole.declarations.get(tag, key))
                continue
            first = definitions.setdefault(tag, key)
            if first != key:
                whole.variants[tag][key] = None

    def explained(self) -> ObjectFormatError:
        """What is wrong with a BTF that refers to what does not exist."""
        count = len(self._starts)
        for row in range(1, count):
            for child in types_at(self._words, self._starts[row]):
                if child >= count:
                    problem = f"type {row} refers to type {child}, which does not exist"
                    return ObjectFormatError(problem, file=self._btf.name)
        raise AssertionError("all types exist")
