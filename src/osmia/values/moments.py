"""The kernel's clocks as people read them: seconds, and moments of the calendar."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_TAI, clock_gettime_ns
from typing import Literal, TypeAlias

#: CLOCK_MONOTONIC (bpf_ktime_get_ns) or CLOCK_BOOTTIME (bpf_ktime_get_boot_ns).
Clock: TypeAlias = Literal["time", "boottime"]

#: The system's clocks, by the names that users give.
CLOCKS = {
    "monotonic": CLOCK_MONOTONIC,
    "boottime": CLOCK_BOOTTIME,
    "tai": CLOCK_TAI,
    "realtime": CLOCK_REALTIME,
}

_SECOND = 1_000_000_000
_SECONDS = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s")
_FRACTION = re.compile(r"(:\d\d)\.(\d{1,9})")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(ns: int) -> str:
    """Nanoseconds as "8467.000000123s"."""
    seconds, rest = divmod(abs(ns), _SECOND)
    return f"{'-' if ns < 0 else ''}{seconds}.{rest:09d}s"


def ns_of_seconds(text: str) -> int:
    """What `seconds` wrote. ValueError for others."""
    if not (found := _SECONDS.fullmatch(text)):
        raise ValueError(text)
    sign, seconds, rest = found.groups()
    ns = int(seconds) * _SECOND + int((rest or "").ljust(9, "0"))
    return -ns if sign else ns


@cache
def clock_offset(clock: Clock) -> int:
    """What to add to the clock to have the time: read once, or text would not be taken back."""
    return offset_now(CLOCK_BOOTTIME if clock == "boottime" else CLOCK_MONOTONIC)


def offset_now(number: int) -> int:
    """What to add to ns of one of the system's clocks to have those since 1970, by both now."""
    # Between two readings of the one clock, so that what interrupts shows.
    readings = []
    for _ in range(3):
        before = clock_gettime_ns(number)
        now = clock_gettime_ns(CLOCK_REALTIME)
        after = clock_gettime_ns(number)
        readings.append((after - before, now - (before + after) // 2))
    return min(readings)[1]


def moment(clock: Clock, ns: int) -> str:
    """When a clock showed `ns`, in this machine's time zone: ISO 8601 with nanoseconds.

    0, which mostly says "never", is no moment, but "0". By what the clock is off the calendar
    now: a clock that stood still in a suspended machine is off for what was before that.
    """
    if not ns:
        return "0"
    seconds, rest = divmod(ns + clock_offset(clock), _SECOND)
    local = (EPOCH + timedelta(seconds=seconds)).astimezone()
    text = local.isoformat(timespec="seconds")
    return f"{text[:19]}.{rest:09d}{text[19:]}"


def ns_at(clock: Clock, text: str) -> int:
    """What `moment` wrote, or any time of ISO 8601 (without a zone: this machine's)."""
    if text == "0":
        return 0
    rest = 0
    if found := _FRACTION.search(text):
        rest = int(found[2].ljust(9, "0"))
        text = text[: found.start(2) - 1] + text[found.end() :]
    found_at = datetime.fromisoformat(text)
    elapsed = (found_at if found_at.tzinfo else found_at.astimezone()) - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * _SECOND + rest - clock_offset(clock)
