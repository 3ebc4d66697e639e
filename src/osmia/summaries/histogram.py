"""`Histogram`: how often values were where, drawn as BCC draws it.

     usecs               : count     distribution
         0 -> 1          : 3        |****                                    |
         2 -> 3          : 29       |****************************************|

Buckets are powers of two, or with `step` of one width each. Those of powers are numbered as
programs number their slots: slot n has the values with n + 1 bits, and slot 0 also the 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.records import dataclass

#: Different buckets that are counted one by one; a step too small for its values fills no memory.
MOST_BUCKETS = 4096

#: The width of a bar, BCC's, where there is room for it; and what a bar needs to say anything.
_BAR, _LEAST_BAR = 40, 8
#: The widths of BCC's columns: numbers, count.
_NUMBER, _COUNT = 10, 8
#: Empty buckets in a row that are drawn; more are one line. Powers of two are all drawn.
_GAP = 4
#: The slot of what is below zero.
_NEGATIVE = -1


@dataclass(frozen=True)
class Bucket:
    """Values from `low` to `high`, both included, and how many there were.

    None: without an end on that side.
    """

    low: int | None
    high: int | None
    count: int


class Histogram:
    """Counts of values by bucket: `add` values, or slots that a program counted; print it.

    `step` is the width of a bucket; None: powers of two. `unit` says in drawings what the values
    are. Two are equal when their buckets and counts are; `later - earlier` is what came between,
    `one + other` both.
    """

    @names_wrong_arguments
    def __init__(self, *, step: int | None = None, unit: str = "value") -> None:
        if step is not None and step < 1:
            raise ValueError(f"a bucket is at least 1 wide, not {step}")
        self.step = step
        self.unit = unit
        self.beyond = 0
        """Values without a bucket: there were too many (`MOST_BUCKETS`), or they are no numbers."""
        self._counts: dict[int, int] = {}

    @classmethod
    @names_wrong_arguments
    def of(
        cls, values: Iterable[float], *, step: int | None = None, unit: str = "value"
    ) -> Histogram:
        """The histogram of these values."""
        made = cls(step=step, unit=unit)
        for value in values:
            made.add(value)
        return made

    @classmethod
    @names_wrong_arguments
    def from_slots(
        cls,
        slots: Iterable[int],
        *,
        first: int = 0,
        step: int | None = None,
        unit: str = "value",
    ) -> Histogram:
        """The histogram that a program counted: slot by slot, `slots[first]` being slot 0.

        `first=1` is for programs that count with BCC's bpf_log2l, which is one more than the
        logarithm. With `step` slot n has the values from n * step on.
        """
        made = cls(step=step, unit=unit)
        for slot, count in enumerate(slots, -first):
            made.add_slot(max(0, slot), count)
        return made

    def add(self, value: float, count: int = 1) -> None:
        """Count a value, `count` times."""
        try:
            number = int(value // 1)
        except (ValueError, OverflowError):  # not a number, infinity
            self.beyond += count
            return
        except TypeError:
            raise TypeError(f"{type(value).__name__} is no number: {value!r:.80}") from None
        if self.step is not None:
            self.add_slot(number // self.step, count)
        else:
            self.add_slot(_NEGATIVE if number < 0 else max(0, number.bit_length() - 1), count)

    def add_slot(self, slot: int, count: int = 1) -> None:
        """Count a value of which only the bucket's number is known."""
        if not count:
            return
        counts = self._counts
        if slot in counts or len(counts) < MOST_BUCKETS:
            counts[slot] = counts.get(slot, 0) + count
        else:
            self.beyond += count

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self._counts.values()) + self.beyond

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets with a count, the lowest first."""
        return [self._bucket(slot, self._counts[slot]) for slot in sorted(self._counts)]

    @names_wrong_arguments
    def lines(self, width: int = 80) -> list[str]:
        """The drawing: a heading, and a line for each bucket, in `width` columns if that can be.

        Plain ASCII. Powers of two begin at 0; linear ones where the first count is.
        """
        rows = self._rows()
        if not rows:
            return [f"     {self.unit}: nothing was counted"]
        drawn = [row for row in rows if row is not None]
        wide = max(_NUMBER, *(len(str(end)) for row in drawn for end in (row.low, row.high)))
        counted = max(_COUNT, *(len(str(row.count)) for row in drawn))
        ranges = 2 * wide + len(" -> ")
        bar = max(_LEAST_BAR, min(_BAR, width - ranges - counted - len(" :  ||")))
        most = max(row.count for row in drawn)
        lines = [f"{f'     {self.unit}':<{ranges}} : {'count':<{counted}}  distribution"]
        for row in rows:
            if row is None:
                lines.append(f"{'...':>{wide}}")
                continue
            stars = "*" * (bar * row.count // most)
            lines.append(f"{_range(row, wide)} : {row.count:<{counted}} |{stars:<{bar}}|")
        if self.beyond:
            lines.append(f"and {self.beyond} more values without a bucket")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        kind = "powers of two" if self.step is None else f"steps of {self.step}"
        return f"<Histogram of {self.total} values in {kind}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (self.step, self.beyond, self._counts) == (other.step, other.beyond, other._counts)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __add__(self, other: Histogram) -> Histogram:
        return self._combined(other, 1)

    def __sub__(self, other: Histogram) -> Histogram:
        """What was counted since `other`. Slots that count less now began anew: all they have."""
        return self._combined(other, -1)

    def _combined(self, other: Histogram, sign: int) -> Histogram:
        if self.step != other.step:
            raise ValueError("the buckets of the two histograms differ")
        made = Histogram(step=self.step, unit=self.unit)
        made._counts = dict(self._counts)
        for slot, count in other._counts.items():
            made._counts[slot] = _moved(made._counts.get(slot, 0), sign * count)
        made._counts = {slot: count for slot, count in made._counts.items() if count}
        made.beyond = _moved(self.beyond, sign * other.beyond)
        return made

    def _bucket(self, slot: int, count: int) -> Bucket:
        if self.step is not None:
            return Bucket(slot * self.step, (slot + 1) * self.step - 1, count)
        if slot == _NEGATIVE:
            return Bucket(None, -1, count)
        return Bucket(1 << slot if slot else 0, (2 << slot) - 1, count)

    def _rows(self) -> Sequence[Bucket | None]:
        """The buckets to be drawn, empty ones among them; None for many of those."""
        if not self._counts:
            return []
        present = sorted(self._counts)
        rows: list[Bucket | None] = []
        before = present[0] - 1 if self.step is not None or present[0] < 0 else -1
        for slot in present:
            missing = slot - before - 1
            if self.step is not None and missing > _GAP:
                rows.append(None)
            else:
                rows += [self._bucket(empty, 0) for empty in range(before + 1, slot)]
            rows.append(self._bucket(slot, self._counts[slot]))
            before = slot
        return rows


def _moved(now: int, by: int) -> int:
    return now + by if now + by >= 0 else now


def _range(bucket: Bucket, wide: int) -> str:
    low = "..." if bucket.low is None else str(bucket.low)
    if bucket.low == bucket.high:
        return f"{low:>{wide}}{'':{wide + len(' -> ')}}"
    return f"{low:>{wide}} -> {bucket.high!s:<{wide}}"
