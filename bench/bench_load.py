"""Open and load objects: osmia beside libbpf in C (Debian's libbpf-dev), in one run.

Run as root: `.venv/bin/python bench/bench_load.py`. Medians, the two taking turns:

- warm: again and again in one process. osmia remembers the bytes of the files it read last,
  so opening one again is a copy.
- warm, read anew: the same under another name each time, so that osmia reads the file.
- cold: an object's first open and load in a fresh process, after the smallest object was
  loaded, which brings in the modules (what those cost is told apart).
- cold, no index: the same without the index of the kernel's types that osmia keeps on disk.

Where there is a bar, the line says whether it is met. Behind that, where osmia's warm time goes.
"""

from __future__ import annotations

import os
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
#: Loads a process and processes a row of "warm"; processes a row of "cold".
ROUNDS, TURNS, PROCESSES = 30, 3, 9
MILLISECOND = 1e6  # ns
#: The objects with CO-RE relocations; a bar counts for these or for the others.
CORE = ("core_enum64", "tool_tcp_connects", "tool_execs")
#: By table: whether the bar is for CO-RE, and how many times libbpf's time it allows.
BARS = {"warm, read anew": (False, 2.0), "cold, no index": (True, 1.5)}

#: What a fresh process does: load.c in Python.
SCRIPT = """
import sys, time
started = time.perf_counter_ns()
from osmia.formats import open_object  # not osmia.open: no prepared objects (bench_start)
imported = time.perf_counter_ns()
anew = sys.argv[2] == "anew"
for path in sys.argv[3:]:
    times = []
    for number in range(int(sys.argv[1])):
        start = time.perf_counter_ns()
        opened_object = open_object(path, name=f"x{number}" if anew else "")
        opened = time.perf_counter_ns()
        loaded_object = opened_object.load()
        loaded = time.perf_counter_ns()
        loaded_object.close()
        times += [opened - start, loaded - opened]
    print(path, *times)
print("import", imported - started, 0)
"""

#: Nanoseconds of open and load, by path.
Times = dict[str, list[tuple[int, int]]]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        paths = [compiled(name, place) for name in OBJECTS]
        bench = Bench(place, [str(build(place))])
        bench.warm_up(paths)
        bench.show("warm", paths, *bench.warm(paths, ""))
        bench.show("warm, read anew", paths, *bench.warm(paths, "anew"))
        bench.show("cold", paths[1:], *bench.cold(paths))
        bench.show("cold, no index", paths[1:], *bench.cold(paths, keep_index=False))
        opening, loading = medians(bench.first[str(paths[0])])
        imported = median(t for t, _ in bench.first["import"]) / MILLISECOND
        print(f"import osmia {imported:.1f} ms; modules for open {opening:.1f}, load {loading:.1f}")
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


class Bench:
    """Runs the two, one after the other, in processes that find compiled modules as users' do."""

    def __init__(self, place: Path, peer: list[str]) -> None:
        self.place = place
        self.peer = peer
        self.own = [sys.executable, "-c", SCRIPT]
        self.first: Times = {}
        self.environment = dict(os.environ, PYTHONPYCACHEPREFIX=str(place / "modules"))
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def warm_up(self, paths: list[Path]) -> None:
        """Compiled modules and the index are there afterwards."""
        self._run([*self.own, "1", ""], paths)

    def warm(self, paths: list[Path], how: str) -> tuple[Times, Times]:
        theirs: Times = {}
        mine: Times = {}
        for path in paths:
            for _ in range(TURNS):
                # The first of a process counts as cold.
                merge(theirs, self._run([*self.peer, str(ROUNDS)], [path]), skip=1)
                # Of files read anew each would be kept for the next process.
                cache = {"OSMIA_CACHE": "off"} if how else {}
                merge(mine, self._run([*self.own, str(ROUNDS), how], [path], cache), skip=1)
        return theirs, mine

    def cold(self, paths: list[Path], *, keep_index: bool = True) -> tuple[Times, Times]:
        theirs: Times = {}
        mine: Times = {}
        for path in paths[1:]:
            for number in range(PROCESSES):
                cache = {} if keep_index else {"XDG_CACHE_HOME": self._empty(path, number)}
                merge(theirs, self._run([*self.peer, "1"], [paths[0], path]))
                merge(mine, self._run([*self.own, "1", ""], [paths[0], path], cache))
        if keep_index:
            self.first = mine
        return theirs, mine

    def _empty(self, path: Path, number: int) -> str:
        made = self.place / f"{path.stem}-{number}"
        made.mkdir(mode=0o700)
        return str(made)

    def _run(
        self, command: list[str], paths: list[Path], variables: dict[str, str] | None = None
    ) -> Times:
        environment = self.environment | (variables or {})
        words = [*command, *map(str, paths)]
        done = subprocess.run(words, stdout=-1, text=True, check=True, env=environment)
        found: Times = {}
        for line in done.stdout.splitlines():
            name, *numbers = line.split()
            values = list(map(int, numbers))
            found[name] = list(zip(values[::2], values[1::2], strict=True))
        return found

    def show(self, title: str, paths: list[Path], peer: Times, own: Times) -> None:
        """A line an object: the medians of both, and their ratio."""
        print(f"{title + ', ms':<22} libbpf open + load     osmia open + load     ratio")
        for path in paths:
            theirs, mine = medians(peer[str(path)]), medians(own[str(path)])
            name, ratio = path.name.partition(".")[0], sum(mine) / sum(theirs)
            print(
                f"  {name:<20} {theirs[0]:>9.2f} + {theirs[1]:<8.2f}"
                f"  {mine[0]:>9.2f} + {mine[1]:<8.2f} {ratio:>9.2f}{verdict(title, name, ratio)}"
            )


def verdict(title: str, name: str, ratio: float) -> str:
    """The bar for a line and whether it is met; "" where there is none."""
    for_core, most = BARS.get(title, (False, 0.0))
    if not most or for_core != (name in CORE):
        return ""
    return f"  bar {most}: {'met' if ratio <= most else 'missed'}"


def merge(times: Times, more: Times, skip: int = 0) -> None:
    for name, found in more.items():
        times.setdefault(name, []).extend(found[skip:])


def medians(times: list[tuple[int, int]]) -> tuple[float, float]:
    return (
        median(opened for opened, _ in times) / MILLISECOND,
        median(loaded for _, loaded in times) / MILLISECOND,
    )


def explain(path: Path) -> None:
    """Where a warm load's time goes: calls of bpf(2), their time, and the steps around."""
    from osmia.formats import open_object
    from osmia.kernel.load import loader
    from osmia.kernel.load.map_loader import MapLoader
    from osmia.kernel.sys import syscall

    obj = open_object(path)
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
