"""Random objects run the same as they are and rewritten: a short run of fuzz/rewriting.py."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

SEED, OBJECTS, IN_THE_KERNEL = 70_000, 40, 15


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fuzz"))
    yield importlib.import_module("rewriting")
    monkeypatch.undo()


@pytest.mark.parametrize("kernel", [False, pytest.param(True, marks=pytest.mark.kernel)])
def test_rewritten_objects_run_as_before(fuzzer: ModuleType, kernel: bool) -> None:
    count = IN_THE_KERNEL if kernel else OBJECTS
    print(f"seeds {SEED} to {SEED + count}")
    attempt = fuzzer.Rewriting(kernel=kernel)
    outcomes = Counter(each for seed in range(SEED, SEED + count) for each in attempt(seed))
    engine = "kernel" if kernel else "vm"
    for name in fuzzer.PASSES:
        assert outcomes[f"{engine} {name}: equal"] > count / 2, outcomes
