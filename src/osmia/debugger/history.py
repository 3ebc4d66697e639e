"""A run's past: where it has been, and how to be there again.

Programs do the same whenever they begin from the same, so a place in the past is reached by going
back to a checkpoint before it and forward from there. Positions count instructions. What the user
changed at a position (memory, maps, registers) happens again when the run comes by; a change in
the past makes another future: what was known of the old one is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.debugger.machine import Machine
from osmia.debugger.state import Change, Checkpoint, Mark
from osmia.vm.errors import ProgramFault

FIRST_INTERVAL = 1 << 13
"""Instructions between two checkpoints: some 10 ms. Doubled when there are many."""
MOST_CHECKPOINTS = 64
NEAR = 1 << 9
"""Instructions before a place that was gone back to where there is a checkpoint more: the next
step back is not far."""


class History:
    """The past of one machine; see `advance`, `go` and `backwards`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.end = 0
        """The furthest position that is known."""
        self.edits: dict[int, list[Change]] = {}
        self._interval = FIRST_INTERVAL
        self._checkpoints = [Checkpoint.of(machine)]
        self._near: Checkpoint | None = None
        self._mark: Mark | None = None
        self._rests = False

    # Standing still.

    def rest(self) -> None:
        """The run stands still, and is the user's to change."""
        self._mark = self.machine.mark(self._mark)
        self._rests = True

    def resume(self) -> None:
        """The run is about to move: what was changed meanwhile belongs to its past."""
        mark = self._mark
        if not self._rests or mark is None:
            return
        self._rests = False
        now = self._mark = self.machine.mark(mark)
        change = mark.change_until(now)
        if change is not None:
            position = self.machine.position
            self._forget_after(position)
            self.edits.setdefault(position, []).append(change)

    def forget_future(self) -> None:
        """What comes after this position is not known any more."""
        self._forget_after(self.machine.position)

    def _forget_after(self, position: int) -> None:
        """What comes after a position is not known any more. A checkpoint at the position itself
        is without what was changed there."""
        self.end = position
        self.edits = {at: edits for at, edits in self.edits.items() if at <= position}
        self.machine.callbacks.forget_from(position)
        answers = self.machine.answers
        for at in [at for at in answers if at >= position]:
            del answers[at]
        if self._near is not None and self._near.position >= position:
            self._near = None
        first, *others = self._checkpoints
        self._checkpoints = [first, *(each for each in others if each.position < position)]

    # Moving.

    def advance(self) -> bool:
        """Run one instruction, and what was changed after it; False when the program ended."""
        machine = self.machine
        last = self._checkpoints[-1]
        if machine.position >= last.position + self._interval and not machine.calls_back:
            self._keep(Checkpoint.of(machine, last.memory))
        going_on = machine.advance()
        position = machine.position
        if position > self.end:
            self.end = position
        elif position in self.edits:
            self._edited(position)
        return going_on

    def _edited(self, position: int) -> None:
        for change in self.edits.get(position, ()):
            change.apply(self.machine)

    def _keep(self, checkpoint: Checkpoint) -> None:
        self._checkpoints.append(checkpoint)
        if len(self._checkpoints) > MOST_CHECKPOINTS:
            self._interval *= 2
            del self._checkpoints[1::2]

    def go(self, position: int, *, anew: bool = False) -> None:
        """Be at a position of the past, or as near before it as the run came. `anew`: from a
        checkpoint, whatever was left half done."""
        machine = self.machine
        held = self._before(position)
        if anew or not held.position <= machine.position <= position:
            self._restore(held)
        for _ in self._towards(position):
            try:
                if not self.advance() and machine.position not in machine.callbacks.plans:
                    break
            except ProgramFault:
                break

    def _towards(self, position: int) -> Iterator[int]:
        """The positions on the way to one; shortly before it a checkpoint is made."""
        machine = self.machine
        near = position - machine.position < 2 * NEAR
        while machine.position < position:
            if not near and position - machine.position <= NEAR and not machine.calls_back:
                near = True
                self._near = Checkpoint.of(machine, self._checkpoints[-1].memory)
            yield machine.position

    def _before(self, position: int) -> Checkpoint:
        near = self._near
        held = next(each for each in reversed(self._checkpoints) if each.position <= position)
        if near is not None and held.position < near.position <= position:
            return near
        return held

    def _restore(self, held: Checkpoint) -> None:
        held.restore(self.machine)
        if not held.position:
            self._edited(0)

    def backwards(self) -> Iterator[Iterator[int]]:
        """The past in pieces, the latest first. Each is gone through forwards: it gives the
        positions at which the run stands still on the way, before the instruction there. A piece
        ends with the position that the later one began with, so that none is without the one
        before it; in the end the run is behind the last."""
        end = self.machine.position
        held = self._before(end - 1) if end else None
        while held is not None:
            yield self._through(held, end)
            end = held.position + 1
            held = self._before(held.position - 1) if held.position else None

    def _through(self, held: Checkpoint, end: int) -> Iterator[int]:
        self._restore(held)
        for position in self._towards(end):
            if self.machine.frames:
                yield position
            self.advance()
