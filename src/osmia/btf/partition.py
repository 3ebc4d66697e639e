"""Which nodes of a labelled graph look the same from every side: its coarsest stable partition.

Two nodes are equivalent when their labels are equal and their children, one by one in
order, are equivalent; in a graph with cycles, unless something tells them apart. That
is the minimisation of an automaton, and is done as Hopcroft did: when a class splits,
its largest part keeps the class's number, so that a node changes its class at most
log2(n) times and the whole takes O(edges · log(nodes)), on any input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias

#: What changed for a node since its class was last looked at: child's position, new class.
_Changes: TypeAlias = dict[int, int]


def equivalence_classes(labels: Sequence[Hashable], children: Sequence[Sequence[int]]) -> list[int]:
    """The number of each node's class. Nodes of equal labels must have equally many children."""
    partition = _Partition(labels, children)
    partition.refine()
    return partition.class_of


class _Partition:
    """Classes as sets of nodes; between two steps of `refine`, all nodes of a class agree in
    the classes of their children as these were before the changes in `_dirty`."""

    def __init__(self, labels: Sequence[Hashable], children: Sequence[Sequence[int]]) -> None:
        self.class_of: list[int] = [0] * len(labels)
        self._members: list[set[int]] = []
        self._dirty: defaultdict[int, dict[int, _Changes]] = defaultdict(dict)
        self._parents: list[list[tuple[int, int]]] = [[] for _ in labels]
        for node, own in enumerate(children):
            for position, child in enumerate(own):
                self._parents[child].append((node, position))
        self._split_by_labels(labels)
        self._split_by_children(children)

    def _split_by_labels(self, labels: Sequence[Hashable]) -> None:
        numbers: dict[Hashable, int] = {}
        for node, label in enumerate(labels):
            number = numbers.setdefault(label, len(numbers))
            if number == len(self._members):
                self._members.append(set())
            self._members[number].add(node)
            self.class_of[node] = number

    def _split_by_children(self, children: Sequence[Sequence[int]]) -> None:
        """Establishes what `refine` maintains: equal children's classes within each class."""
        class_of = self.class_of
        groups: list[list[set[int]]] = []
        for members in self._members:
            by_children: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
            for node in members:
                by_children[tuple([class_of[child] for child in children[node]])].add(node)
            groups.append(list(by_children.values()))
        for number, parts in enumerate(groups):
            self._split(number, parts)

    def refine(self) -> None:
        """Split until nothing tells nodes of one class apart."""
        while self._dirty:
            number, dirty = self._dirty.popitem()
            parts: defaultdict[tuple[tuple[int, int], ...], set[int]] = defaultdict(set)
            for node, changes in dirty.items():
                parts[tuple(sorted(changes.items()))].add(node)
            # Nodes without changes differ from all others, whose children moved.
            unchanged = len(self._members[number]) - len(dirty)
            if unchanged == 0:
                self._split(number, list(parts.values()))
            elif unchanged >= max(map(len, parts.values())):
                self._move_out(number, parts.values())
            else:
                rest = self._members[number].difference(dirty)
                self._split(number, [*parts.values(), rest])

    def _split(self, number: int, parts: list[set[int]]) -> None:
        """Make classes of `parts`, which together are the class; the largest keeps the number."""
        largest = max(parts, key=len)
        self._move_out(number, [part for part in parts if part is not largest])

    def _move_out(self, number: int, parts: Iterable[set[int]]) -> None:
        for part in parts:
            self._members[number] -= part
            fresh = len(self._members)
            self._members.append(part)
            for node in part:
                self._set_class(node, number, fresh)

    def _set_class(self, node: int, old: int, fresh: int) -> None:
        self.class_of[node] = fresh
        waiting = self._dirty.get(old)
        if waiting and node in waiting:
            # Changes that are still to be looked at go with the node.
            self._dirty[fresh][node] = waiting.pop(node)
            if not waiting:
                del self._dirty[old]
        for parent, position in self._parents[node]:
            self._dirty[self.class_of[parent]].setdefault(parent, {})[position] = fresh
