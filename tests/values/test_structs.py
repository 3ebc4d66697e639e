"""Struct values: they feel like Python values and keep their bytes."""

import copy
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.errors import CodecError
from osmia.values import Struct, StructCodec, codec

FLOW = {"saddr": 1, "daddr": 2, "sport": 3, "dport": 443, "bytes": 1500}


@pytest.fixture
def flow(compiled: Any) -> Any:
    return compiled.codec("flow").decode(compiled.codec("flow").encode(FLOW))


def test_fields_are_attributes_and_items(flow: Any) -> None:
    assert (flow.saddr, flow["dport"], flow.get("bytes")) == (1, 443, 1500)
    assert flow.get("color", "none") == "none"
    assert "sport" in flow and "color" not in flow


def test_a_value_is_a_mapping(flow: Any) -> None:
    assert dict(flow) == {**flow} == flow.to_dict() == FLOW
    assert list(flow) == flow.keys() == list(FLOW)
    assert flow.values() == list(FLOW.values()) and flow.items() == list(FLOW.items())
    assert len(flow) == 5 and isinstance(flow, Mapping) and isinstance(flow, Struct)
    assert json.loads(json.dumps(flow.to_dict())) == FLOW


def test_a_value_prints_as_a_c_initialiser_but_for_what_means_something(
    flow: Any, compiled: Any
) -> None:
    text = "{.saddr = 1, .daddr = 2, .sport = 3, .dport = 443, .bytes = 1500}"
    assert repr(flow) == str(flow) == text
    event = compiled.codec("event").decode(compiled.initial["event"])
    assert ".verdict = FAILED, " in repr(event)
    assert '.comm = "systemd", .mac = 02:00:00:00:00:09, ' in repr(event)
    assert ".pairs = {{.first = 3, .second = 4}, {.first = 5, .second = 6}}" in repr(event)
    assert ".yes = true" in repr(event)


def test_values_are_matched_by_field(flow: Any, compiled: Any) -> None:
    flow_type = compiled.codec("flow").type
    match flow:
        case flow_type(dport=443, bytes=size):
            assert size == 1500
        case _:
            pytest.fail("not matched by attribute")
    match flow:
        case flow_type(1, 2):
            pass
        case _:
            pytest.fail("not matched by position")
    match flow:
        case {"sport": port}:
            assert port == 3
        case _:
            pytest.fail("not matched by item")


def test_values_are_equal_when_their_fields_are(flow: Any, compiled: Any) -> None:
    same = compiled.codec("flow").encode(FLOW)
    assert flow == compiled.codec("flow").decode(same) == FLOW
    assert flow != {**FLOW, "bytes": 1} and flow != 5 and flow != {"saddr": 1}
    assert len({flow, compiled.codec("flow").decode(same)}) == 1


def test_padding_does_not_count_for_equality_but_stays(compiled: Any) -> None:
    of = compiled.codec("event").type
    pair: Any = codec(compiled.btf, compiled.btf.find("pair"))
    clean, dirty = pair.decode(pair.encode([1, 2])), bytearray(pair.encode([1, 2]))
    dirty[1] = 0xAA
    assert pair.decode(dirty) == clean and hash(pair.decode(dirty)) == hash(clean)
    assert bytes(pair.decode(dirty)) == pair.encode(pair.decode(dirty)) == dirty
    assert pair.decode(dirty).replace(first=7) == {"first": 7, "second": 2}
    assert bytes(pair.decode(dirty).replace(first=1)) == dirty
    assert of is not pair.type


def test_a_value_cannot_be_changed(flow: Any) -> None:
    with pytest.raises(AttributeError, match=r"is a copy .* use value.replace\(bytes=\.\.\.\)"):
        flow.bytes = 1
    with pytest.raises(AttributeError):
        del flow.bytes
    with pytest.raises(AttributeError):
        flow.color = 1


def test_replace_makes_a_changed_copy(flow: Any) -> None:
    changed = flow.replace(bytes=1600)
    assert (changed.bytes, changed.saddr, flow.bytes) == (1600, 1, 1500)
    assert type(changed) is type(flow)
    with pytest.raises(CodecError, match="has no 'byts'; did you mean 'bytes'"):
        flow.replace(byts=1)


def test_copies_are_the_value_itself(flow: Any) -> None:
    assert copy.copy(flow) is flow and copy.deepcopy([flow])[0] is flow


def test_pickling_says_what_to_do_instead(flow: Any) -> None:
    with pytest.raises(TypeError, match=r"pickle value\.to_dict\(\)"):
        pickle.dumps(flow)


def test_values_are_made_from_their_class(flow: Any, compiled: Any) -> None:
    flow_type = compiled.codec("flow").type
    assert flow_type(1, 2, 3, dport=443, bytes=1500) == flow
    assert flow_type(saddr=1) == {**dict.fromkeys(FLOW, 0), "saddr": 1}
    with pytest.raises(CodecError, match="given twice: saddr"):
        flow_type(1, saddr=1)
    with pytest.raises(CodecError, match="has 5 fields, not 6"):
        flow_type(1, 2, 3, 4, 5, 6)


def test_encoding_takes_mappings_sequences_and_bytes(flow: Any, compiled: Any) -> None:
    of = compiled.codec("flow")
    data = bytes(flow)
    assert of.encode(flow) == of.encode(dict(flow)) == of.encode([1, 2, 3, 443, 1500]) == data
    assert of.encode(data) == of.encode(memoryview(data)) == data
    assert of.encode({}) == bytes(16)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"sport": 65536}, r"^\.sport: 65536 does not fit u16"),
        ({"spot": 1}, "struct flow has no 'spot'; did you mean 'sport'"),
        ([1, 2, 3], "struct flow has 5 fields, not 3"),
        (bytes(15), "struct flow has 16 bytes, not 15"),
        ("flow", "str is no value for struct flow"),
        (5, "int is no value for struct flow"),
        ({"sport": None}, r"^\.sport: NoneType is no value"),
        ({1: 2}, "struct flow has no 1"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(
    compiled: Any, value: Any, message: str
) -> None:
    with pytest.raises(CodecError, match=message):
        compiled.codec("flow").encode(value)


def test_errors_say_where_in_a_nested_value(compiled: Any) -> None:
    with pytest.raises(CodecError, match=r"^\.pairs\[1\]\.second: 70000 does not fit"):
        compiled.codec("event").encode({"pairs": [{}, {"second": 70000}]})
    with pytest.raises(CodecError, match=r"^\.a: 8 does not fit u32 : 3 \(0 to 7\)"):
        compiled.codec("bits").encode({"a": 8})
    with pytest.raises(CodecError, match=r"^\.c: -17 does not fit int : 5 \(-16 to 15\)"):
        compiled.codec("bits").encode({"c": -17})


def test_an_unknown_item_names_the_nearest(flow: Any) -> None:
    with pytest.raises(KeyError, match="struct flow has no 'sadr'; did you mean 'saddr'"):
        flow["sadr"]
    with pytest.raises(KeyError):
        flow[["saddr"]]
    with pytest.raises(AttributeError):
        _ = flow.sadr


def test_missing_bytes_are_refused_in_words(compiled: Any) -> None:
    for name in ("flow", "event", "bits", "choice"):
        of = compiled.codec(name)
        with pytest.raises(CodecError, match=f"needs {of.size} bytes; {of.size - 1} are left"):
            of.decode(bytes(of.size - 1))


def test_decoding_takes_any_buffer_at_any_offset(compiled: Any) -> None:
    for name in ("flow", "event"):
        of, data = compiled.codec(name), compiled.initial[name]
        for kind in (bytes, bytearray, memoryview):
            assert of.decode(kind(b"xyz" + data + b"xyz"), 3) == of.decode(data)


def test_a_value_outlives_changes_of_its_buffer(compiled: Any) -> None:
    for name in ("flow", "event"):
        buffer = bytearray(compiled.initial[name])
        value = compiled.codec(name).decode(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        assert value == compiled.codec(name).decode(compiled.initial[name])


def test_names_that_python_uses_get_an_underscore(compiled: Any) -> None:
    value = compiled.codec("clash").decode(compiled.initial["clash"])
    assert (value.keys_, value.class_, value["class"]) == (1, 2, 2)
    # `values_` is a field of its own; the other is an item only.
    assert (value["values"], value.values_) == (3, 4)
    assert dict(value) == {"keys": 1, "class": 2, "values": 3, "values_": 4}
    assert value.replace(class_=9)["class"] == 9
    assert compiled.codec("clash").type(keys_=5)["keys"] == 5


def test_bitfields_take_names_and_truth_values(compiled: Any) -> None:
    of = compiled.codec("bits")
    value = of.decode(of.encode({"f": "REDIRECT", "e": True, "c": -1}))
    assert (value.f.name, value.e, value.c, value.a, value.d) == ("REDIRECT", True, -1, 0, 0)
    with pytest.raises(CodecError, match=r"^\.f: enum verdict has no 'REDIRECTED'"):
        of.encode({"f": "REDIRECTED"})


def test_replacing_a_bitfield_leaves_its_neighbours(compiled: Any) -> None:
    value = compiled.codec("bits").decode(compiled.initial["bits"])
    assert value.replace(b=1) == {**value, "b": 1}


def test_overlapping_members_are_set_by_name_only(compiled: Any) -> None:
    of = compiled.codec("choice")
    with pytest.raises(CodecError, match="members that overlap"):
        of.encode([1, 2, bytes(16), 3, 4])
    assert of.decode(of.encode({"v6": bytes(range(16))})).v6 == bytes(range(16))


@given(st.binary(min_size=20, max_size=20))
def test_unions_round_trip_through_their_members(compiled: Any, data: bytes) -> None:
    of = compiled.codec("choice")
    value = of.decode(data)
    assert of.encode(value) == data
    assert of.decode(of.encode(dict(value))) == value


@pytest.mark.parametrize("name", ["flow", "event", "bits", "packed"])
@given(data=st.data())
def test_decoded_values_encode_to_the_same(compiled: Any, name: str, data: st.DataObject) -> None:
    of = compiled.codec(name)
    raw = data.draw(st.binary(min_size=of.size, max_size=of.size))
    value = of.decode(raw)
    assert bytes(value) == of.encode(value) == raw
    # NaN is the one value that is not equal to itself.
    if not any(each != each for each in value.values()):
        assert of.decode(of.encode(dict(value))) == value


def test_the_same_struct_of_other_btf_encodes_with_its_padding(compiled: Any) -> None:
    from osmia.btf import BTF

    other = BTF(compiled.btf.to_bytes())
    for name in ("pair", "choice", "record"):
        here = codec(compiled.btf, compiled.btf.find(name))
        there = codec(other, other.find(name))
        data = bytes(range(1, here.size + 1))
        assert there.encode(here.decode(data)) == data
        assert there.decode(data) == here.decode(data)


def test_flexible_arrays_have_what_the_buffer_has(compiled: Any) -> None:
    of = compiled.codec("record")
    head = of.encode({"id": 9, "count": 2})
    assert of.decode(head).values_ == () and len(head) == of.size == 8
    order = compiled.btf.byteorder
    tail = b"".join(number.to_bytes(2, order) for number in (7, 8, 9))
    value = of.decode(head[:6] + tail)
    assert value["values"] == (7, 8, 9) and value.id == 9
    assert of.encode(value) == bytes(value) == head[:6] + tail
    assert of.encode({"id": 9, "count": 2, "values": [7, 8, 9]}) == head[:6] + tail
    assert of.encode({"id": 9, "count": 2, "values": tail}) == head[:6] + tail
    assert value.replace(id=1).values_ == (7, 8, 9)


def test_flexible_arrays_refuse_what_is_none(compiled: Any) -> None:
    of = compiled.codec("record")
    with pytest.raises(CodecError, match=r"^\.values: int is no value"):
        of.encode({"values": 5})
    with pytest.raises(CodecError, match=r"^\.values: 3 bytes are no whole number"):
        of.encode({"values": b"abc"})
    with pytest.raises(CodecError, match=r"^\.values: str is no value"):
        of.encode({"values": "abc"})
    with pytest.raises(CodecError, match=r"^\.values\[0\]: 70000 does not fit"):
        of.encode({"values": [70000]})


def test_records_in_a_row_have_no_tails(compiled: Any) -> None:
    of = compiled.codec("record")
    rows = of.encode({"id": 1}) + of.encode({"id": 2})
    assert [(row.id, row["values"]) for row in of.iter_decode(rows)] == [(1, ()), (2, ())]


def test_a_struct_inside_another_ends_where_its_type_says(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    flexible = raw_btf.add_array(number, 0)
    inner = raw_btf.add_struct("inner", 4, ("n", number, 0), ("tail", flexible, 32))
    outer = raw_btf.add_struct("outer", 8, ("inner", inner, 0), ("after", number, 32))
    btf = raw_btf.build()
    value = codec(btf, outer).decode(b"\1\0\0\0\2\0\0\0")
    assert value.inner == {"n": 1, "tail": ()} and value.after == 2
    long = codec(btf, inner).decode(b"\1\0\0\0\2\0\0\0")
    assert long.tail == (2,)
    with pytest.raises(CodecError):
        codec(btf, outer).encode({"inner": long})
    with pytest.raises(CodecError):
        codec(btf, outer).encode({"inner": bytes(12)})


def test_zero_length_arrays_in_front_of_members_are_empty(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    mark = raw_btf.add_array(number, 0)
    outer = raw_btf.add_struct("marked", 4, ("mark", mark, 0), ("n", number, 0))
    of = codec(raw_btf.build(), outer)
    assert isinstance(of, StructCodec) and of.flexible is None
    assert of.decode(b"\5\0\0\0" + bytes(100)) == {"mark": (), "n": 5}


def test_an_empty_struct_is_a_value_too(raw_btf: Any) -> None:
    empty = raw_btf.add_struct("empty", 0)
    of = codec(raw_btf.build(), empty)
    assert dict(of.decode(b"")) == {} and of.encode({}) == b"" and of.decode(b"")
