"""What a session is given: the arguments of `Program.run`, as far as one run has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from osmia.engine.refusals import misspelt
from osmia.engine.results import as_packet

if TYPE_CHECKING:
    from osmia.debugger.rounds import Rounds
    from osmia.vm.programs import VmProgram

_WHY_NOT = {
    "repeat": "it is one run; Session.restart begins it again",
    "executor": "what is stepped through is interpreted",
    "hook": "it stands still where it is told to: step, watch, break_at",
}
OPTIONS = ("strict", "budget", "args", "result", "objects", "linear")
"""The options of `Program.run` that a session takes."""


class Given:
    """The input of a session's run. `ctx` is what was given or made of `args`, `result` and
    `objects`; what that leads to is there as long as this is."""

    def __init__(
        self,
        program: VmProgram,
        data: bytes | bytearray | memoryview,
        ctx: Any,
        *,
        args: Sequence[Any] | None,
        result: Any,
        objects: Any,
        linear: int | None,
    ) -> None:
        self.data = as_packet(data)
        self.ctx = ctx
        self.linear = linear
        self.rounds: Rounds | None = None
        self._call: object = None
        if objects is not None:
            self._iterate(program, objects)
        elif args is not None or result:
            self._be_called(program, args or (), result)

    def _iterate(self, program: VmProgram, objects: Any) -> None:
        from osmia.debugger.rounds import Rounds

        if self.ctx is not None or self.data:
            raise ValueError("objects= makes the context: data and ctx cannot be given too")
        self.rounds = Rounds(program, objects)
        self.ctx = self.rounds.context

    def _be_called(self, program: VmProgram, args: Sequence[Any], result: Any) -> None:
        from osmia.vm.run_arguments import Call

        if self.ctx is not None:
            raise ValueError("args= and result= make the context: ctx= cannot be given too")
        self._call = call = Call(program, args, result)
        self.ctx = call.context

    def close(self) -> None:
        """The run is over."""
        if self.rounds is not None:
            self.rounds.close()


def refuse(option: str) -> NoReturn:
    """Raise for an option that sessions do not take: TypeError."""
    if option in _WHY_NOT:
        raise TypeError(f"a session takes no {option}=: {_WHY_NOT[option]}")
    raise misspelt("a session", option, OPTIONS)
