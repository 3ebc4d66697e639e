"""Which types are equal when a forward declaration counts as the definition of its name.

It does when all definitions of that name are one; then what refers to it is compared as if
it had been the definition all along.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

from osmia.btf.partition import equivalence_classes
from osmia.named_tuples import NamedTuple

#: How often forward declarations are tried anew after some turned out ambiguous.
_MAX_TRIALS = 4

#: What a declaration and its definition have in common: the keyword and the name.
Tag = TypeVar("Tag", bound=Hashable)


class Classes(NamedTuple):
    """The number of each node's class; the declarations that are in their definition's."""

    of: list[int]
    resolved: Collection[int]


def classes_of(
    labels: Sequence[Hashable],
    children: Sequence[Sequence[int]],
    definitions: Mapping[Tag, Sequence[int]],
    declarations: Mapping[int, Tag],
) -> Classes:
    """The classes of nodes that look equal from every side (`partition`).

    `definitions` has the nodes that define each tag, `declarations` the tag of each node
    that only declares one.
    """
    forwards = _resolvable(set(declarations.values()), labels, definitions)
    for trial in range(_MAX_TRIALS + 1):
        standing_for = {i: forwards[tag] for i, tag in declarations.items() if tag in forwards}
        resolved = [[standing_for.get(child, child) for child in own] for own in children]
        class_of = equivalence_classes(labels, resolved)
        ambiguous = {tag for tag in forwards if len({class_of[i] for i in definitions[tag]}) > 1}
        if not ambiguous:
            break
        # Other names may hang on these; in the end, none that does is resolved.
        last = trial == _MAX_TRIALS - 1
        forwards = {} if last else {t: i for t, i in forwards.items() if t not in ambiguous}
    return Classes([class_of[standing_for.get(i, i)] for i in range(len(labels))], standing_for)


def _resolvable(
    declared: set[Tag], labels: Sequence[Hashable], definitions: Mapping[Tag, Sequence[int]]
) -> dict[Tag, int]:
    """Of the declared tags, those whose definitions may all be one; with the first of these."""
    return {
        tag: candidates[0]
        for tag in declared
        if (candidates := definitions.get(tag, ()))
        and all(labels[other] == labels[candidates[0]] for other in candidates)
    }
