"""What comes most often, in bounded memory."""

from __future__ import annotations

import random

import pytest

from osmia.summaries import Top


def test_the_greatest_come_first() -> None:
    top = Top()
    for comm in ("cat", "dog", "cat", "cow"):
        top.add(comm)
    top.add("whale", 100)
    assert top.rows(2) == [("whale", 100), ("cat", 2)]
    assert top.rows(None) == [("whale", 100), ("cat", 2), ("dog", 1), ("cow", 1)]
    assert (top.total, len(top), top.dropped) == (104, 4, 0)


def test_memory_is_bounded_and_what_was_dropped_is_known() -> None:
    chance = random.Random(1)
    top = Top(most_keys=100)
    came = [chance.randrange(10_000) if chance.random() < 0.5 else -1 for _ in range(20_000)]
    for key in came:
        top.add(key)
    assert len(top) <= 100
    assert top.rows(1) == [(-1, came.count(-1))]
    assert top.total == 20_000
    assert top.dropped + sum(count for _, count in top.rows(None)) == 20_000
    for kept, count in top.rows(None):
        assert count <= came.count(int(str(kept))) <= count + top.dropped


def test_one_key_is_the_least() -> None:
    top = Top(most_keys=1)
    top.add("a")
    top.add("b", 2)
    assert (top.rows(), top.dropped) == ([("b", 2)], 1)
    with pytest.raises(ValueError, match="most_keys=0"):
        Top(most_keys=0)
