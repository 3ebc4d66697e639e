"""The kernel's clocks as moments in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from osmia.numpy_extra import numpy as np
from osmia.values.moments import CLOCKS, offset_now
from osmia.values.names import unknown_name
from osmia.values.table_columns import Column, Numbers, Times

Clock: TypeAlias = Literal["monotonic", "boottime", "tai", "realtime"]
"""bpf_ktime_get_ns and bpf_ktime_get_coarse_ns, bpf_ktime_get_boot_ns, bpf_ktime_get_tai_ns, and
what counts since 1970 already."""

TimeColumns: TypeAlias = Iterable[str] | Mapping[str, Clock]
"""Names of columns, or the ends of their names ("start_ns" of "value.start_ns"), in ns of
CLOCK_MONOTONIC; with the clock of each where it is another one."""


def with_times(columns: dict[str, Column], times: TimeColumns) -> dict[str, Column]:
    """The columns, those that `times` names as moments; 0 is none.

    By what the clocks are apart now: after a change of the time, or a suspend, moments before it
    are off by that. KeyError for a name that no column has, TypeError for a column that is no
    integer of 8 bytes, ValueError for an unknown clock.
    """
    made = dict(columns)
    for end, clock in clocks_of(times).items():
        found = [name for name in columns if name == end or name.endswith(f".{end}")]
        if not found:
            raise KeyError(unknown_name("the table", end, columns, kind="column "))
        for name in found:
            made[name] = _moments(name, columns[name], clock)
    return made


def clocks_of(times: TimeColumns) -> dict[str, Clock]:
    """The clock of each name. ValueError for one that is unknown."""
    if isinstance(times, str):
        times = (times,)
    clocks: dict[str, Clock] = {}
    clocks.update(times if isinstance(times, Mapping) else dict.fromkeys(times, "monotonic"))
    for name, clock in clocks.items():
        if clock not in CLOCKS:
            raise ValueError(f"times: {name!r} has the clock {clock!r}, not {', '.join(CLOCKS)}")
    return clocks


def _moments(name: str, column: Column, clock: Clock) -> Times:
    values = column.values if isinstance(column, Numbers) else None
    if values is None or values.dtype.kind not in "iu" or values.dtype.itemsize != 8:
        raise TypeError(f"times: {name!r} has no integers of 8 bytes")
    ns = values.view(np.int64)
    return Times(ns + np.int64(offset_now(CLOCKS[clock])), ns != 0)
