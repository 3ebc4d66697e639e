"""Open and load objects: osmia beside libbpf in C (Debian's libbpf-dev), in one run.

Run as root: `.venv/bin/python bench/bench_load.py`. "Warm" is the median in one process
after the first load, "first" the median over fresh processes of their first open and load,
imports that it needs included (interpreter and `import osmia` stand apart). Behind that,
where osmia's warm time goes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

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
    """(first open and load of fresh processes, all of one process) in ns, by path."""
    first: Times = {}
    for path in paths:
        for _ in range(PROCESSES):
            for name, times in run(command, 1, [path]).items():
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
    print(f"import osmia: {median(t for t, _ in own[0]['import']) / MILLISECOND:.1f} ms")
    for title, which, skipped in (("warm", 1, 1), ("first", 0, 0)):
        print(f"{title}, ms{'':<14} libbpf open + load     osmia open + load     ratio")
        for path in paths:
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
    from osmia.kernel import loader, object_btf, syscall
    from osmia.kernel.map_loader import MapLoader

    calls: list[float] = []
    steps: dict[str, float] = {}
    original = syscall._attempt

    def counted(command: int, attribute: object) -> int:
        started = time.perf_counter_ns()
        result = original(command, attribute)  # type: ignore[arg-type]
        calls.append(time.perf_counter_ns() - started)
        return result

    def timed(owner: object, name: str, title: str) -> None:
        function = getattr(owner, name)

        def wrapper(*words: object, **named: object) -> object:
            started = time.perf_counter_ns()
            try:
                return function(*words, **named)
            finally:
                steps[title] = steps.get(title, 0) + time.perf_counter_ns() - started

        setattr(owner, name, wrapper)
        undo.append((owner, name, function))

    undo: list[tuple[object, str, object]] = []
    obj = osmia.open(path)
    obj.load().close()
    syscall._attempt = counted
    timed(loader, "prepare", "externs and CO-RE")
    timed(loader, "load_object_btf", "BTF")
    timed(MapLoader, "create", "maps")
    timed(loader._Loader, "_load_programs", "programs")
    try:
        for _ in range(20):
            obj.load().close()
    finally:
        syscall._attempt = original
        for owner, name, function in undo:
            setattr(owner, name, function)
    del object_btf
    shown = ", ".join(f"{title} {ns / 20 / MILLISECOND:.2f}" for title, ns in steps.items())
    print(
        f"{path.name.partition('.')[0]}: {len(calls) / 20:.0f} calls of bpf(2) take"
        f" {sum(calls) / 20 / MILLISECOND:.2f} ms; all in all {shown}"
    )


if __name__ == "__main__":
    main()
