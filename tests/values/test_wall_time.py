"""Moments: ns of the kernel's clocks as times of day."""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from osmia.values import IntCodec, StructCodec
from osmia.values.fields import Field
from osmia.values.table import Part, Table, table
from osmia.values.wall_time import Clock

_U64, _U32 = (IntCodec(size, False, f"u{8 * size}", "little") for size in (8, 4))
_EVENT = StructCodec(
    [Field("start_ns", _U64, 0), Field("end_ns", _U64, 8), Field("pid", _U32, 16)],
    24,
    "struct event",
    "little",
)


def event(start: int, end: int = 0, **options: Any) -> Table:
    memory = np.frombuffer(struct.pack("<QQII", start, end, 7, 0), np.uint8)
    return table(1, [Part(_EVENT, memory, "value")], **options)


def seconds_off(moment: np.datetime64) -> float:
    return abs(float(moment.astype("i8")) - time.time_ns()) / 1e9


@pytest.mark.parametrize(
    ("clock", "number"),
    [
        ("monotonic", time.CLOCK_MONOTONIC),
        ("boottime", time.CLOCK_BOOTTIME),
        ("tai", time.CLOCK_TAI),
        ("realtime", time.CLOCK_REALTIME),
    ],
)
def test_now_is_now_by_every_clock(clock: Clock, number: int) -> None:
    found = event(time.clock_gettime_ns(number), times={"start_ns": clock}).to_columns()
    assert found["value.start_ns"].dtype == "datetime64[ns]"
    assert seconds_off(found["value.start_ns"][0]) < 1
    assert found["value.end_ns"].dtype == np.uint64


def test_names_are_whole_or_ends_of_columns() -> None:
    now = time.monotonic_ns()
    for names in ("start_ns", ["start_ns"], ["value.start_ns"], {"start_ns": "monotonic"}):
        assert seconds_off(event(now, times=names).to_columns()["value.start_ns"][0]) < 1


def test_zero_is_no_moment() -> None:
    found = event(time.monotonic_ns(), 0, times=["start_ns", "end_ns"])
    assert np.isnat(found.to_columns()["value.end_ns"][0])
    arrow = pa.table(found)
    assert arrow["value.end_ns"].to_pylist() == [None]
    assert arrow["value.end_ns"].null_count == 1 and arrow["value.start_ns"].null_count == 0
    assert found.to_pandas()["value.end_ns"].isna().tolist() == [True]


def test_moments_are_in_utc() -> None:
    found = event(time.monotonic_ns(), times=["start_ns"])
    assert str(pa.table(found).schema.field("value.start_ns").type) == "timestamp[ns, tz=UTC]"
    shown = found.to_pandas()["value.start_ns"][0]
    assert abs((shown - datetime.now(UTC)).total_seconds()) < 1


def test_a_wrong_name_says_which_are_near() -> None:
    with pytest.raises(KeyError, match=r"no column 'start_n'; did you mean 'value\.start_ns'"):
        event(0, times=["start_n"])


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'value\.pid' has no integers of 8 bytes"):
        event(0, times=["pid"])
    with pytest.raises(ValueError, match="has the clock 'sundial', not monotonic, boottime"):
        event(0, times={"start_ns": "sundial"})
