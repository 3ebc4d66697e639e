"""Watchpoints: a value, and what it was before the instruction that changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Watchpoint:
    """Stops a run after the instruction that changes a value. `read` gives the value now, None
    where there is none; `any_instruction` says that not only those that write to memory can change
    it."""

    def __init__(
        self,
        owner: Watchpoints,
        identifier: int,
        text: str,
        read: Callable[[], Any],
        *,
        any_instruction: bool,
    ) -> None:
        self._owner = owner
        self.id = identifier
        self.text = text
        self.read = read
        self.any_instruction = any_instruction
        self.enabled = True
        self.hits = 0

    def delete(self) -> None:
        """Take it away."""
        self._owner.remove(self)

    def __repr__(self) -> str:
        state = "" if self.enabled else ", disabled"
        return f"<Watchpoint {self.id} on {self.text}, {self.hits} hits{state}>"


class Watchpoints:
    """All watchpoints of a session."""

    def __init__(self) -> None:
        self._all: dict[int, Watchpoint] = {}

    def add(self, made: Watchpoint) -> Watchpoint:
        """One more."""
        self._all[made.id] = made
        return made

    def remove(self, gone: Watchpoint) -> None:
        """One less; nothing happens the second time."""
        self._all.pop(gone.id, None)

    @property
    def any_instruction(self) -> bool:
        """Whether any instruction may change what is watched."""
        return any(each.any_instruction and each.enabled for each in self._all.values())

    def values(self) -> list[tuple[Watchpoint, Any]]:
        """What is watched, now."""
        return [(each, each.read()) for each in self._all.values() if each.enabled]

    def __iter__(self) -> Iterator[Watchpoint]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, identifier: int) -> Watchpoint:
        return self._all[identifier]
