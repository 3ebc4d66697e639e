"""Maps and variables that are histograms, as real programs keep them, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.summaries import (
    Histogram,
    Shape,
    histogram_shape,
    histograms,
    key_text,
    variable_histogram,
)

SOURCE = Path(__file__).parent / "histograms.bpf.c"
SIZES = (64, 64, 65, 100, 128, 1500)


@pytest.fixture(scope="module", params=[pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def counted(request: pytest.FixtureRequest) -> Iterator[osmia.LoadedObject]:
    """The program, after it has run on packets of these sizes."""
    with osmia.compile(SOURCE).load(request.param) as loaded:
        for size in SIZES:
            loaded.programs["measure"].run(bytes(size))
        yield loaded


def test_shapes_are_told_from_types_and_names(counted: osmia.LoadedObject) -> None:
    shapes = {name: histogram_shape(each) for name, each in counted.maps.items()}
    assert shapes["size_hist"] == Shape("entries")
    assert shapes["by_parity"] == Shape("value", "slots")
    assert shapes["sizes"] == Shape("key", "slot")
    assert shapes["counters"] is None


def test_an_array_of_counters_is_one_histogram(counted: osmia.LoadedObject) -> None:
    assert histograms(counted.maps["size_hist"]) == {(): Histogram.of(SIZES)}


def test_values_that_are_histograms_are_one_for_each_key(counted: osmia.LoadedObject) -> None:
    found = histograms(counted.maps["by_parity"], unit="bytes")
    assert found == {
        (("key", 0),): Histogram.of([64, 64, 100, 128, 1500]),
        (("key", 1),): Histogram.of([65]),
    }
    assert found[("key", 1),].unit == "bytes"


def test_keys_with_a_slot_make_one_for_each_rest_of_the_key(counted: osmia.LoadedObject) -> None:
    found = histograms(counted.maps["sizes"])
    assert {key_text(key): each.total for key, each in found.items()} == {
        "parity = 0, name = veth": 5,
        "parity = 1, name = veth": 1,
    }
    assert found[("parity", 1), ("name", "veth")] == Histogram.of([65])


def test_any_map_of_counters_is_one_when_told(counted: osmia.LoadedObject) -> None:
    counters = counted.maps["counters"]
    assert histograms(counters, shape=Shape("entries")) == {(): Histogram.of(SIZES)}
    linear = histograms(counters, shape=Shape("entries"), step=1)
    assert [(each.low, each.count) for each in linear[()].buckets] == [(6, 4), (7, 1), (10, 1)]
    with pytest.raises(TypeError, match="'counters' does not look like a histogram"):
        histograms(counters)


def test_variables_are_histograms_too(counted: osmia.LoadedObject) -> None:
    def found(name: str) -> Any:
        return variable_histogram(name, counted.data.slot(name).codec, counted.data[name])

    assert found("all") == found("lengths_hist") == Histogram.of(SIZES)
    assert found("others") is None
