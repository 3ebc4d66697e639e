"""The order and the bytes of a BTF that is made of keys: the same for the same types.

Types stand in the order of their names, each followed by what has no name and is first
referred to by it; declaration tags come last. So the order says nothing about where the
types came from. Types of one kind and name are ordered by what they look like, from nearby
and then from further off, as far as it takes.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from osmia.btf.layout import ByteOrder, assemble, kind_in
from osmia.btf.likeness import DECL_TAG, VAR, Key, names_in, record_of, types_in

#: From how far off equal-named types are told apart, in references. Those that are still
#: alike keep the order in which they came; no compiler writes such.
_MAX_DISTANCE = 12


def write(keys: Sequence[Key | None], byteorder: ByteOrder) -> tuple[bytes, list[int]]:
    """The bytes of a BTF of the types with these keys; the new id of each, 0 for None.

    Keys refer to types by their places in `keys`.
    """
    order = _Order(keys)
    offsets = _Offsets()
    words: list[int] = []
    for key in order.keys:
        words += record_of(key, offsets, order.ids)
    return assemble(array("I", words), offsets.section, byteorder), order.ids


class _Offsets(dict[bytes, int]):
    """Where each name stands among the strings, in the order in which they are asked for."""

    def __init__(self) -> None:
        self.section = bytearray(b"\0")
        super().__init__({b"": 0})

    def __missing__(self, name: bytes) -> int:
        offset = self[name] = len(self.section)
        self.section += name + b"\0"
        return offset


class _Order:
    """Gives ids to keys."""

    def __init__(self, keys: Sequence[Key | None]) -> None:
        self._keys = keys
        self._prints: dict[tuple[int, int], bytes] = {}
        #: The id of each place in `keys`, and the keys by their ids, from 1 on.
        self.ids = [0] * len(keys)
        self.keys: list[Key] = []
        named, unnamed, tags = self._sorts()
        for _, alike in sorted(named.items()):
            self._place(alike)
        self._place([number for number in unnamed if not self.ids[number]])
        self._place_tags(tags)

    def _sorts(self) -> tuple[dict[tuple[bytes, int], list[int]], list[int], list[int]]:
        named = defaultdict[tuple[bytes, int], list[int]](list)
        unnamed, tags = [], []
        for number, key in enumerate(self._keys):
            if not key:
                continue
            kind = kind_in(key[0])
            if kind == DECL_TAG:
                tags.append(number)
            elif key[1]:
                named[key[1], kind].append(number)
            else:
                unnamed.append(number)
        return named, unnamed, tags

    def _place(self, alike: list[int]) -> None:
        """Give the next ids to these, and to what without a name they refer to."""
        keys, ids, placed = self._keys, self.ids, self.keys
        for first in self._sorted(alike, 0):
            waiting = [first]
            while waiting:
                number = waiting.pop()
                key = keys[number]
                if not key or ids[number]:
                    continue
                placed.append(key)
                ids[number] = len(placed)
                for child in reversed(types_in(key)):
                    if not ids[child] and (below := keys[child]) and not below[1]:
                        waiting.append(child)

    def _place_tags(self, tags: Iterable[int]) -> None:
        found = []
        for number in tags:
            if key := self._keys[number]:
                found.append((self.ids[key[2]], key[3], key[1], key[0], number, key))
        for *_, number, key in sorted(found):
            self.keys.append(key)
            self.ids[number] = len(self.keys)

    def _sorted(self, alike: list[int], distance: int) -> list[int]:
        """In the order of what they look like from this distance on."""
        if len(alike) < 2 or distance > _MAX_DISTANCE:
            return alike
        if self._are_one_variable(alike):
            return sorted(alike, key=self._number_of_variable)
        groups = defaultdict[bytes, list[int]](list)
        for number in alike:
            groups[self._print(number, distance)].append(number)
        return [
            number
            for _, group in sorted(groups.items())
            for number in self._sorted(group, distance + 1)
        ]

    def _are_one_variable(self, alike: list[int]) -> bool:
        """Whether these are variables that differ in nothing, so that any order is the same."""
        keys = [self._keys[number] or () for number in alike]
        first = keys[0]
        return kind_in(first[0]) == VAR and all(key[:4] == first[:4] for key in keys)

    def _number_of_variable(self, number: int) -> int:
        unique: int = (self._keys[number] or ())[4]
        return unique

    def _print(self, number: int, distance: int) -> bytes:
        """A digest of all that a type and its neighbours up to this distance say."""
        found = self._prints.get((number, distance))
        if found is None:
            key = self._keys[number]
            found = self._digest(key, distance) if key else b""
            self._prints[number, distance] = found
        return found

    def _digest(self, key: Key, distance: int) -> bytes:
        names = names_in(key)
        children = types_in(key)
        numbers = record_of(key[:4] if kind_in(key[0]) == VAR else key, _Zeros(), _Zeros())
        digest = blake2b(struct.pack(f"<{len(numbers)}I", *numbers), digest_size=16)
        digest.update(b"\0".join(names))
        if distance:
            digest.update(b"".join([self._print(child, distance - 1) for child in children]))
        return digest.digest()


class _Zeros(dict[Any, int]):
    """Any name or type as 0."""

    def __missing__(self, _: object) -> int:
        return 0
