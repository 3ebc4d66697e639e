"""Running a case: with a workbench that compiles, loads and checks, and an outcome at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osmia.errors import NotSupportedError
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.object import Object

_PROGRAMS = Path(__file__).with_name("programs")


class Skip(Exception):
    """Raised by a case for something that this machine lacks; the text says what."""


class Failure(Exception):
    """Something is not as it should be; the text says what is, and what should be."""


class Outcome(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that must work: its name, what it says, and the check.

    `engines` are those that it can be run with: "kernel", "vm".
    """

    name: str
    text: str
    check: Callable[[Workbench], None]
    engines: tuple[str, ...] = ("kernel",)


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was run. `remarks` are lines about a failure or the reason of a skip."""

    case: Case
    outcome: Outcome
    remarks: tuple[str, ...]
    seconds: float


class Workbench:
    """What a case works with; all that it opened is closed after it."""

    def __init__(self, engine: str, undo: ExitStack) -> None:
        self.engine = engine
        self._undo = undo

    def compile(self, source: str, *programs: str, **options: Any) -> Object:
        """The object of a source beside the cases; with `programs`, those are loaded only.

        The options are those of `osmia.compile`.
        """
        obj = _compiled(source, **options).copy()
        for name in obj.programs if programs else ():
            obj.set_autoload(name, name in programs)
        if programs:
            wanted = _maps_of(obj, programs)
            for name in obj.maps:
                obj.set_autocreate(name, name in wanted)
        return obj

    def load(self, source: str, *programs: str) -> Any:
        """The same, loaded with the engine."""
        return self.keep(self.compile(source, *programs).load(engine=self.engine))

    def keep(self, thing: Any) -> Any:
        """Close a context manager when the case is over; gives what entering it gave."""
        return self._undo.enter_context(thing)

    def afterwards(self, action: Callable[..., object], *arguments: object) -> None:
        """Do something when the case is over."""
        self._undo.callback(action, *arguments)

    def equal(self, actual: object, expected: object, what: str) -> None:
        """Fail unless the two are equal."""
        if actual != expected:
            raise Failure(f"{what}: {actual!r}, not {expected!r}")

    def true(self, condition: object, what: str) -> None:
        """Fail unless the condition holds; `what` says it in words."""
        if not condition:
            raise Failure(f"not so: {what}")

    def raises(self, kind: type[Exception], action: Callable[[], object]) -> Exception:
        """Fail unless the action raises such an exception; gives it."""
        try:
            action()
        except kind as error:
            return error
        raise Failure(f"no {kind.__name__} was raised")


def run_cases(cases: Iterable[Case], engine: str = "kernel") -> Iterator[Result]:
    """Run cases one after the other, and give each one's result when it is over."""
    for case in cases:
        started = time.perf_counter()
        outcome, remarks = _run(case, engine)
        yield Result(case, outcome, tuple(remarks), time.perf_counter() - started)


def _run(case: Case, engine: str) -> tuple[Outcome, Sequence[str]]:
    if engine not in case.engines:
        return Outcome.SKIPPED, [f"not for the engine {engine}"]
    try:
        with ExitStack() as undo:
            case.check(Workbench(engine, undo))
    except Skip as reason:
        return Outcome.SKIPPED, [str(reason)]
    except NotSupportedError as error:
        return Outcome.SKIPPED, [str(error)]
    except Failure as failure:
        return Outcome.FAILED, [str(failure)]
    except Exception as error:
        # Whatever it is, the other cases are to be run.
        return Outcome.FAILED, [f"{type(error).__name__}: {error}"]
    return Outcome.PASSED, []


@cache
def _compiled(source: str, **options: Any) -> Object:
    from osmia.toolchain.objects import compile_object

    return compile_object(_PROGRAMS / source, **options)


def _maps_of(obj: Object, programs: Sequence[str]) -> set[str]:
    """The maps that these programs refer to, and those that are put into them."""
    functions = {obj.programs[name].function for name in programs}
    for function in tuple(functions):
        functions |= set(obj.callees(function))
    names = {
        relocation.target for name in functions for relocation in obj.functions[name].relocations
    }
    names |= {target for name in names & obj.maps.keys() for _, target in obj.maps[name].slots}
    return names & obj.maps.keys()
