"""The coarsest stable partition, beside the slow and obvious way to find it."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.btf.partition import equivalence_classes

Graph = tuple[list[int], list[list[int]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 14))
    # A label is its number of children, so that equal labels have equally many.
    labels = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    nodes = st.integers(0, count - 1)
    return labels, [draw(st.lists(nodes, min_size=n, max_size=n)) for n in labels]


def obvious_classes(labels: list[int], children: list[list[int]]) -> list[int]:
    class_of = labels
    for _ in labels:
        signatures = [
            (class_of[node], *(class_of[child] for child in own))
            for node, own in enumerate(children)
        ]
        numbers = {signature: number for number, signature in enumerate(sorted(set(signatures)))}
        class_of = [numbers[signature] for signature in signatures]
    return class_of


def as_sets(class_of: list[int]) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for node, number in enumerate(class_of):
        members.setdefault(number, set()).add(node)
    return {frozenset(nodes) for nodes in members.values()}


@given(graphs())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_it_finds_what_the_obvious_way_finds(graph: Graph) -> None:
    labels, children = graph
    assert as_sets(equivalence_classes(labels, children)) == as_sets(
        obvious_classes(labels, children)
    )


def test_cycles_of_any_length_are_one_when_nothing_tells_them_apart() -> None:
    assert len(set(equivalence_classes([1] * 5, [[1], [2], [0], [4], [3]]))) == 1


def test_nothing_has_no_classes() -> None:
    assert equivalence_classes([], []) == []


def test_a_long_chain_takes_no_quadratic_time() -> None:
    count = 50_000
    labels = [0] + [1] * (count - 1)
    children: list[list[int]] = [[]] + [[node] for node in range(count - 1)]
    started = time.process_time()
    assert len(set(equivalence_classes(labels, children))) == count
    assert time.process_time() - started < 5


def test_a_node_with_many_children_that_change_one_by_one() -> None:
    count = 5_000
    chain: list[list[int]] = [[]] + [[node] for node in range(count - 1)]
    labels = [0] + [1] * (count - 1) + [2, 2]
    started = time.process_time()
    classes = equivalence_classes(labels, [*chain, list(range(count)), list(range(count))])
    assert classes[-1] == classes[-2]
    assert len(set(classes)) == count + 1
    assert time.process_time() - started < 5
