"""The runs of an iterator's program in a session: one for each object, and one for the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.vm.errors import ProgramFault
from osmia.vm.iteration import ASKED_AGAIN, SHOWN, Iteration

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine
    from osmia.engine.results import RunResult
    from osmia.vm.programs import VmProgram


class Rounds:
    """What `Program.run(objects=…)` does, as one run: where the program has returned it begins
    again on the next object. `number` counts from 0."""

    def __init__(self, program: VmProgram, objects: Any) -> None:
        self.program = program
        self.number = 0
        self._iteration = Iteration(program, objects)
        try:
            self._contexts = list(self._iteration.contexts(keep=True))
        except BaseException:
            self._iteration.close()
            raise

    @property
    def context(self) -> bytes:
        """That of the first."""
        return self._contexts[0]

    def go_on(self, machine: Machine) -> bool:
        """Begin the next, if there is one. ProgramFault where the program asks for the same."""
        if machine.result != SHOWN:
            raise ProgramFault(ASKED_AGAIN, program=self.program.name)
        if self.number + 1 >= len(self._contexts):
            return False
        self.number += 1
        machine.given.place(b"", self._contexts[self.number])
        machine.call_back(self.program, 0, machine.given.arguments)
        return True

    def result(self, last: RunResult) -> RunResult:
        """What all of them gave."""
        return self._iteration.result(last)

    def close(self) -> None:
        """It is not iterated any more."""
        self._iteration.close()
