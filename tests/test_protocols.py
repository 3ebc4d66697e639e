"""Protocols that are only looked at by type checkers, and by who explains a wrong argument."""

from __future__ import annotations

import subprocess
import sys

from osmia.argument_faults import _fits
from osmia.protocols import Protocol


class Closes(Protocol):
    """What can be closed."""

    limit: int

    def close(self) -> None:
        """Close it."""


class Door(Closes):
    limit = 3

    def close(self) -> None:
        self.limit = 0


class Like:
    limit = 4

    def close(self) -> None:
        """As a Closes does."""


def test_who_says_that_it_is_one_can_be_made() -> None:
    door = Door()
    door.close()
    assert door.limit == 0


def test_what_has_its_members_fits_an_argument() -> None:
    names = {"Closes": Closes, "Door": Door}
    assert _fits(Like(), "Closes", names)
    assert _fits(Door(), "Closes | None", names)
    assert not _fits("a door", "Closes", names)
    assert not _fits(Like(), "Door", names)


def test_it_takes_no_typing() -> None:
    script = "import sys, osmia.protocols; print('typing' in sys.modules)"
    run = [sys.executable, "-c", script]
    assert subprocess.check_output(run, text=True).strip() == "False"
