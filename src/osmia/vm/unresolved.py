"""Calls that cannot be: where a pass had no answer a run ends, with the pass's words."""

from __future__ import annotations

#: The immediates of such calls in a vm's code: this, plus the number of the words.
_BASE = 0x7000_0000
_COUNT = 1 << 24
_UNSAID = "a field, type, map or function is used that is not there"


def is_unresolved(number: int) -> bool:
    """Whether a call of this number is one that cannot be."""
    from osmia.passes.poison import POISON, POISONED_KFUNC, POISONED_MAP  # few programs have any

    first = (POISONED_KFUNC, POISONED_MAP)
    libbpfs = number == POISON or any(number in range(each, each + (1 << 16)) for each in first)
    return libbpfs or number in range(_BASE, _BASE + _COUNT)


class UnresolvedCalls:
    """What such calls of one vm say. Equal words have one number, so that a vm which loads
    one object again and again does not grow."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def number(self, words: str) -> int:
        """The immediate of a call that says `words`."""
        number = self._numbers.setdefault(words, _BASE + len(self._numbers) % _COUNT)
        self._words[number] = words
        return number

    def words(self, number: int) -> str:
        """What a call of this number says."""
        return self._words.get(number, _UNSAID)
