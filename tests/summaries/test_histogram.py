"""Histograms: which value is in which bucket, and BCC's drawing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.summaries import Bucket, Histogram
from osmia.summaries.histogram import MOST_BUCKETS


def test_powers_of_two_are_drawn_as_bcc_draws_them() -> None:
    histogram = Histogram(unit="usecs")
    for value, count in ((0, 1), (1, 2), (3, 29), (9, 15)):
        histogram.add(value, count)
    assert str(histogram).splitlines() == [
        "     usecs               : count     distribution",
        "         0 -> 1          : 3        |****                                    |",
        "         2 -> 3          : 29       |****************************************|",
        "         4 -> 7          : 0        |                                        |",
        "         8 -> 15         : 15       |********************                    |",
    ]


def test_a_step_makes_linear_buckets_and_long_gaps_one_line() -> None:
    lines = Histogram.of([10, 12, 19, 20, 900], step=10, unit="bytes").lines()
    assert [line.split("|")[0].rstrip() for line in lines] == [
        "     bytes               : count     distribution",
        "        10 -> 19         : 3",
        "        20 -> 29         : 1",
        "       ...",
        "       900 -> 909        : 1",
    ]
    assert Histogram.of([5], step=1).lines()[1].startswith("         5               : 1 ")


@given(st.integers(-(1 << 63), (1 << 64) - 1), st.one_of(st.none(), st.integers(1, 1 << 20)))
def test_each_value_is_within_its_bucket(value: int, step: int | None) -> None:
    (bucket,) = Histogram.of([value], step=step).buckets
    assert bucket.count == 1
    assert bucket.low is None or bucket.low <= value
    assert bucket.high is not None and value <= bucket.high


def test_what_is_below_zero_has_a_bucket_of_its_own() -> None:
    histogram = Histogram.of([-2, -110, 4])
    assert histogram.buckets == [Bucket(None, -1, 2), Bucket(4, 7, 1)]
    assert histogram.lines()[1].startswith("       ... -> -1         : 2  ")


def test_slots_are_numbered_as_programs_number_them() -> None:
    assert Histogram.from_slots([3, 0, 2]) == Histogram.of([0, 1, 1, 4, 7])
    bcc = Histogram.from_slots([0, 3, 0, 2], first=1)  # bpf_log2l
    assert bcc == Histogram.of([0, 1, 1, 4, 7])
    assert Histogram.from_slots([0, 1], step=5) == Histogram.of([6], step=5)


def test_lines_fit_the_width_down_to_the_numbers() -> None:
    histogram = Histogram.of([1, 2, 70000])
    for width in (200, 80, 60, 50):
        assert max(map(len, histogram.lines(width))) <= min(width, 80)
    assert all(line.count("|") == 2 for line in histogram.lines(10)[1:])
    wide = Histogram.of([1 << 60]).lines(80)
    assert len({line.index("|") for line in wide[1:]}) == 1
    assert max(map(len, wide)) <= 80


def test_what_came_between_two_readings() -> None:
    earlier, later = Histogram.of([1, 5]), Histogram.of([1, 5, 5, 100])
    assert later - earlier == Histogram.of([5, 100])
    assert earlier + Histogram.of([5, 100]) == later
    cleared = Histogram.of([1])
    assert cleared - Histogram.of([1, 1, 1]) == Histogram.of([1])  # it began anew
    with pytest.raises(ValueError, match="differ"):
        later - Histogram(step=5)


def test_memory_is_bounded_however_small_the_step() -> None:
    histogram = Histogram.of(range(2 * MOST_BUCKETS), step=1)
    assert (len(histogram.buckets), histogram.beyond) == (MOST_BUCKETS, MOST_BUCKETS)
    assert histogram.total == 2 * MOST_BUCKETS
    assert histogram.lines()[-1] == f"and {MOST_BUCKETS} more values without a bucket"


def test_what_is_no_number_breaks_nothing() -> None:
    histogram = Histogram.of([math.nan, math.inf, 1.5])
    assert (histogram.total, histogram.beyond) == (3, 2)
    assert Histogram(unit="ns").lines() == ["     ns: nothing was counted"]
    with pytest.raises(ValueError, match="at least 1"):
        Histogram(step=0)
