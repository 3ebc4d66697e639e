"""`Rates`: how fast counters grow, from reading them again and again; sparklines of that."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping

from osmia.arguments import names_wrong_arguments
from osmia.records import dataclass

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-:=+*#"


@dataclass(frozen=True)
class Rate:
    """A counter at a reading: its `value`, the `change` since the reading before, the change
    `per_second`, and `recent`: the last readings' changes per second, the newest last."""

    name: str
    value: float
    change: float
    per_second: float
    recent: tuple[float, ...]


class Rates:
    """Readings of counters over time: `update` gives what changed since the last one.

    The first reading is where counting begins. A counter that was not there before began at
    0; one that is gone is forgotten. `history` readings are remembered of each.
    """

    @names_wrong_arguments
    def __init__(self, counters: Mapping[str, float] = {}, *, history: int = 30) -> None:
        self._values = dict(counters)
        self._recent: dict[str, deque[float]] = {}
        self._history = history
        self._readings = 0
        self._read_at = time.monotonic()

    @names_wrong_arguments
    def update(self, counters: Mapping[str, float], *, seconds: float | None = None) -> list[Rate]:
        """The rates of all counters, in their order, over the `seconds` since the last reading
        (None: by the clock)."""
        now = time.monotonic()
        over = (now - self._read_at) if seconds is None else seconds
        rates = [self._rate(name, value, over) for name, value in counters.items()]
        self._recent = {each.name: self._recent[each.name] for each in rates}
        self._values, self._read_at = dict(counters), now
        self._readings += 1
        return rates

    def _rate(self, name: str, value: float, seconds: float) -> Rate:
        change = value - self._values.get(name, 0)
        per_second = change / seconds if seconds > 0 else 0.0
        recent = self._recent.get(name)
        if recent is None:
            before = min(self._readings, self._history)
            recent = self._recent[name] = deque([0.0] * before, maxlen=self._history)
        recent.append(per_second)
        return Rate(name, value, change, per_second, tuple(recent))


@names_wrong_arguments
def sparkline(values: Iterable[float], *, ascii: bool = False) -> str:  # noqa: A002
    """A letter for each value, from 0 to the greatest: "▁▃█"; "_:#" in ASCII."""
    numbers = [max(0.0, value) for value in values]
    bars, most = _ASCII_BARS if ascii else _BARS, max(numbers, default=0)
    if not most:
        return bars[0] * len(numbers)
    return "".join(bars[round((len(bars) - 1) * number / most)] for number in numbers)
