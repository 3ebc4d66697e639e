"""Random programs: valid ones on all executors with equal results, wild ones without harm."""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from osmia.errors import OsmiaError
from osmia.vm.engine import Vm

SEED = 20_000
PROGRAMS = 40
WILD = 400


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fuzz"))
    yield importlib.import_module("vm_programs")
    monkeypatch.undo()


@pytest.mark.parametrize("kernel", [False, pytest.param(True, marks=pytest.mark.kernel)])
def test_valid_programs_give_the_same_everywhere(generator: ModuleType, kernel: bool) -> None:
    print(f"seeds {SEED} to {SEED + PROGRAMS}")
    if kernel and os.geteuid():
        pytest.skip("needs bpf(2) as root")
    accepted = 0
    with ExitStack() as stack:
        engines = generator.Engines(stack, kernel=kernel)
        for seed in range(SEED, SEED + PROGRAMS):
            difference = generator.check(engines, seed)
            assert not difference, difference
            accepted += difference is not None
    assert accepted > PROGRAMS / 3


def test_wild_bytes_are_refused_or_end(vm: Vm) -> None:
    values = random.Random(SEED)
    for _ in range(WILD):
        code = values.randbytes(8 * values.randrange(1, 20))
        for executor in ("interpreter", "jit"):
            try:
                vm.load_program(code).run(values.randbytes(32), executor=executor, budget=2000)
            except OsmiaError:
                continue
