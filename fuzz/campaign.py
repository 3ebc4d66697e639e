"""Seeds shared out to child processes, so that a run outlives what it finds.

Most of a run's time goes into LLVM's optimisations: with `--optimised 4` one program in four is
compiled as users' are, and the others without.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import mmap
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

PATIENCE = 60
"""Seconds that one seed may take, compiling included."""

Attempt = Callable[[int], list[str]]
"""Tries a seed: what became of it, in words that are counted. An exception is a problem."""


class Difference(Exception):
    """What a seed shows to be wrong, in its message."""


@dataclass
class Report:
    """What a run found so far."""

    tried: int = 0
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{number:8} {outcome}" for outcome, number in sorted(self.outcomes.items())]
        return "\n".join([*lines, f"{self.tried} programs, {len(self.problems)} problems"])


@dataclass
class _Child:
    """A process that tries the seeds from `start` to `end`; `place` holds the one at work."""

    start: int
    end: int
    place: mmap.mmap
    results: Connection
    process: Any


def options(description: str) -> argparse.ArgumentParser:
    """The options that every campaign has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--optimised", type=int, default=1, help="one program in so many")
    parser.add_argument("--minutes", type=float, default=0, help="start nothing after that time")
    return parser


def run(
    prepare: Callable[[], Attempt],
    start: int,
    count: int | None,
    *,
    enough: Callable[[Report], bool] = lambda report: False,
    jobs: int = 1,
    minutes: float = 0,
    chunk: int = 250,
) -> Report:
    """Try `count` seeds from `start` on; without a count, until the report is `enough`, which
    is looked at where chunks end.

    `prepare` is called in each child process and makes what tries a seed. Problems are printed
    as they are found; a child that dies is one, and the seeds after the one it died of go on.
    """
    stop = time.monotonic() + 60 * minutes if minutes else float("inf")
    report = Report()
    end = sys.maxsize if count is None else start + count
    todo = collections.deque([(start, end)])
    children: list[_Child] = []
    begin = time.monotonic()
    print(f"seeds from {start} on", flush=True)
    while True:
        while todo and len(children) < jobs and not enough(report) and time.monotonic() < stop:
            first, last = todo.popleft()
            children.append(_fork(prepare, first, min(first + chunk, last)))
            if first + chunk < last:
                todo.append((first + chunk, last))
        if not children:
            break
        ready = wait([child.results for child in children])
        for child in [child for child in children if child.results in ready]:
            children.remove(child)
            if (after := _collect(child, report)) < child.end:
                todo.appendleft((after, child.end))
        line = f"{report.tried} tried, {len(report.problems)} problems"
        print(f"{time.monotonic() - begin:7.0f} s: {line}", flush=True)
    print(report)
    return report


def _fork(prepare: Callable[[], Attempt], start: int, end: int) -> _Child:
    context = multiprocessing.get_context("fork")
    place = mmap.mmap(-1, 8)
    results, ours = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(prepare, start, end, place, ours))
    process.start()
    ours.close()
    return _Child(start, end, place, results, process)


def _collect(child: _Child, report: Report) -> int:
    """Take a child's results into the report; gives the first seed that was not tried."""
    try:
        outcomes, problems = child.results.recv()
        after = child.end
    except EOFError:
        child.process.join()
        at = int.from_bytes(child.place[:8], "little")
        outcomes = collections.Counter()
        problems = [f"seed {at}: the process ended with {child.process.exitcode}"]
        after = at + 1
    child.process.join()
    child.results.close()
    child.place.close()
    report.tried += after - child.start
    report.outcomes += outcomes
    report.problems += problems
    for problem in problems:
        print(problem, flush=True)
    return after


def _work(
    prepare: Callable[[], Attempt], start: int, end: int, place: mmap.mmap, results: Connection
) -> None:
    os.environ["OSMIA_CACHE"] = ""  # every program is new: nothing is worth keeping
    attempt = prepare()
    outcomes: collections.Counter[str] = collections.Counter()
    problems = []
    assert sys.__stderr__ is not None  # the real one, of which faulthandler needs the descriptor
    for seed in range(start, end):
        place[:8] = seed.to_bytes(8, "little")
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
        try:
            outcomes.update(attempt(seed))
        except Difference as difference:
            problems.append(f"seed {seed}\n{difference}")
        except Exception:
            problems.append(f"seed {seed}\n{traceback.format_exc()}")
            attempt = prepare()
    faulthandler.cancel_dump_traceback_later()
    results.send((outcomes, problems))
