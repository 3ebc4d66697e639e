"""The records of a buffer that is opened by pin or id have the type that its programs declare."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import Map
from osmia.errors import OsmiaError, OsmiaWarning
from osmia.values import IntCodec

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct record { __u32 a; __be32 addr; };
struct other { __u64 b; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096);
         __type(value, struct record); } records_of_the_program SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } untyped SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096);
         __type(value, struct record); } twice_of_15_chars_1 SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096);
         __type(value, struct other); } twice_of_15_chars_2 SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
         __uint(value_size, 4); } samples SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_USER_RINGBUF); __uint(max_entries, 4096);
         __type(value, struct record); } orders SEC(".maps");
static long take(struct bpf_dynptr *order, void *context) { return 0; }
SEC("xdp") int say(struct xdp_md *ctx)
{
	struct record made = {7, 0x0100000a};
	bpf_ringbuf_output(&records_of_the_program, &made, sizeof(made), 0);
	bpf_ringbuf_output(&untyped, &made, sizeof(made), 0);
	bpf_ringbuf_output(&twice_of_15_chars_1, &made, sizeof(made), 0);
	bpf_ringbuf_output(&twice_of_15_chars_2, &made, sizeof(made), 0);
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &made, sizeof(made));
	return 2;
}
SEC("raw_tp/sys_enter") int order(void *ctx) { return bpf_user_ringbuf_drain(&orders, take, 0, 0); }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def loaded() -> Iterator[Any]:
    with osmia.compile(SOURCE).load() as bpf:
        yield bpf


def test_a_pinned_ring_buffer_knows_its_records(loaded: Any, bpffs: Path) -> None:
    path = bpffs / "records"
    loaded.maps["records_of_the_program"].pin(path)
    with Map.from_pin(path) as records:
        assert repr(records).startswith("<map 'records_of_the_': RINGBUF, events of struct record,")
        loaded.programs["say"].run(bytes(64))
        (event,) = records.read()
        assert event.a == 7 and repr(event) == "{.a = 7, .addr = 10.0.0.1}"


def test_so_does_one_opened_by_id_and_a_user_ring_buffer(loaded: Any) -> None:
    with Map.from_id(loaded.maps["records_of_the_program"].id) as records:
        assert records.event_codec.type_name == "struct record"
    with Map.from_id(loaded.maps["orders"].id) as orders:
        assert orders.record_codec.type_name == "struct record"


def test_a_type_that_is_given_is_taken(loaded: Any) -> None:
    with Map.from_id(
        loaded.maps["records_of_the_program"].id, value_codec=IntCodec(8, False, "u64", "little")
    ) as records:
        loaded.programs["say"].run(bytes(64))
        assert records.read() == [7 | 0x0100000A << 32]


@pytest.mark.parametrize("name", ["untyped", "twice_of_15_chars_1"])
def test_where_no_program_tells_it_the_first_reader_learns_where_to_give_it(
    loaded: Any, name: str
) -> None:
    with Map.from_id(loaded.maps[name].id) as untyped:
        assert "events of bytes" in repr(untyped)
        loaded.programs["say"].run(bytes(64))
        with pytest.warns(
            OsmiaWarning, match="give value_codec where it is opened, or set event_codec"
        ):
            (event,) = untyped.read()
        assert event == b"\x07\0\0\0\x0a\0\0\x01"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            untyped.read()


def test_of_a_perf_buffer_it_is_set_on_the_map(loaded: Any) -> None:
    with (
        Map.from_id(loaded.maps["samples"].id) as samples,
        pytest.warns(
            OsmiaWarning, match="'samples' are bytes: .* tells their type; set event_codec"
        ),
    ):
        assert samples.read() == []


def test_bytes_that_were_asked_for_are_no_surprise(loaded: Any) -> None:
    with Map.from_id(loaded.maps["untyped"].id) as untyped, warnings.catch_warnings():
        warnings.simplefilter("error")
        untyped.event_codec = None
        assert untyped.read() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.maps["untyped"].read() == []


def test_the_map_outlives_its_programs(loaded: Any) -> None:
    with Map.from_id(loaded.maps["records_of_the_program"].id) as held:
        loaded.close()
        with Map.from_id(held.id) as records:
            assert records.event_codec is None


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/nowhere/at/all", "/dev/null"])
def test_what_is_no_pin_is_said_to_be_none(path: str) -> None:
    with pytest.raises(OsmiaError) as refused:
        Map.from_pin(path)
    assert path in str(refused.value) and "EACCES" not in str(refused.value)
