"""`Top`: which keys come most often, or carry most, in memory that stays bounded."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import nlargest
from operator import itemgetter

from osmia.arguments import names_wrong_arguments

#: Keys that are counted at one time.
MOST_KEYS = 10_000


class Top:
    """Sums by key: `add` what comes, `rows` are the greatest.

    When there are more than `most_keys` different keys the lesser half is forgotten, and
    `dropped` is what these had in sum: no row is short of more than that.
    """

    @names_wrong_arguments
    def __init__(self, *, most_keys: int = MOST_KEYS) -> None:
        if most_keys < 1:
            raise ValueError(f"no key can be counted with most_keys={most_keys}")
        self.total: float = 0
        self.dropped: float = 0
        self._most_keys = most_keys
        self._sums: dict[Hashable, float] = {}

    def add(self, key: Hashable, amount: float = 1) -> None:
        """Count a key, or add `amount` to what it has."""
        self.total += amount
        known = self._sums.get(key)
        if known is None and len(self._sums) >= self._most_keys:
            self._forget()
        self._sums[key] = amount if known is None else known + amount

    @names_wrong_arguments
    def rows(self, count: int | None = 20) -> list[tuple[Hashable, float]]:
        """The `count` greatest sums (None: all) with their keys; equal ones as they came."""
        items = self._sums.items()
        return nlargest(len(items) if count is None else count, items, key=itemgetter(1))

    def __len__(self) -> int:
        """How many keys are known."""
        return len(self._sums)

    def __repr__(self) -> str:
        return f"<Top of {len(self)} keys, {self.total} in all>"

    def _forget(self) -> None:
        kept = dict(self.rows(self._most_keys // 2))
        self.dropped += sum(self._sums.values()) - sum(kept.values())
        self._sums = kept
