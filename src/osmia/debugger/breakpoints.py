"""Breakpoints: a place, and when to stop there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from osmia.debugger.places import Place
from osmia.vm.programs import VmProgram

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine

Condition = Callable[[], bool]


class Breakpoint:
    """A place where a run stops. `hits` counts how often it came by with the condition true;
    the next `ignore` of those do not stop it. A `temporary` one is deleted when it stopped."""

    def __init__(
        self,
        owner: Breakpoints,
        identifier: int,
        place: Place,
        *,
        condition: Condition | None,
        condition_text: str,
        ignore: int,
        temporary: bool,
    ) -> None:
        self._owner = owner
        self.id = identifier
        self.place = place
        self.enabled = True
        self.hits = 0
        self.ignore = ignore
        self.temporary = temporary
        self.condition = condition
        self.condition_text = condition_text
        """As it was written; of a callable its repr."""

    @property
    def line(self) -> int | None:
        """The line that it is at; None of one that is at no line."""
        return getattr(self.place, "line", None)

    def delete(self) -> None:
        """Take it away."""
        self._owner.remove(self)

    def here(self, machine: Machine) -> bool:
        """Whether a run that is at one of its slots would stop: without counting."""
        if not self.enabled or not self.place.holds(machine):
            return False
        return self.condition is None or bool(self.condition())

    def stops(self, machine: Machine) -> bool:
        """Whether a run that is at one of its slots stops; counted."""
        if not self.here(machine):
            return False
        self.hits += 1
        if self.ignore > 0:
            self.ignore -= 1
            return False
        if self.temporary:
            self.delete()
        return True

    def __repr__(self) -> str:
        state = "" if self.enabled else ", disabled"
        return f"<Breakpoint {self.id} at {self.place}, {self.hits} hits{state}>"


class Breakpoints:
    """All breakpoints of a session, and at which slots of each program they are."""

    def __init__(self) -> None:
        self._all: dict[int, Breakpoint] = {}
        self._slots: dict[int, dict[int, list[Breakpoint]]] = {}

    def add(self, made: Breakpoint) -> Breakpoint:
        """One more."""
        self._all[made.id] = made
        self._slots.clear()
        return made

    def remove(self, gone: Breakpoint) -> None:
        """One less; nothing happens the second time."""
        self._all.pop(gone.id, None)
        self._slots.clear()

    def of(self, program: VmProgram) -> dict[int, list[Breakpoint]]:
        """Those of a program by slot."""
        held = self._slots.get(program.number)
        if held is None:
            held = self._slots[program.number] = {}
            for each in self._all.values():
                for slot in each.place.slots(program):
                    held.setdefault(slot, []).append(each)
        return held

    def at(self, machine: Machine) -> list[Breakpoint]:
        """Those that may be where a run is."""
        frame = machine.frames[-1]
        held = self._slots.get(frame.program)
        if held is None:
            held = self.of(machine.vm.lifetimes.programs[frame.program])
        return held.get(frame.slot, [])

    def __iter__(self) -> Iterator[Breakpoint]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, identifier: int) -> Breakpoint:
        return self._all[identifier]
