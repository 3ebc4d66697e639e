"""What programs put off, brought by a test's clock: callbacks of timers and work, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from osmia.errors import OsmiaError
from osmia.protocols import Protocol
from osmia.vm import layout
from osmia.vm.budgets import INTERPRETER_BUDGET
from osmia.vm.execution import Execution
from osmia.vm.interpreter import Interpreter

if TYPE_CHECKING:
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.helpers.timers import Deferred


class Clock(Protocol):
    """A clock that a test moves: `time` in ns."""

    time: int


MOST = 100_000
"""Callbacks of one step of the clock: what starts itself again at once never ends."""


def run_due(vm: Vm, until: int, set_clock: Callable[[int], None]) -> None:
    """Run what is due up to a time, what is due first before the rest, each with the clock at its
    time; `set_clock` moves that. Callbacks are interpreted, in strict mode.

    Raises ProgramFault when one goes wrong, which is started no more then.
    """
    for _ in range(MOST):
        item = vm.deferred.next(vm, until) if vm.deferred is not None else None
        if item is None:
            return
        assert item.due is not None
        set_clock(item.due)
        item.due = None
        item.running = True
        try:
            _call(vm, item)
        finally:
            item.running = False
    raise OsmiaError(f"timers start each other without an end: {MOST} ran up to {until} ns")


def _call(vm: Vm, item: Deferred) -> None:
    """Call an item's function with its map, key and value."""
    lease = vm.cpus.lease()
    program, body = item.program, item.map
    assert program is not None
    try:
        with lease.token:
            given = _Key(vm, lease.take())
            offset = item.address - body.values_address
            value = item.address - offset % body.step
            key = next(key for key, where in body.entries() if where == value)
            given.place(key)
            interpreter = Interpreter(
                Execution(vm, given.cpu, given, program.type), budget=INTERPRETER_BUDGET
            )
            lease.running = interpreter
            program.interpret(interpreter, (body.handle, given.cpu.context, value), item.slot)
    finally:
        vm.cpus.freed()


class _Key:
    """The key that a callback gets, where a run's context would be: it may be read."""

    def __init__(self, vm: Vm, cpu: Cpu) -> None:
        self.cpu = cpu
        self._memory = vm.memory
        self._end = cpu.context

    def place(self, key: bytes) -> None:
        """Put the key there, in a CPU whose run has no packet and no context."""
        state, memory = self.cpu.state, self._memory
        memory.zero(state + layout.STATE_INTERRUPT, 16)
        memory.store32(state + layout.STATE_TAIL_CALLS, 0)
        for place in (layout.STATE_DATA, layout.STATE_DATA_END):
            memory.store32(state + place, layout.NO_PACKET)
        memory.write(self.cpu.context, key)
        self._end = self.cpu.context + len(key)

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        if address + size > self._end:
            return "an access that runs over a map's key"
        return "a write to a map's key" if write else None
