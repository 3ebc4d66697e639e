"""Properties that are computed once: `osmia.kept_values`."""

from __future__ import annotations

import pytest

from osmia.kept_values import kept_value


class Counted:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    @kept_value
    def answer(self) -> int:
        """What it says."""
        self.asked += 1
        if self.asked == 1:
            raise LookupError
        return 42


def test_it_is_computed_once_for_each_object_and_not_kept_where_it_failed() -> None:
    counted, other = Counted(), Counted()
    with pytest.raises(LookupError):
        counted.answer  # noqa: B018
    assert (counted.answer, counted.answer, counted.asked) == (42, 42, 2)
    assert "answer" not in vars(other)


def test_it_is_found_in_the_object_and_can_be_forgotten() -> None:
    counted = Counted()
    counted.asked = 1
    assert counted.answer == vars(counted)["answer"] == 42
    del counted.answer
    assert (counted.answer, counted.asked) == (42, 3)


def test_the_class_has_what_documents_it() -> None:
    assert Counted.answer.__doc__ == "What it says."
