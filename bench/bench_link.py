"""Objects linked into one: osmia in this process beside `bpftool gen object`, in one run.

Run it anywhere: `.venv/bin/python bench/bench_link.py`, with numbers of objects for others
than 2, 10, 50 and 500. The objects are the tools of the differential tests, each again under
other names. Both sides read files and write one; the times are the best of several rounds,
the two taking turns. Behind that, where osmia's time goes, and how it grows with the number.

bpftool's time has the start of its process in it, osmia's has not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import osmia
from osmia.btf import BTF, merge
from osmia.toolchain import compile as compile_source

HERE = Path(__file__).parent
CORPUS = HERE.parent / "tests" / "differential" / "corpus"
NEWER_BPFTOOL = HERE.parent / "build" / "newer-bpftool" / "bpftool"
TOOLS = ("tool_opens", "tool_queue_latency", "tool_tcp_connects", "tool_execs")
COUNTS = (2, 10, 50, 500)
#: Stands in names for the number of the object.
MARK = "_0000"


def main(counts: list[int]) -> None:
    bpftool = str(NEWER_BPFTOOL) if NEWER_BPFTOOL.exists() else shutil.which("bpftool")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_objects(Path(folder), max(counts))
        print(
            f"{'objects':>7} {'bpftool':>10} {'osmia':>10} {'ratio':>6}   of that: "
            "open, link (its types), write; a single object"
        )
        for count in counts:
            show(paths[:count], Path(folder) / "linked.o", bpftool)


def make_objects(folder: Path, count: int) -> list[Path]:
    """That many objects, no two of which have a global name in common."""
    objects = [with_marks(CORPUS / f"{name}.bpf.c") for name in TOOLS]
    paths = []
    for number in range(count):
        paths.append(folder / f"tool{number}.bpf.o")
        mark = f"_{number:04}"
        data = objects[number % len(objects)].replace(MARK.encode(), mark.encode())
        paths[-1].write_bytes(data)
    return paths


def with_marks(source: Path) -> bytes:
    """The object of a source, whose programs, maps and variables have a mark in their names."""
    text = source.read_text()
    found = osmia.open(compile_source(text).data)
    names = {*found.programs, *found.maps}
    for section in found.data_sections.values():
        names.update(variable.name for variable in section.variables.values())
    for name in names - {"LICENSE"}:
        text = re.sub(rf'(?<![\w./">]){name}\b(?![/"])', name + MARK, text)
    return compile_source(text).data


def show(paths: list[Path], output: Path, bpftool: str | None) -> None:
    rounds = max(3, 100 // len(paths))
    theirs: list[float] = []
    ours: list[list[float]] = []
    for _ in range(rounds):
        if bpftool:
            theirs.append(by_bpftool(bpftool, paths, output))
        ours.append(by_osmia(paths, output))
    best = [min(times) for times in zip(*ours, strict=True)]
    total = min(sum(times[:3]) for times in ours)
    opened, linked, written, types = (f"{1e3 * each:.1f}" for each in best)
    peer, ratio = (
        (f"{1e3 * min(theirs):.1f}", f"{total / min(theirs):.1f}") if theirs else ("-", "-")
    )
    print(
        f"{len(paths):>7} {peer:>7} ms {1e3 * total:>7.1f} ms {ratio:>6}   "
        f"{opened}, {linked} ({types}), {written}; {1e3 * total / len(paths):.2f} ms"
    )


def by_bpftool(bpftool: str, paths: list[Path], output: Path) -> float:
    started = time.perf_counter()
    subprocess.run([bpftool, "gen", "object", output, *paths], check=True)
    return time.perf_counter() - started


_round = 0


def by_osmia(paths: list[Path], output: Path) -> list[float]:
    """Seconds to open, link and write, and of merging the types, on BTF that was read anew."""
    global _round
    _round += 1  # under other names each time, or `osmia.open` would remember the files
    started = time.perf_counter()
    objects = [osmia.open(path, name=f"{path.name}{_round}") for path in paths]
    opened = time.perf_counter()
    linked = osmia.link(objects)
    joined = time.perf_counter()
    linked.save(output)
    written = time.perf_counter()
    types = [BTF(each.btf.to_bytes()) for each in objects if each.btf is not None]
    assert sum(map(len, types))  # indexed, as by `open`
    started_merging = time.perf_counter()
    merge(types)
    merged = time.perf_counter()
    return [opened - started, joined - opened, written - joined, merged - started_merging]


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(COUNTS))
