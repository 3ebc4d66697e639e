"""Rates of counters, and sparklines."""

from __future__ import annotations

from osmia.summaries import Rates, sparkline


def test_changes_and_rates_between_readings() -> None:
    rates = Rates({"packets": 100, "depth": 7})
    (packets, depth) = rates.update({"packets": 150, "depth": 4}, seconds=5)
    assert (packets.name, packets.value, packets.change, packets.per_second) == (
        "packets",
        150,
        50,
        10,
    )
    assert (depth.change, depth.per_second) == (-3, -0.6)
    (packets,) = rates.update({"packets": 170}, seconds=5)
    assert packets.recent == (10, 4)


def test_what_comes_later_began_at_zero_and_memory_is_bounded() -> None:
    rates = Rates(history=3)
    rates.update({"a": 1}, seconds=1)
    late = rates.update({"a": 1, "b": 8}, seconds=2)[1]
    assert (late.change, late.recent) == (8, (0, 4))
    for value in range(10):
        (rate,) = rates.update({"a": value}, seconds=1)
    assert rate.recent == (1, 1, 1)
    assert rates.update({}, seconds=1) == []


def test_the_clock_tells_the_time_between_where_nobody_does() -> None:
    (rate,) = Rates().update({"a": 1})
    assert rate.per_second > 1  # far less than a second


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 7]) == "▁▂▃█"
    assert sparkline([0, 3.5, 7], ascii=True) == "_=#"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([-5, 1]) == "▁█"
    assert sparkline([]) == ""
