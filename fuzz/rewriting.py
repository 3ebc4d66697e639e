"""Fuzzing of the rewriting passes: random objects, as they are and rewritten.

    python fuzz/rewriting.py --count 5000 --seed 1
    python fuzz/rewriting.py --count 2000 --kernel       # as root, under a second kernel

A random object (fuzz/tail_calling_objects.py) runs as it is and after each pass (calls inlined,
direct tail calls, dead code left out, counters, tail calls that replace the program) on the
userspace engine, and in the kernel where its verifier takes the original. Return values and global
data must be equal.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import campaign
from tail_calling_objects import make_object, twice_into_itself, with_types

from osmia.errors import RewriteError, VerifierError
from osmia.object import Object
from osmia.passes.cover import cover
from osmia.passes.stages import Pass, Stage

PACKETS = (14, 20, 33, 64)
Runs = list[tuple[int, bytes]]
PASSES: Mapping[str, dict[str, Any]] = {
    "inline": {"calls": "inline"},
    "direct": {"direct_tail_calls": True},
    "prune": {"prune": True, "keep": ("p0",)},
    "all": {"calls": "inline", "direct_tail_calls": True, "prune": True, "keep": ("p0",)},
    # A vm counts itself, and leaves the pass out unless it is given.
    "cover": {
        "passes": (
            Pass(
                "cover",
                Stage.REWRITE,
                lambda obj, setting: cover(obj, setting.target, cpus=64)[0],
            ),
        )
    },
}


def runs(obj: Object, engine: str, **options: Any) -> Runs:
    """What runs of its first program leave: return value and global data, after each packet."""
    found = []
    with obj.load(engine, **options) as loaded:
        for size in PACKETS:
            retval = loaded.programs["p0"].run(bytes(size)).retval
            found.append((retval, bytes(loaded.data["words"])))
    return found


def callers_count_tail_calls() -> bool:
    """Whether this kernel counts a subprogram's tail calls in the caller of the subprogram, too.

    Before Linux 6.12 ("bpf, x64: Fix tailcall hierarchy", and the same for arm64) the count is
    handed down to a subprogram and not back up. So the limit of 33 is one of depth: a program
    that calls two subprograms which tail-call it runs 2**33 times, without an end to wait for.
    """
    entries, limit = 100, 33
    with with_types(twice_into_itself(entries)).load("kernel") as loaded:
        loaded.programs["p0"].run(bytes(14))
        return int.from_bytes(bytes(loaded.data["words"])[:8], sys.byteorder) <= 1 + limit


class Rewriting:
    """Tries seeds."""

    def __init__(self, *, kernel: bool = False, executors: tuple[bool, ...] = (False,)) -> None:
        self.kernel = kernel
        self.cycles = not kernel or callers_count_tail_calls()
        self.executors = executors

    def __call__(self, seed: int) -> list[str]:
        obj = make_object(random.Random(seed), cycles=self.cycles)
        if self.kernel:
            return self._compare(with_types(obj), "kernel", {})
        outcomes = [self._compare(obj, "vm", {"jit": jit}) for jit in self.executors]
        outcomes.append(self._compare_program(obj))
        return [each for some in outcomes for each in some]

    def _compare(self, obj: Object, engine: str, options: dict[str, Any]) -> list[str]:
        """Each pass against the object as it is."""
        try:
            wanted = runs(obj, engine, **options)
        except VerifierError as error:
            return [f"{engine}: refused ({(error.strerror or '')[:20]})"]
        done = [f"{engine}: taken"]
        for name, passes in PASSES.items():
            try:
                found = runs(obj, engine, **options, **passes)
            except RewriteError:
                done.append(f"{engine} {name}: cannot be rewritten")
                continue
            self._check(f"{engine}, {name}", wanted, found)
            done.append(f"{engine} {name}: equal")
        return done

    def _compare_program(self, obj: Object) -> list[str]:
        """Tail calls that replace the program: the vm's own against the pass."""
        from osmia.passes.calls import rewrite_calls
        from osmia.passes.target import Target

        wanted = runs(obj, "vm", jit=False, tail_calls="program")
        try:
            rewritten = rewrite_calls(obj, Target(), "keep", "program")
        except RewriteError:
            return ["program: cannot be rewritten"]
        self._check("tail_calls='program'", wanted, runs(rewritten, "vm", jit=False))
        return ["program: equal"]

    @staticmethod
    def _check(what: str, wanted: Runs, found: Runs) -> None:
        if wanted != found:
            raise campaign.Difference(f"{what}:\n{wanted}\n{found}")


def main() -> int:
    parser = campaign.options(__doc__ or "")
    parser.add_argument("--kernel", action="store_true", help="in the kernel (as root)")
    parser.add_argument("--jit", action="store_true", help="compiled, too")
    given = parser.parse_args()
    executors = (False, True) if given.jit else (False,)
    report = campaign.run(
        lambda: Rewriting(kernel=given.kernel, executors=executors),
        given.seed,
        given.count,
        jobs=given.jobs,
        minutes=given.minutes,
        chunk=50 if given.kernel else 250,  # emulated, a few seeds a second
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
