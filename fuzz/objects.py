"""Hostile objects for the front end and the passes: an error of ours, or an Object, quickly.

    python fuzz/objects.py --minutes 10 --seed 1      # the mutations below
    python fuzz/objects.py --atheris [OPTIONS]        # libFuzzer's, where atheris is installed
    python fuzz/objects.py --replay FILE              # a finding, once more

Seeds are the programs of the differential tests, some in iproute2's dialect, and one with jump
tables. A mutation changes
fields of the ELF header, of section headers, symbols, relocations, BTF and .BTF.ext, cuts or
copies pieces, or swaps pieces between two objects. What comes out is opened, asked for all it
has, written, converted, linked, resolved against this kernel's types, laid out, and loaded into
the vm.
Allowed are a result and an exception of osmia's. Another exception, more than 2 s of CPU or 1 GiB
of memory is a finding: the input is kept in the current directory, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import osmia
from osmia.elf import ElfFile
from osmia.errors import OsmiaError
from osmia.object.jump_targets import jump_targets
from osmia.object.uapi import ProgramType
from osmia.passes import Prepared, Target, prepare
from osmia.passes.convert import convert
from osmia.passes.refusals import refusals

TESTS = Path(__file__).parent.parent / "tests"
EXAMPLES = TESTS.parent / "examples"
CORPUS = TESTS / "differential" / "corpus"
SECONDS = 2.0
MEMORY = 3 << 29  # bytes of address space that an input may add
#: Sections whose bytes are offsets, counts, ids and flags.
TABLES = (".symtab", ".BTF", ".BTF.ext", ".maps", ".strtab", ".jumptables", "license", "version")
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 12, 16, 24, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, 1 << 24)
WIDE = (1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 32) - 8, 1 << 40, (1 << 63), (1 << 64) - 1)


class TooSlow(BaseException):
    """The input took longer than it may."""


def examine(data: bytes, target: Target) -> None:
    """Everything that is done to an object before an engine sees it."""
    try:
        obj = osmia.open(data)
        for name in obj.functions:
            obj.source_lines(name)
            jump_targets(obj, obj.functions[name])
        for name in obj.data:
            _ignoring_errors(lambda name=name: obj.data[name])
        _write(obj)
        _ignoring_errors(lambda: refusals(obj))
        _ignoring_errors(lambda: _convert(obj))
        for gc in (None, True, False):
            _ignoring_errors(lambda gc=gc: _link(obj, gc))
        _ignoring_errors(lambda: _load(obj))
        prepared = _ignoring_errors(lambda: prepare(obj, target)) or Prepared(obj)
        for name in obj.programs:
            _ignoring_errors(lambda name=name: prepared.layout(name))
    except OsmiaError:
        pass


def _ignoring_errors(work: Any) -> Any:
    try:
        return work()
    except OsmiaError:
        return None


def _write(obj: osmia.Object) -> None:
    """Write it, and read what was written if there is something."""
    assert len(obj.digest) == 64
    try:
        written = obj.to_bytes()
    except OsmiaError:
        return
    osmia.open(written)


def _convert(obj: osmia.Object) -> None:
    """Say it in libbpf's dialect, and read that."""
    osmia.open(convert(obj, ProgramType.SCHED_CLS).object.to_bytes())


def _link(obj: osmia.Object, gc: bool | None) -> None:
    """With itself, of which all that others can see is weak, and loses; and read that."""
    weak = obj.copy(
        functions={key: replace(each, weak=True) for key, each in obj.functions.items()},
        maps={key: replace(each, weak=True) for key, each in obj.maps.items()},
    )
    for section in weak.data_sections.values():
        section.variables = {k: replace(v, weak=True) for k, v in section.variables.items()}
    osmia.open(osmia.link([weak, obj, weak], gc=gc, allow_undefined=True).to_bytes())


def _load(obj: osmia.Object) -> None:
    """Into the userspace engine, with room for small maps."""
    obj.load("vm").close()


class Mutator:
    """Changes objects; the same seed makes the same inputs."""

    def __init__(self, seeds: list[bytes], seed: int) -> None:
        self.random = random.Random(seed)
        self.seeds = seeds
        self.places = [self._places(data) for data in seeds]

    @staticmethod
    def _places(data: bytes) -> list[range]:
        elf = ElfFile.parse(data)
        tables = [s for s in elf.sections if s.name in TABLES or s.name.startswith(".rel")]
        headers = len(data) - 64 * len(elf.sections)
        found = [range(64), range(headers, len(data))]
        found += [range(table.offset, table.offset + len(table.data)) for table in tables]
        return [place for place in found if len(place)]

    def make(self) -> bytes:
        """The next input."""
        r = self.random
        which = r.randrange(len(self.seeds))
        data = bytearray(self.seeds[which])
        for _ in range(r.choice((1, 1, 1, 2, 3, 5, 10, 30))):
            place = r.choice(self.places[which])
            r.choice((self._field, self._field, self._field, self._flip, self._copy, self._splice))(
                data, place
            )
        if r.random() < 0.05:
            del data[r.randrange(len(data)) :]
        return bytes(data)

    def _field(self, data: bytearray, place: range) -> None:
        r = self.random
        size = r.choice((1, 2, 4, 4, 4, 8))
        at = place.start + r.randrange(len(place)) // size * size
        old = int.from_bytes(data[at : at + size], "little")
        number = r.choice(
            (
                r.choice(NUMBERS),
                r.choice(WIDE),
                old + r.choice((-8, -4, -1, 1, 2, 4, 8, 64)),
                old ^ 1 << r.randrange(8 * size),
                r.getrandbits(8 * size),
                int.from_bytes(data[place.start : place.start + size], "little"),
            )
        )
        data[at : at + size] = (number & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def _flip(self, data: bytearray, place: range) -> None:
        at = place.start + self.random.randrange(len(place))
        if at < len(data):
            data[at] ^= 1 << self.random.randrange(8)

    def _copy(self, data: bytearray, place: range) -> None:
        """A record over another one of the same table."""
        r = self.random
        size = r.choice((4, 8, 12, 16, 24, 64))
        source, sink = (place.start + r.randrange(len(place)) // size * size for _ in range(2))
        piece = data[source : source + size]
        data[sink : sink + len(piece)] = piece

    def _splice(self, data: bytearray, place: range) -> None:
        """A piece of another object's table."""
        r = self.random
        other = r.randrange(len(self.seeds))
        source = r.choice(self.places[other])
        size = min(len(source), len(place), r.choice((4, 16, 64, 256)))
        from_at = source.start + r.randrange(len(source) - size + 1)
        to_at = place.start + r.randrange(len(place) - size + 1)
        data[to_at : to_at + size] = self.seeds[other][from_at : from_at + size]


def compiled_seeds() -> list[bytes]:
    """The corpus, jump tables and pointers, compiled; what was before comes from the cache."""
    from osmia.toolchain import compile as compile_source

    small = [path for path in sorted(CORPUS.glob("*.bpf.c")) if path.name != "big.bpf.c"]
    jumps = compile_source(TESTS / "formats" / "jump_tables.bpf.c", cpu="v4", compiler="zig")
    small.append(TESTS / "formats" / "pointers.bpf.c")
    # iproute2's dialect: with types as compilers write them today, and without as they did.
    legacy = sorted((EXAMPLES / "legacy").glob("*.c"))
    bare = [compile_source(path, flags=["-g0"]).data for path in legacy]
    return [jumps.data, *bare, *(compile_source(path).data for path in (*legacy, *small))]


def watch() -> None:
    """Make a slow input an exception, and one that wants much memory another."""

    def too_slow(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    signal.signal(signal.SIGVTALRM, too_slow)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def attempt(data: bytes, target: Target) -> str:
    """The finding that `data` is, "" for none."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        examine(data, target)
    except TooSlow:
        return f"more than {SECONDS} s\n" + traceback.format_exc()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return ""


def keep(data: bytes, finding: str) -> None:
    path = Path(f"finding-{hashlib.sha256(data).hexdigest()[:12]}.bpf.o")
    path.write_bytes(data)
    print(f"{path}:\n{finding}", flush=True)


def run(minutes: float, count: int, seed: int, target: Target) -> int:
    """Mutate until the time or the number of inputs is used up; the number of findings."""
    mutator = Mutator(compiled_seeds(), seed)
    watch()
    kinds: set[str] = set()
    made, findings = 0, 0
    started = shown = time.monotonic()
    end = started + 60 * minutes if minutes else float("inf")
    while time.monotonic() < end and (not count or made < count):
        data = mutator.make()
        made += 1
        finding = attempt(data, target)
        if finding:
            findings += 1
            place = finding.strip().rpartition("File ")[2]
            if place not in kinds:  # one input for each place is enough
                kinds.add(place)
                keep(data, finding)
        if time.monotonic() - shown > 60:
            shown = time.monotonic()
            print(f"{made:,} inputs, {findings} findings, {shown - started:.0f} s", flush=True)
    print(f"{made:,} inputs, {findings} findings, {time.monotonic() - started:.0f} s")
    return findings


def with_atheris(arguments: list[str], target: Target) -> None:
    """Hand over to libFuzzer."""
    import atheris

    directory = Path("fuzz-corpus")
    directory.mkdir(exist_ok=True)
    for data in compiled_seeds():
        (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *arguments, str(directory)], lambda data: examine(data, target))
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--atheris", action="store_true")
    options, rest = parser.parse_known_args()
    target = Target.running()
    if target.btf is not None:
        target.btf.find("task_struct")  # the index, outside of every input's time
    if options.atheris:
        with_atheris(rest, target)
        return 0
    if options.replay:
        watch()
        finding = attempt(options.replay.read_bytes(), target)
        print(finding or "nothing")
        return bool(finding)
    return bool(
        run(options.minutes or (0 if options.count else 1), options.count, options.seed, target)
    )


if __name__ == "__main__":
    sys.exit(main())
