"""Random programs: valid ones on all executors with equal results, wild ones without harm."""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from osmia.errors import OsmiaError
from osmia.vm.engine import Vm

pytestmark = pytest.mark.slow

SEED = 20_000
PROGRAMS = 40
WILD = 400


@pytest.fixture(scope="module")
def campaign(generator: ModuleType) -> ModuleType:
    """What the fuzzer runs in; beside it."""
    return importlib.import_module("campaign")


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
        for executor in ("interpreter", "generated", "jit"):
            try:
                vm.load_program(code).run(values.randbytes(32), executor=executor, budget=2000)
            except OsmiaError:
                continue


def test_a_campaign_outlives_what_it_finds(
    campaign: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that dies and an exception are problems with their seeds; all others are tried."""

    def attempt(seed: int) -> list[str]:
        if seed == 13:
            os._exit(3)
        if seed == 27:
            raise campaign.Difference("27 is wrong")
        return ["fine"]

    report = campaign.run(lambda: attempt, 10, 30, jobs=2, chunk=8)
    assert report.tried == 30
    assert len(report.problems) == 2
    assert "seed 13: the process ended with 3" in report.problems
    assert "seed 27\n27 is wrong" in report.problems
    assert report.outcomes["fine"] > 20
    assert "30 programs, 2 problems" in capsys.readouterr().out


def test_a_campaign_goes_on_until_it_is_enough(campaign: ModuleType) -> None:
    def enough(report: Any) -> bool:
        return bool(report.outcomes["even"] >= 10)

    report = campaign.run(
        lambda: lambda seed: ["odd" if seed % 2 else "even"], 0, None, enough=enough, chunk=4
    )
    assert report.tried == 20
