#!/usr/bin/env python3
"""What objects need of the userspace engine, and whether it loads them.

    tools/vm_breadth.py                        # this repository's sources, and 100 made ones
    tools/vm_breadth.py --made 200 --seed 7
    tools/vm_breadth.py -v FILE…               # .bpf.c and .o files; -v: a line each

Printed are the helpers and kfuncs that a test has to answer, and what refused an object, each by
how many objects want it. `public_style.py` makes sources as people publish them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from public_style import sources

import osmia
from osmia.errors import OsmiaError
from osmia.isa.helper_functions import helper_name
from osmia.isa.packing import walk
from osmia.object.model import ExternKind
from osmia.vm.code import TAIL_CALL
from osmia.vm.helpers import KFUNCS, supported

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("tests", "examples", "bench", "src/osmia/selftest")


@dataclass(frozen=True)
class Found:
    """What one object needs: helpers and kfuncs that a test answers, if a run comes by; and why
    it is not loaded, or "" where it is."""

    name: str
    answers: tuple[str, ...]
    refusal: str


def needs(obj: osmia.Object) -> tuple[str, ...]:
    """The helpers and kfuncs of an object that the vm asks the test for."""
    known = supported()
    numbers = {
        insn.imm
        for function in obj.functions.values()
        for _, insn in walk(function.code)
        if insn.is_helper_call and insn.imm > 0
    }
    names = {helper_name(number) or f"#{number}" for number in numbers - {TAIL_CALL}}
    helpers = {name for name in names if name.removeprefix("bpf_") not in known}
    kfuncs = {
        extern.name
        for extern in obj.externs.values()
        if extern.kind is ExternKind.KFUNC
        and not extern.weak
        and extern.name.removeprefix("bpf_") not in KFUNCS
    }
    return tuple(sorted(helpers)) + tuple(sorted(kfuncs))


def look_at(name: str, obj: osmia.Object) -> Found:
    """Load an object into a vm and take it down again."""
    refusal = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            obj.load(engine="vm").close()
    except OsmiaError as error:
        refusal = str(error).split("\n", 1)[0]
    return Found(name, needs(obj), refusal)


def opened(path: Path) -> osmia.Object:
    """The object of a file, compiled where it is a source; with a clang that has -mcpu=v4 where the
    source asks for what only that compiles."""
    if path.suffix != ".c":
        return osmia.open(path)
    try:
        return osmia.compile(path, includes=[path.parent])
    except OsmiaError:
        return osmia.compile(path, includes=[path.parent], cpu="v4", compiler="zig")


def repository() -> Iterator[Path]:
    """The BPF sources of this repository."""
    for place in PLACES:
        yield from sorted((ROOT / place).rglob("*.bpf.c"))


def made(count: int, seed: int, directory: Path) -> Iterator[Path]:
    """Sources that are made up, as files."""
    for name, text in sources(count, seed):
        path = directory / f"{name}.bpf.c"
        path.write_text(text)
        yield path


def survey(paths: Iterable[Path]) -> Iterator[Found]:
    """What each file needs; those that no compiler here takes are told apart."""
    for path in paths:
        try:
            obj = opened(path)
        except OsmiaError as error:
            yield Found(path.name, (), "does not compile: " + " ".join(str(error).split()[:40]))
            continue
        yield look_at(path.name, obj)


def report(found: Sequence[Found]) -> str:
    """The counts, the most wanted first."""
    loaded = [each for each in found if not each.refusal]
    alone = sum(not each.answers for each in loaded)
    lines = [
        f"{len(found)} objects, {len(loaded)} load; {alone} of them need no answer of a test",
    ]
    for title, counts in (
        ("answers wanted of a test, by objects", Counter(n for f in found for n in f.answers)),
        ("refused", Counter(f.refusal for f in found if f.refusal)),
    ):
        if counts:
            lines += ["", f"{title}:"]
            lines += [f"{count:5}  {name}" for name, count in sorted(counts.items(), key=_first)]
    return "\n".join(lines)


def _first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("files", nargs="*", type=Path, help="instead of the repository's sources")
    parser.add_argument("--made", type=int, help="how many to make up (100, or 0 with files)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each object")
    options = parser.parse_args(arguments)
    count = options.made if options.made is not None else 0 if options.files else 100
    with tempfile.TemporaryDirectory() as directory:
        paths = [*(options.files or repository()), *made(count, options.seed, Path(directory))]
        found = []
        for each in survey(paths):
            found.append(each)
            if options.verbose:
                print(f"{each.name}: {each.refusal or 'loads'}; {' '.join(each.answers) or '-'}")
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
