"""The last run of each test's programs, kept for the report of a test that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.engine.loaded import LoadedObject
from osmia.engine.program import Program
from osmia.records import dataclass, field

if TYPE_CHECKING:
    from osmia.engine.results import RunResult
    from osmia.object.model import SourceLine
    from osmia.vm.interpreter import Interpreter

#: Lines of a path that are kept: the last ones.
LONGEST_PATH = 200


class Path:
    """A hook that keeps the source lines in the order in which they ran, the last ones."""

    def __init__(self) -> None:
        self.lines: list[SourceLine] = []
        self.left_out = 0

    def __call__(self, interpreter: Interpreter) -> None:
        frame = interpreter.frame
        line = frame.code.lines.get(frame.slot)
        lines = self.lines
        if line is None or (lines and (lines[-1].line, lines[-1].file) == (line.line, line.file)):
            return
        lines.append(line)
        if len(lines) >= 2 * LONGEST_PATH:
            self.left_out += len(lines) - LONGEST_PATH
            del lines[:-LONGEST_PATH]


@dataclass(slots=True)
class Run:
    """One run: what it was given, what it gave (None: it raised), and the way it took, if known."""

    program: Program
    data: Any
    number: int
    path: Path | None = None
    result: RunResult | None = None


@dataclass(slots=True)
class Recording:
    """The runs of a loaded object's programs, from `record` on; `last` is the last one."""

    bpf: LoadedObject
    last: Run | None = None
    count: int = field(default=0)

    def record(self) -> None:
        """Keep each run from now on: `run` of the programs that the object has is looked at."""
        for program in self.bpf.programs.values():
            self._record(program)

    def _record(self, program: Program) -> None:
        run = program.run

        def recorded(data: Any = b"", ctx: Any = None, **options: Any) -> RunResult:
            self.count += 1
            path = Path() if _is_interpreted(program, options) else None
            self.last = kept = Run(program, data, self.count, path)
            if path is not None:
                options = {**options, "hook": path}
            kept.result = run(data, ctx, **options)
            return kept.result

        program.run = recorded  # type: ignore[method-assign]


def _is_interpreted(program: Program, options: dict[str, Any]) -> bool:
    """Whether a run is one of a vm's interpreter, strict, and nobody else's hook looks at it.

    Others are left as they are: with a hook they would run elsewhere, and a test that sends a
    million packets would take as many times longer.
    """
    if program.engine != "vm" or options.get("hook") or options.get("repeat", 1) != 1:
        return False
    from osmia.vm.budgets import HOT

    executor = options.get("executor", "auto")
    first: bool = executor == "auto" and program.runs + 1 < HOT  # type: ignore[attr-defined]
    return options.get("strict", True) is True and (executor == "interpreter" or first)
