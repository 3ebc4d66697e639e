"""Random objects run the same as they are and rewritten: a short run of fuzz/rewriting.py."""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from osmia.object import Object

pytestmark = pytest.mark.slow

SEED, OBJECTS, IN_THE_KERNEL, IN_THE_SECOND = 70_000, 40, 15, 50


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fuzz"))
    yield importlib.import_module("rewriting")
    monkeypatch.undo()


def outcomes(fuzzer: ModuleType, count: int, *, kernel: bool) -> Counter[str]:
    print(f"seeds {SEED} to {SEED + count}")
    attempt = fuzzer.Rewriting(kernel=kernel)
    return Counter(each for seed in range(SEED, SEED + count) for each in attempt(seed))


def test_rewritten_objects_run_as_before(fuzzer: ModuleType) -> None:
    found = outcomes(fuzzer, OBJECTS, kernel=False)
    for name in fuzzer.PASSES:
        assert found[f"vm {name}: equal"] > OBJECTS / 2, found


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(IN_THE_KERNEL, id="few"),
        pytest.param(IN_THE_SECOND, id="second-kernel", marks=pytest.mark.second_kernel),
    ],
)
@pytest.mark.kernel
def test_rewritten_objects_run_as_before_in_the_kernel(fuzzer: ModuleType, count: int) -> None:
    found = outcomes(fuzzer, count, kernel=True)
    for name in fuzzer.PASSES:
        assert found[f"kernel {name}: equal"] > count / 2, found


def test_a_vm_counts_the_tail_calls_of_subprograms_in_their_callers(fuzzer: ModuleType) -> None:
    with fuzzer.twice_into_itself(100).load("vm") as loaded:
        loaded.programs["p0"].run(bytes(14))
        assert int.from_bytes(bytes(loaded.data["words"])[:8], "little") == 1 + 33


@pytest.mark.kernel
@pytest.mark.second_kernel
def test_the_second_kernel_does_not_so_that_its_objects_are_without_cycles(
    fuzzer: ModuleType,
) -> None:
    assert not fuzzer.callers_count_tail_calls()
    assert not fuzzer.Rewriting(kernel=True).cycles
    assert fuzzer.Rewriting(kernel=False).cycles


def test_without_cycles_no_program_that_is_tail_called_has_subprograms_that_tail_call(
    fuzzer: ModuleType,
) -> None:
    def tail_calls(obj: Object, name: str) -> bool:
        relocations = obj.functions[name].relocations
        return any(each.target == "progs" for each in relocations)

    for seed in range(SEED, SEED + OBJECTS):
        obj = fuzzer.make_object(random.Random(seed), cycles=False)
        for _, target in obj.maps["progs"].slots:
            assert target != "p0"
            reached = reachable(obj, target) - {target}
            assert not any(tail_calls(obj, name) for name in reached)


def reachable(obj: Object, name: str) -> set[str]:
    """The function and those it calls, directly or not."""
    found: set[str] = set()
    todo = [name]
    while todo:
        if (at := todo.pop()) not in found:
            found.add(at)
            todo += [r.target for r in obj.functions[at].relocations if r.target in obj.functions]
    return found
