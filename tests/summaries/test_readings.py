"""The numbers in maps and variables, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import osmia
from osmia.summaries import Sample, samples

SOURCE = Path(__file__).parent / "numbers.bpf.c"


@pytest.fixture(scope="module", params=[pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def read(request: pytest.FixtureRequest) -> Iterator[dict[str, Sample]]:
    """The numbers by name, after two runs."""
    with osmia.compile(SOURCE).load(request.param) as loaded:
        for _ in range(2):
            loaded.programs["count"].run(bytes(64))
        yield {each.name: each for each in samples(loaded)}


def test_structs_are_read_member_by_member(read: dict[str, Sample]) -> None:
    packets = read["flows[80, lo, 7].packets"]
    assert (packets.source, packets.field, packets.value) == ("flows", "packets", 3)
    assert packets.key == (("from.port", 80), ("from.dev", "lo"), ("mark", 7))
    assert packets.codec.type_name == "__u64"
    assert read["flows[80, lo, 7, 1].sizes"].indices == (1,)
    assert not any("lock" in name or "side" in name for name in read)


def test_values_of_cpus_are_added_up_and_arrays_are_told_by_index(read: dict[str, Sample]) -> None:
    assert [read[f"drops[{i}]"].value for i in range(2)] == [0, 2]
    assert read["drops[1]"].key == (("index", 1),)
    assert (read["only"].value, read["only"].key) == (-1, ())


def test_of_large_arrays_only_what_is_not_zero_is_told(read: dict[str, Sample]) -> None:
    assert {name: each.value for name, each in read.items() if each.source == "ports"} == {
        "ports[900]": 8
    }
    assert [name for name in read if name.startswith("table")] == ["table[500]"]


def test_variables_that_are_numbers_and_no_constants(read: dict[str, Sample]) -> None:
    assert (read["seen"].value, read["ready"].value) == (10, 1)
    assert not read.keys() & {"limit", "label", "somewhere", "LICENSE"}
    assert not any(name.startswith(("calls", ".")) for name in read)


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def test_addresses_are_told_as_such_and_are_no_numbers(engine: str) -> None:
    with osmia.compile(SOURCE.parent / "addresses.bpf.c").load(engine) as loaded:
        loaded.programs["watch"].run(bytes(64))
        names = {each.name: each.value for each in samples(loaded)}
    assert names == {
        "peers[10.0.0.1, 443, 02:00:00:00:00:09].packets": 1,
        "peers[10.0.0.1, 443, 02:00:00:00:00:09].last_seen_ns": 5_000_000_000,
        "networks[10.0.0.0/8]": 3,
    }
