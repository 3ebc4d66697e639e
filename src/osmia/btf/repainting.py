"""Colours for what painting could not tell: tags that mean several things, and all near them.

Whatever reaches such a tag, through members, pointers and definitions, may be several types
under one colour. These types of all units are nodes of a graph, whose classes `forwards`
finds; the rest of the types keep their colours, and are part of the nodes' labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import compress

from osmia.btf.colours import Colours, Strings, Unit
from osmia.btf.forwards import Classes, classes_of
from osmia.btf.layout import VLEN_MASK, kind_in
from osmia.btf.likeness import (
    COMPOSITE,
    ENUMERATION,
    FWD,
    VAR,
    Key,
    key_at,
    types_at,
    types_in,
    with_types,
)

#: Stands in a label for a type that is a node itself.
_NODE = -1


def repaint(colours: Colours) -> list[Key | None]:
    """The keys of all colours, in colours, after each has become that of equal types only.

    None stands for a colour that no type has.
    """
    keys = colours.keys()
    doubtful = _doubtful(colours, keys)
    if doubtful:
        graph = _Graph(doubtful, colours.declarations)
        for unit in colours.units:
            graph.add(unit)
        for colour in doubtful:
            keys[colour] = None
        graph.paint(keys)
    return keys


def _doubtful(colours: Colours, keys: Sequence[Key | None]) -> set[int]:
    """The colours from which one can get to a tag of several meanings."""
    waiting = [*colours.variants]
    if colours.has_circles:
        waiting.append(colours.circular)
    if not waiting:
        return set()
    parents = defaultdict[int, list[int]](list)
    for colour, key in enumerate(keys):
        alike = [key] if key else _meanings(colours, colour)
        for each in alike:
            for child in types_in(each):
                parents[child].append(colour)
    found: set[int] = set()
    while waiting:
        colour = waiting.pop()
        if colour not in found:
            found.add(colour)
            waiting += parents[colour]
    return found


def _meanings(colours: Colours, tag: int) -> list[Key]:
    others = colours.variants.get(tag)
    return [colours.definitions[tag], *others] if others else []


class _Graph:
    """The types of doubtful colours."""

    def __init__(self, doubtful: set[int], enumerations: Mapping[int, Key]) -> None:
        self._doubtful = doubtful
        #: What declares an enumeration, whatever its size says, by the tag.
        self._enumerations = enumerations
        self._types: list[tuple[Unit, int]] = []
        self._labels: list[Key] = []
        self._children: list[list[int]] = []
        self._definitions = defaultdict[int, list[int]](list)
        self._declarations: dict[int, int] = {}

    def add(self, unit: Unit) -> None:
        """Add the types of a unit that are of doubtful colours."""
        colours, doubtful = unit.colours, self._doubtful
        own = compress(range(len(colours)), map(doubtful.__contains__, colours))
        nodes = {row: node for node, row in enumerate(own, len(self._types))}
        names = Strings(unit.btf)
        for row, node in nodes.items():
            words = unit.btf.words(row)
            children = types_at(words, 0)
            types = {child: _NODE if child in nodes else colours[child] for child in children}
            label = self._tagged(node, key_at(words, 0, names, types), colours[row])
            if kind_in(label[0]) == VAR:
                label = (*label, node)  # equals nothing else
            self._types.append((unit, row))
            self._labels.append(label)
            self._children.append([nodes[child] for child in children if child in nodes])

    def _tagged(self, node: int, label: Key, colour: int) -> Key:
        """The label, after noting what declares or defines a tag, whose colour it has."""
        info, name = label[:2]
        kind = kind_in(info)
        if kind in ENUMERATION and not info & VLEN_MASK:
            self._declarations[node] = colour
            return self._enumerations[colour]
        if kind == FWD:
            self._declarations[node] = colour
        elif name and (kind in COMPOSITE or kind in ENUMERATION):
            self._definitions[colour].append(node)
        return label

    def paint(self, keys: list[Key | None]) -> None:
        """Give each class of nodes a new colour, with its key."""
        classes = classes_of(self._labels, self._children, self._definitions, self._declarations)
        first, colour_of = len(keys), dict[int, int]()
        keys += self._keys(classes, first, colour_of)
        for (unit, row), number in zip(self._types, classes.of, strict=True):
            unit.colours[row] = colour_of[number]

    def _keys(self, classes: Classes, first: int, colour_of: dict[int, int]) -> list[Key]:
        """The keys of the classes, whose colours count from `first` on."""
        nodes: list[int] = []
        for node, number in enumerate(classes.of):
            if node not in classes.resolved and number not in colour_of:
                colour_of[number] = first + len(nodes)
                nodes.append(node)
        keys = []
        for node in nodes:
            children = iter([colour_of[classes.of[child]] for child in self._children[node]])
            keys.append(with_types(self._labels[node], _NODE, children))
        return keys
