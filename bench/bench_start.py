"""Start-up: whole processes, from the first instruction to the last, beside bpftool's.

    python bench/bench_start.py [ROUNDS [WORD…]]      (root; with words, what has one in its name)

Wall-clock medians in ms, and the least CPU time of a run beside them, which a busy machine changes
less. All commands take turns, bare Python among them, so that whatever else the machine does meets
all of them. Where there is a bar the line says what it is and whether it is met: bars are over bare
Python or over `import click`, or a multiple of bpftool's time.
Compiled modules are in place (PYTHONDONTWRITEBYTECODE is taken out of the environment).
"""

from __future__ import annotations

import os
import pty
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench_load import compiled

_ROUNDS = 21
_MANY = 1000
_OSMIA = str(Path(sys.executable).with_name("osmia"))
_PROGRAMS = ("net_sockets", "tool_execs")
_BTF = "/sys/kernel/btf/vmlinux"
_LOAD = "import sys, osmia; osmia.open(sys.argv[1]).load().close()"
_LOAD_VM = "import sys, osmia; osmia.open(sys.argv[1]).load(engine='vm').close()"
_RUN = """
import sys, osmia
with osmia.open(sys.argv[1]).load(engine="vm") as bpf:
    bpf.programs["filter"].run(bytes(64){options})
"""


class Row(NamedTuple):
    """A command and its bar: `over` (the name of another row) + `more` ms, or `times` it."""

    name: str
    command: list[str]
    over: str = ""
    more: float = 0.0
    times: float = 0.0
    variables: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    terminal: bool = False


def python(code: str, *arguments: object) -> list[str]:
    """A new interpreter that runs some code."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def main(rounds: int, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, held_map() as number:
        place = Path(directory)
        environment = dict(os.environ, XDG_CACHE_HOME=directory)
        for unwanted in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "OSMIA_CACHE"):
            environment.pop(unwanted, None)
        rows = [*starts(), *loads(place), *listings(number), *types(), *userspace(place)]
        if len(chosen := asked(rows, words)) > 1:
            show(chosen, rounds, environment)
        if len(chosen := asked(many(), words)) > 1:
            with held_programs():
                show(chosen, rounds, environment)


def asked(rows: Iterable[Row], words: list[str]) -> list[Row]:
    """The rows with a word in their name, and those that they are compared with."""
    rows = list(rows)
    named = [row for row in rows if not words or any(word in row.name for word in words)]
    compared = {"bare Python", *(row.over for row in named)}
    return [row for row in rows if row in named or row.name in compared]


def show(rows: list[Row], rounds: int, environment: dict[str, str]) -> None:
    """Run the rows in turns, then a line for each."""
    taken: dict[str, list[Time]] = {row.name: [] for row in rows}
    for turn in range(-2, rounds):  # the first two fill the caches
        for row in rows:
            spent = timed(row, environment | row.variables)
            if turn >= 0:
                taken[row.name].append(spent)
    medians = {name: median(each.wall for each in times) for name, times in taken.items()}
    for row in rows:
        least = min(each.cpu for each in taken[row.name])
        shown = f"{medians[row.name]:>8.1f} ms (CPU {least:.1f})"
        print(f"  {row.name:<44} {shown:<24}{verdict(row, medians)}")


def starts() -> Iterator[Row]:
    yield Row("bare Python", python("pass"))
    yield Row("import click", python("import click"))
    yield Row("import osmia", python("import osmia"))
    yield Row("osmia --version", [_OSMIA, "--version"])


def loads(place: Path) -> Iterator[Row]:
    """Open, load, close: `bpftool prog load` pins what it loads, which is taken away again."""
    pin = f"/sys/fs/bpf/osmia-bench-{os.getpid()}"
    for name, more in zip(_PROGRAMS, (15, 18), strict=True):
        path = compiled(name, place)
        script = f"bpftool prog loadall {path} {pin} && exec rm -r {pin}"
        yield Row(f"bpftool prog loadall, {name} (and sh, rm)", ["sh", "-c", script])
        yield Row(f"{name}: prepared", python(_LOAD, path), "bare Python", more)
        off = {"OSMIA_CACHE": "off"}
        yield Row(f"{name}: cache off", python(_LOAD, path), variables=off)


def listings(number: int) -> Iterator[Row]:
    lookup = ["map", "lookup", "id", str(number), "key", "0", "0", "0", "0"]
    for words in (["prog", "list"], ["map", "list"], lookup):
        name = " ".join(words[:2])
        yield Row(f"bpftool {name}", ["bpftool", *words])
        yield Row(f"osmia {name}, piped", [_OSMIA, *words], "import click", 12)
        yield Row(
            f"osmia {name}, on a terminal", [_OSMIA, *words], "import click", 45, terminal=True
        )


def many() -> Iterator[Row]:
    """While there are 1,000 programs more."""
    yield Row("bare Python", python("pass"))
    for options in ([], ["-j"]):
        name = " ".join(["prog list", *options, "of 1,000"])
        yield Row(f"bpftool {name}", ["bpftool", *options, "prog", "list"])
        yield Row(f"osmia {name}", [_OSMIA, "prog", "list", *options])


def types() -> Iterator[Row]:
    for theirs, ours in (([], []), (["format", "c"], ["--c"])):
        name = " ".join(["btf dump", *ours])
        peer = f"bpftool {name}"
        yield Row(peer, ["bpftool", "btf", "dump", "file", _BTF, *theirs])
        yield Row(f"osmia {name}", [_OSMIA, "btf", "dump", _BTF, *ours], peer, times=3)


def userspace(place: Path) -> Iterator[Row]:
    path = compiled("net_firewall", place)
    first, code = _RUN.format(options=""), _RUN.format(options=', executor="jit"')
    core = compiled("tool_execs", place)
    off = {"OSMIA_CACHE": "off"}
    yield Row("vm: load and first run", python(first, path), "bare Python", 40)
    yield Row("vm: load and first run, cache off", python(first, path), variables=off)
    yield Row("vm: load with 52 CO-RE relocations", python(_LOAD_VM, core))
    yield Row("vm: compiled code from the cache", python(code, path), "bare Python", 60)


@contextmanager
def held_map() -> Iterator[int]:
    """The number of a map of one element."""
    from osmia import Map, MapType

    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as made:
        yield made.id


@contextmanager
def held_programs() -> Iterator[None]:
    """1,000 programs of two instructions."""
    from osmia import Program, ProgramType
    from osmia.isa import assemble

    code = assemble("r0 = 0\nexit")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    with ExitStack() as held:
        for number in range(_MANY):
            made = Program.load(ProgramType.SOCKET_FILTER, code, name=f"many_{number}")
            held.callback(made.close)
        yield


class Time(NamedTuple):
    """How long a process takes, and how long a CPU is busy with it, in ms."""

    wall: float
    cpu: float


def timed(row: Row, environment: dict[str, str]) -> Time:
    """Run a command. What it prints is read, as a pipe's reader does."""
    run: Callable[[list[str], dict[str, str]], None] = _on_terminal if row.terminal else _piped
    busy, start = _children(), time.perf_counter()
    run(row.command, environment)
    return Time(1e3 * (time.perf_counter() - start), 1e3 * (_children() - busy))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _piped(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)


def _on_terminal(command: list[str], environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs)
        os.close(theirs)
        try:
            while os.read(ours, 1 << 16):
                pass
        except OSError:
            pass  # EIO: the other side is closed
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
    finally:
        os.close(ours)


def verdict(row: Row, medians: dict[str, float]) -> str:
    """The bar and whether it is met; for rows without one, what is over bare Python."""
    own = medians[row.name]
    if not row.over:
        return f"   {own - medians['bare Python']:+.1f} over bare Python"
    base = medians[row.over]
    bar = base * row.times if row.times else base + row.more
    told = f"{row.times:.0f} × {row.over}" if row.times else f"{row.over} + {row.more:.0f}"
    return f"   {own - base:+.1f}   bar {told} = {bar:.1f}: {'met' if own <= bar else 'missed'}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS, sys.argv[2:])
