"""Open and load objects: osmia beside libbpf in C (Debian's libbpf-dev), in one run.

Run as root: `.venv/bin/python bench/bench_load.py`. "Warm" is the median in one process
after the first load; "cold" the median over fresh processes of the object's first open and
load, after the smallest object was loaded, which brings in the modules. What those cost is
told apart. Behind that, where osmia's warm time goes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE.parent / "tests" / "differential" / "corpus"
#: Programs of the differential tests, from one without maps to one with 50 relocations.
OBJECTS = ("sections_replace", "net_firewall", "core_enum64", "tool_tcp_connects", "tool_execs")
ROUNDS, PROCESSES = 60, 7
MILLISECOND = 1e6  # ns

#: What a fresh process does: load.c in Python.
SCRIPT = """
import sys, time
started = time.perf_counter_ns()
import osmia
imported = time.perf_counter_ns()
for path in sys.argv[2:]:
    times = []
    for _ in range(int(sys.argv[1])):
        start = time.perf_counter_ns()
        opened_object = osmia.open(path)
        opened = time.perf_counter_ns()
        loaded_object = opened_object.load()
        loaded = time.perf_counter_ns()
        loaded_object.close()
        times += [opened - start, loaded - opened]
    print(path, *times)
print("import", imported - started, 0)
"""

Times = dict[str, list[tuple[int, int]]]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        paths = [compiled(name, place) for name in OBJECTS]
        peer = [str(build(place))]
        own = [sys.executable, "-c", SCRIPT]
        report(paths, measured(peer, paths), measured(own, paths))
        for path in paths[1:]:
            explain(path)


def compiled(name: str, place: Path) -> Path:
    from osmia.toolchain import compile as compile_source

    path = place / f"{name}.bpf.o"
    path.write_bytes(compile_source(CORPUS / f"{name}.bpf.c").data)
    return path


def build(place: Path) -> Path:
    """The C program. Needs a C compiler and libbpf-dev (tools/debian-packages.txt)."""
    path = place / "load"
    subprocess.run(["cc", "-O2", "-o", path, HERE / "load" / "load.c", "-lbpf"], check=True)
    return path


def measured(command: list[str], paths: list[Path]) -> tuple[Times, Times]:
    """(open and load in fresh processes, all of one process) in ns, by path.

    The first path is for the modules: its times in fresh processes are those of imports.
    """
    first: Times = {}
    for path in paths[1:]:
        for _ in range(PROCESSES):
            for name, times in run(command, 1, [paths[0], path]).items():
                first.setdefault(name, []).extend(times)
    return first, run(command, ROUNDS, paths)


def run(command: list[str], rounds: int, paths: list[Path]) -> Times:
    done = subprocess.run([*command, str(rounds), *paths], stdout=-1, text=True, check=True)
    found: Times = {}
    for line in done.stdout.splitlines():
        name, *words = line.split()
        numbers = [int(word) for word in words]
        found[name] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return found


def report(paths: list[Path], peer: tuple[Times, Times], own: tuple[Times, Times]) -> None:
    imported = median(t for t, _ in own[0]["import"]) / MILLISECOND
    opening, loading = medians(own[0][str(paths[0])])
    print(f"import osmia {imported:.1f} ms; modules for open {opening:.1f}, for load {loading:.1f}")
    for title, which, skipped in (("warm", 1, 1), ("cold", 0, 0)):
        print(f"{title}, ms{'':<14} libbpf open + load     osmia open + load     ratio")
        for path in paths if title == "warm" else paths[1:]:
            theirs = medians(peer[which][str(path)][skipped:])
            mine = medians(own[which][str(path)][skipped:])
            ratio = sum(mine) / sum(theirs)
            name = path.name.partition(".")[0]
            print(
                f"  {name:<20} {theirs[0]:>9.2f} + {theirs[1]:<8.2f}"
                f"  {mine[0]:>9.2f} + {mine[1]:<8.2f} {ratio:>9.2f}"
            )


def medians(times: list[tuple[int, int]]) -> tuple[float, float]:
    return (
        median(opened for opened, _ in times) / MILLISECOND,
        median(loaded for _, loaded in times) / MILLISECOND,
    )


def explain(path: Path) -> None:
    """Where a warm load's time goes: calls of bpf(2), their time, and the steps around."""
    import osmia
    from osmia.kernel import loader, syscall
    from osmia.kernel.map_loader import MapLoader

    obj = osmia.open(path)
    obj.load().close()
    rounds = 20
    calls: list[int] = []
    steps: dict[str, list[int]] = {}
    with ExitStack() as undo:
        timed(undo, syscall, "_attempt", calls)
        timed(undo, loader, "prepare", steps.setdefault("externs and CO-RE", []))
        timed(undo, loader, "load_object_btf", steps.setdefault("BTF", []))
        timed(undo, MapLoader, "create", steps.setdefault("maps", []))
        timed(undo, loader._Loader, "_load_programs", steps.setdefault("programs", []))
        for _ in range(rounds):
            obj.load().close()

    def share(times: list[int]) -> str:
        return f"{sum(times) / rounds / MILLISECOND:.2f}"

    shown = ", ".join(f"{title} {share(times)}" for title, times in steps.items())
    print(
        f"{path.name.partition('.')[0]}: {shown} ms; of that {len(calls) // rounds} calls of"
        f" bpf(2) {share(calls)}"
    )


def timed(undo: ExitStack, owner: Any, name: str, times: list[int]) -> None:
    """Note how long each call of a function takes, in ns, until `undo` is closed."""
    function = getattr(owner, name)

    def wrapper(*words: Any, **named: Any) -> Any:
        started = time.perf_counter_ns()
        try:
            return function(*words, **named)
        finally:
            times.append(time.perf_counter_ns() - started)

    setattr(owner, name, wrapper)
    undo.callback(setattr, owner, name, function)


if __name__ == "__main__":
    main()
