"""What a program put off (timers, work queues), called at the program's end as its time comes.

The run goes on with it, in the same session: a callback's first instruction is one step behind the
end of the program, or of the callback before. What was asked for is kept by position, so that a
run which goes the same way again calls the same.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from osmia.named_tuples import NamedTuple
from osmia.vm import layout

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine
    from osmia.vm.access import Owner
    from osmia.vm.deferred import Clock
    from osmia.vm.engine import Vm
    from osmia.vm.helpers.timers import Deferred

_CLOCKS = ("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns")
_JIFFY = 4_000_000  # ns
_KEY_ROOM = 1 << 12
"""Bytes behind the context, at the end of its place, where callbacks' keys are."""


class Going(NamedTuple):
    """Callbacks that are called: until what time, which one is now (its number; 0 for none), its
    key's size, and what the program returned before them."""

    until: int
    number: int = 0
    key_size: int = 0
    result: int | None = None


class StandingClock:
    """The clock of a vm that has none of a test: it stands where it is until it is moved."""

    def __init__(self, vm: Vm) -> None:
        self.time = monotonic_ns()
        self._vm = vm
        clocks = {name: lambda: self.time for name in _CLOCKS}
        clocks["jiffies64"] = lambda: self.time // _JIFFY
        self._names = [name for name in clocks if name not in vm.helpers]
        for name in self._names:
            vm.helpers[name] = clocks[name]

    def remove(self) -> None:
        """Let the vm have the machine's clock again."""
        if self._vm.clock is self:
            self._vm.clock = None
            for name in self._names:
                del self._vm.helpers[name]


def clock_of(vm: Vm) -> Clock:
    """The clock of a test's machine, or one of its own for the vm."""
    if vm.clock is None:
        vm.clock = StandingClock(vm)
    return vm.clock


class Callbacks:
    """Calls what is due for one machine; `plans` has the times that were asked for, by position."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.plans: dict[int, int] = {}
        self.going: Going | None = None
        self._first_time: int | None = None

    @property
    def item(self) -> Deferred | None:
        """What is called now; None while none is."""
        queue = self._machine.vm.deferred
        return queue.items.get(self.going.number) if queue and self.going else None

    def described(self) -> str:
        """What is called now, in words: "timer of entries[7]"; "" while nothing is."""
        item = self.item
        if item is None or self.going is None:
            return ""
        memory, size = self._machine.memory, self.going.key_size
        key = memory.read(self._key_address, size)
        shown = int.from_bytes(key, "little") if size <= 8 else key.hex(" ")
        return f"{item.kind} of {item.map.name}[{shown}]"

    @property
    def _key_address(self) -> int:
        return self._machine.cpu.context + layout.CPU_CONTEXT_SIZE - _KEY_ROOM

    @property
    def time(self) -> int | None:
        """The clock's; None while there is none that could be moved."""
        clock = self._machine.vm.clock
        return None if clock is None else clock.time

    def go_back(self, going: Going | None, time: int | None) -> None:
        """Be where callbacks were at an earlier time; None: before there was a clock."""
        self.going, clock = going, self._machine.vm.clock
        first = self._first_time if time is None else time
        if clock is not None and first is not None:
            clock.time = first

    def plan(self, seconds: float) -> None:
        """Have what is due until so many seconds from now called at this position."""
        clock = clock_of(self._machine.vm)
        if self._first_time is None:
            self._first_time = clock.time
        self.plans[self._machine.position] = clock.time + round(seconds * 10**9)

    def begin(self) -> bool:
        """At a position at which it was asked for, call what is due first; whether anything is."""
        machine = self._machine
        until = self.plans.get(machine.position)
        if until is None:
            return False
        self.going = Going(until, result=machine.result)
        return self.go_on()

    def go_on(self) -> bool:
        """What is called now has returned: call what is due next; False where nothing is."""
        machine, going = self._machine, self.going
        if going is None:
            return False
        vm, clock = machine.vm, clock_of(machine.vm)
        if self.item is not None:
            self.item.running = False
        item = vm.deferred.next(vm, going.until) if vm.deferred is not None else None
        if item is None:
            clock.time = max(clock.time, going.until)
            machine.result, self.going = going.result, None
            return False
        assert item.due is not None
        clock.time = max(clock.time, item.due)
        item.due, item.running = None, True
        self._call(item, going)
        return True

    def _call(self, item: Deferred, going: Going) -> None:
        machine, body, program = self._machine, item.map, item.program
        assert program is not None and machine.vm.deferred is not None
        offset = item.address - body.values_address
        value = item.address - offset % body.step
        key = next(key for key, where in body.entries() if where == value)
        machine.memory.write(self._key_address, key)
        items = machine.vm.deferred.items
        number = next(number for number, each in items.items() if each is item)
        self.going = going._replace(number=number, key_size=len(key))
        machine.call_back(program, item.slot, (body.handle, self._key_address, value))

    def forget_from(self, position: int) -> None:
        """What was asked for there, and after it, is not known any more."""
        self.plans = {at: until for at, until in self.plans.items() if at < position}


class KeyOwner:
    """The context of a run, and behind it the key that a callback may read."""

    def __init__(self, callbacks: Callbacks, given: Owner, context: int) -> None:
        self._callbacks = callbacks
        self._given = given
        self._key = context + layout.CPU_CONTEXT_SIZE - _KEY_ROOM
        self._end = context + layout.CPU_CONTEXT_SIZE

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        going = self._callbacks.going
        if going is None or not self._key <= address < self._end:
            return self._given.forbids(address, size, write)
        if address + size > self._key + going.key_size:
            return "an access that runs over a map's key"
        return "a write to a map's key" if write else None
