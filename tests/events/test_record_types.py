"""Which struct the records of a buffer are presumed to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osmia.btf import BTFBuilder, IntEncoding, Member
from osmia.events.record_types import presumed_record_codec
from osmia.object import Object


def object_with(*structs: str) -> Object:
    builder = BTFBuilder()
    number = builder.add_int("int", 4, IntEncoding.SIGNED)
    for name in structs:
        builder.add_struct(name, 4, [Member("value", number, 0)])
    return Object(name="test", btf=builder.build())


@pytest.mark.parametrize(
    ("map_name", "structs", "chosen"),
    [
        ("events", ["flow", "flow_event"], "flow_event"),
        ("events", ["event", "other_event"], "event"),
        ("packets", ["packet", "event"], "packet"),
        ("rb", ["key", "event_t"], "event_t"),
        ("rb", ["exec_event", "exit_event"], None),
        ("events", ["flow", "eventful"], None),
    ],
)
def test_names_tell(map_name: str, structs: list[str], chosen: str | None) -> None:
    presumed = presumed_record_codec(object_with(*structs), map_name)
    assert (presumed and presumed.codec.type_name) == (chosen and f"struct {chosen}")


def test_records_of_another_size_stay_bytes() -> None:
    presumed = presumed_record_codec(object_with("event"), "events")
    assert presumed is not None
    assert presumed.size == 4
    assert presumed.decode(b"\1\0\0\0").value == 1
    assert presumed.decode(b"\1\0\0\0pad").value == 1
    assert presumed.decode(b"\1\0") == b"\1\0"
    assert presumed.decode(bytes(12)) == bytes(12)
    assert presumed.dtype().itemsize == 4


def test_without_types_nothing_is_presumed() -> None:
    assert presumed_record_codec(replace(object_with(), btf=None), "events") is None
