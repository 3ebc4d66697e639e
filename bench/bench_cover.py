"""What counting costs: test runs in the kernel and compiled code of the vm, with and without.

    python bench/bench_cover.py

Numbers are ns a run: the best of several rounds, plain and counted taking turns. "empty" is what a
test run takes for a program that does nothing: the floor of the others.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import osmia
from osmia.errors import OsmiaError
from osmia.object.model import Object

HERE = Path(__file__).parent
LARGE = bytes(12) + b"\x08\x00" + bytes.fromhex("4500001c00000000") + bytes(1492)
SMALL = (
    bytes(12)
    + bytes.fromhex("0800 45000032 00000000 40110000 0a000001 0a000002 12340050 00220000")
    + bytes(22)
)
#: name: (packet, repetitions)
WORK = {
    "empty": (SMALL, 200_000),
    "parser": (SMALL, 200_000),
    "lookup_update": (SMALL, 100_000),
    "sum": (LARGE, 20_000),
    "alu": (LARGE, 500),
    "multiply": (LARGE, 2_000),
}
ROUNDS = 15


def only(obj: Object, names: Any) -> Object:
    """The object with these programs alone."""
    made = obj.copy()
    for name in obj.programs:
        made.set_autoload(name, name in names)
    return made


def kernel(obj: Object) -> dict[str, tuple[float, float]]:
    """ns of a run, plain and with counters."""
    with obj.load() as plain, obj.load(cover=True) as counted:
        return compared(plain, counted)


def vm(obj: Object) -> dict[str, tuple[float, float]]:
    """The same of compiled code."""
    with ExitStack() as stack:
        plain, counted = (stack.enter_context(obj.load("vm")) for _ in range(2))
        stack.enter_context(osmia.cover(counted))
        return compared(plain, counted, executor="jit", strict=False)


def compared(plain: Any, counted: Any, **options: Any) -> dict[str, tuple[float, float]]:
    found = {}
    for name, (packet, repeat) in WORK.items():
        runs = [
            partial(each.programs[name].run, packet, repeat=repeat, **options)
            for each in (plain, counted)
        ]
        rounds = [[run().duration_ns for run in runs] for _ in range(ROUNDS)]
        first, second = (min(each) for each in zip(*rounds, strict=True))
        found[name] = first, second
    return found


def batches(obj: Object) -> dict[str, tuple[float, float]]:
    """ns of a packet of a batch in compiled code, plain and counted."""
    packets = [SMALL] * 20_000

    def taken(loaded: Any, name: str) -> float:
        begin = time.perf_counter_ns()
        loaded.programs[name].run_batch(packets)
        return (time.perf_counter_ns() - begin) / len(packets)

    with ExitStack() as stack:
        plain, counted = (stack.enter_context(obj.load("vm")) for _ in range(2))
        stack.enter_context(osmia.cover(counted))
        found = {}
        for name in ("empty", "parser", "lookup_update"):
            rounds = [[taken(each, name) for each in (plain, counted)] for _ in range(ROUNDS)]
            first, second = (round(min(each), 1) for each in zip(*rounds, strict=True))
            found[name] = first, second
    return found


def show(engine: str, found: dict[str, tuple[float, float]], bar: float) -> None:
    floor = found["empty"][0]
    print(f"{engine} (bar for the 64-byte parse: {bar}; floor, an empty program: {floor} ns)")
    print(f"  {'program':16}{'plain':>10}{'counted':>10}{'ratio':>8}")
    for name, (plain, counted) in found.items():
        ratio = f"{counted / plain:.2f}" if plain else "-"
        print(f"  {name:16}{plain:>10}{counted:>10}{ratio:>8}")


def main() -> None:
    obj = only(osmia.compile(HERE / "vm" / "programs.bpf.c"), WORK)
    try:
        show("kernel", kernel(obj), 2.0)
    except OsmiaError as error:
        print(f"kernel: {error}")
    show("vm, compiled, a batch of packets", batches(obj), 1.5)
    show("vm, compiled, one packet repeated", vm(obj), 1.5)


if __name__ == "__main__":
    main()
