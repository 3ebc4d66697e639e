"""Pruning a datapath of a dozen features: with each of them off, what is left runs as before."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import osmia
from osmia.object import Map, MapType, Object
from osmia.passes.prune import prune

from .assembled import assembled
from .test_prune import map_ids

pytestmark = pytest.mark.slow

PACKETS = range(14, 14 + 24)


@pytest.fixture(scope="module")
def datapath() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    yield importlib.import_module("datapath")
    monkeypatch.undo()


@pytest.fixture(scope="module")
def whole(datapath: ModuleType) -> Object:
    return osmia.compile(source=datapath.source())


def without(whole: Object, *features: int) -> Object:
    obj = whole.copy()
    for feature in features:
        obj.data[f"feature_{feature}"] = 0
    return obj


def runs(obj: Object, engine: str, **options: Any) -> tuple[list[int], dict[str, list[Any]]]:
    """Verdicts for packets of many lengths, and what is in the maps then."""
    if engine == "vm":
        options["jit"] = False
    with obj.load(engine, **options) as loaded:
        entry = loaded.programs["entry"]
        verdicts = [entry.run(bytes(size)).retval for size in PACKETS]
        held = {
            name: list(loaded.maps[name].values())[:70] for name in loaded.maps if name != "stages"
        }
    return verdicts, held


def test_it_is_as_large_as_it_should_be(whole: Object) -> None:
    assert (len(whole.programs), len(whole.maps)) == (20, 30)
    assert not prune(whole).programs
    assert not prune(whole).maps


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["vm", "kernel"])
def test_with_each_feature_off_what_is_left_runs_as_before(
    datapath: ModuleType, whole: Object, engine: str
) -> None:
    for feature in range(datapath.FEATURES):
        obj = without(whole, feature)
        pruned = prune(obj)
        assert len(pruned.programs) == datapath.PROGRAMS.get(feature, 0)
        assert len(pruned.maps) == datapath.MAPS[feature]
        before, held_before = runs(obj, engine)
        after, held_after = runs(obj, engine, prune=True)
        assert after == before
        assert held_after == {name: held_before[name] for name in held_after}


@pytest.mark.kernel
def test_no_map_that_the_kernel_uses_is_missing(datapath: ModuleType, whole: Object) -> None:
    """Also with several features off: the translated instructions of the whole object tell."""
    several = [(0, 4, 8), (1, 2, 3, 5, 7, 10, 11), tuple(range(datapath.FEATURES))]
    for features in [(n,) for n in range(datapath.FEATURES)] + several:
        obj = without(whole, *features)
        kept = prune(obj).object
        with obj.load() as loaded:
            numbers = {loaded.maps[name].info.id: name for name in obj.maps}
            for name in kept.programs:
                used = {numbers[i] for i in map_ids(loaded.programs[name]) if i in numbers}
                assert used <= set(kept.maps), (features, name)


def test_a_pruned_file_is_what_pruning_at_load_gives(whole: Object) -> None:
    obj = without(whole, 0, 4)
    written = osmia.open(prune(obj).object.to_bytes())
    pruned = prune(obj).object
    assert list(written.programs) == list(pruned.programs)
    assert set(written.maps) == set(pruned.maps)
    assert {k: f.code for k, f in written.functions.items()}.keys() == pruned.functions.keys()
    assert runs(written, "vm") == runs(obj, "vm", prune=True)


def test_a_chain_that_is_ten_times_as_long_takes_about_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        slots = tuple((n, f"p{n}") for n in range(1, count))
        obj = assembled(
            {
                f"p{n}": f"r2 = map:calls\nr3 = {n + 1}\ncall 12\nr0 = {n}\nexit"
                for n in range(count)
            },
            maps={"calls": Map("calls", MapType.PROG_ARRAY, 4, 4, count, slots=slots)},
        )
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            assert not prune(obj).programs
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(1000) < 40 * seconds(100)
