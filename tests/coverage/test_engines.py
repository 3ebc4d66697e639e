"""The kernel, the vm's interpreter and its compiled code count the same for the same packets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import osmia
from osmia.coverage.model import CoverageData
from osmia.errors import KernelError, VerifierError
from osmia.object.uapi import MapType

from ..vm.object_programs import COMPILED_ONLY, HEAVY, READS_TASK, RUN
from ..vm.test_objects import compiled, configure, inputs, only, run

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TOO_LARGE = {"primes"}
"""The verifier looks at 800,000 instructions of it, and takes a million."""
BY_ENGINE = {"may_goto", "less"}
"""How often one loops is a matter of time in the kernel, of a number in the vm; the other is called
to find a place in a tree, which is a list in the vm."""
OBJECTS = {
    path: [name for name in names.split() if name not in TOO_LARGE]
    for path, names in RUN.items()
    if path not in READS_TASK  # other tests make a task of this process for them
}
Runs = dict[str, list[Any]]


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """All runs on the first CPU: what depends on its number is alike."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    yield
    os.sched_setaffinity(0, allowed)


def measured(
    path: str, programs: Sequence[str], engine: str, *, cover: bool = True, **options: Any
) -> tuple[Runs, CoverageData, dict[str, int]]:
    """What programs give, what of them ran, and the ns that a run of each takes."""
    machine: dict[str, Any] = {} if engine == "kernel" else {"cpus": os.cpu_count()}
    if cover:
        machine["cover"] = True
    with only(compiled(path), programs).load(engine=engine, **machine) as loaded:
        for held in loaded.maps.values():
            if held.type is MapType.PERF_EVENT_ARRAY:
                held.events.poll(0)  # opens the kernel's buffers
        extra = configure(path, loaded.maps)
        coverage = osmia.cover(loaded) if cover else None
        runs: Runs = {}
        taken: dict[str, int] = {}
        for name in programs:
            program = loaded.programs[name]
            given = list(inputs(program.type, extra))
            few = given[:: len(given) // 2] if name in HEAVY else given
            runs[name] = [run(program, data, ctx, **options) for data, ctx in few]
        data = coverage.stop() if coverage is not None else CoverageData()
        if engine == "kernel":
            for name in (each for each in programs if each not in HEAVY):
                taken[name] = _duration(
                    loaded.programs[name], inputs(loaded.programs[name].type, ())
                )
        return runs, data, taken


def _duration(program: Any, given: Iterator[tuple[bytes, Any]]) -> int:
    """The ns of one of many runs; 0 for programs that are not run several times."""
    data, ctx = next(given)
    try:
        return int(program.run(data, ctx, repeat=1000).duration_ns)
    except KernelError:
        return 0


@pytest.mark.parametrize("path", OBJECTS)
def test_all_engines_count_the_same_and_verdicts_stay(path: str) -> None:
    names = OBJECTS[path]
    plain, _, before = measured(path, names, "kernel", cover=False)
    runs, counted, with_counters = measured(path, names, "kernel")
    assert runs == plain
    for name in before:
        if before[name]:
            print(f"{path}: {name}: {before[name]} ns, with counters {with_counters[name]} ns")
    short = [name for name in names if name not in COMPILED_ONLY]
    for executor, some in (("interpreter", short), ("jit", names)):
        _, found, _ = measured(path, some, "vm", executor=executor)
        assert found.functions.keys() <= counted.functions.keys()
        for key, function in found.functions.items():
            if function.name not in BY_ENGINE and (some == names or function.entered):
                there = counted.functions[key]
                assert there.slots == function.slots, f"{function.name}, {executor}"
                assert there.ways == function.ways, f"{function.name}, {executor}"
        if some == names and not BY_ENGINE.intersection(names):
            ran = {key for key, each in counted.functions.items() if each.entered}
            assert ran <= found.functions.keys()
            assert found.totals().branches[1] == counted.totals().branches[1]


def test_what_the_verifier_finds_too_large_with_counters_is_one_error_that_says_so() -> None:
    obj = only(compiled("bench/vm/programs.bpf.c"), ["primes"])
    with pytest.raises(VerifierError, match=r"too large.*counters, for cover=True: without them"):
        obj.load(cover=True)
