"""Notations of what values mean: shown, taken back, and objects that Python has for them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.btf import BTFBuilder, IntEncoding
from osmia.errors import CodecError
from osmia.values import ArrayCodec, BytesCodec, Codec, IntCodec, StructCodec, codec
from osmia.values.fields import Field
from osmia.values.meaning import Kind, fits, meaning
from osmia.values.meant import MeantCodec, meanings, meant_codec
from osmia.values.moments import moment, ns_at, ns_of_seconds, seconds
from osmia.values.readable import parse, python_value, readable, unquoted, writer

ADDRESS = IPv4Address("10.1.2.3")
HOP = IPv6Address("2001:db8::1")


@pytest.fixture
def flow(types: Any) -> Any:
    return types("flow").type(
        saddr="10.1.2.3",
        sport="443",
        smac="02:00:00:00:00:09",
        next_hop=HOP,
        addrs=["10.0.0.1", IPv4Address("10.0.0.2")],
        ts_ns="8467.000000123s",
        inner={"daddr": "10.9.8.7"},
        comm="bash",
    )


def test_members_are_given_as_what_they_mean(flow: Any) -> None:
    raw = bytes(flow)
    assert raw[:4] == ADDRESS.packed and raw[4:6] == (443).to_bytes(2, "big")
    assert flow.smac == b"\x02\0\0\0\0\x09" and bytes(flow.next_hop) == HOP.packed
    assert flow.ts_ns == 8_467_000_000_123


def test_a_python_int_is_what_c_has_in_the_variable(types: Any) -> None:
    codec = types("flow")
    value = codec.decode(codec.encode({"saddr": 1, "sport": 2}))
    assert (value.saddr, value.sport) == (1, 2)


def test_a_value_prints_what_its_members_mean(flow: Any) -> None:
    assert (
        repr(flow)
        == str(flow)
        == (
            "{.saddr = 10.1.2.3, .sport = 443, .smac = 02:00:00:00:00:09, "
            ".next_hop = 2001:db8::1, .addrs = {10.0.0.1, 10.0.0.2}, .ts_ns = 8467.000000123s, "
            '.inner = {.daddr = 10.9.8.7}, .comm = "bash"}'
        )
    )


def test_the_c_initialiser_stays_c(flow: Any) -> None:
    assert ".smac = {0x02, 0x00, 0x00, 0x00, 0x00, 0x09}" in flow._codec.initialiser(flow)


def test_a_dictionary_of_what_members_mean(flow: Any) -> None:
    assert flow.to_dict(meaning=True) == {
        "saddr": ADDRESS,
        "sport": 443,
        "smac": "02:00:00:00:00:09",
        "next_hop": HOP,
        "addrs": [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")],
        "ts_ns": 8_467_000_000_123,
        "inner": {"daddr": IPv4Address("10.9.8.7")},
        "comm": "bash",
    }
    assert flow.to_dict()["saddr"] == flow.saddr  # and without asking, numbers


def test_what_is_no_such_value_is_refused_with_the_member(types: Any) -> None:
    codec = types("flow")
    refusals = {
        "saddr": ("10.0.0", r"\.saddr: '10.0.0' is no value for __be32 as an IPv4 address"),
        "sport": ("70000", r"\.sport: '70000' is no value for __be16 as a port"),
        "smac": ("02:00", r"\.smac: '02:00' is no value for .* as a MAC address"),
        "next_hop": ("10.0.0.1", r"\.next_hop: .* as an IPv6 address"),
        "ts_ns": ("soon", r"\.ts_ns: 'soon' is no value for __u64 as nanoseconds"),
    }
    for name, (text, message) in refusals.items():
        with pytest.raises(CodecError, match=message):
            codec.encode({name: text})
    with pytest.raises(CodecError, match=r"\.saddr: 2001:db8::1 has 16 bytes, __be32 4"):
        codec.encode({"saddr": HOP})
    with pytest.raises(CodecError, match=r"\.next_hop: 10.1.2.3 has 4 bytes, struct in6_addr 16"):
        codec.encode({"next_hop": ADDRESS})


def test_an_address_for_a_number_without_an_order_is_refused(types: Any) -> None:
    with pytest.raises(CodecError, match=r"\.saddr: __u32 does not say the byte order .* __be32"):
        types("nothing").encode({"saddr": ADDRESS})
    with pytest.raises(CodecError, match="str is no value for __u32"):
        types("nothing").encode({"saddr": "10.0.0.1"})


def test_members_of_unions_are_given_by_their_bytes(types: Any) -> None:
    key = types("union_key")
    assert key.encode({"prefixlen": 32, "v4": "10.1.2.3"})[4:8] == ADDRESS.packed
    assert key.encode({"prefixlen": 128, "v6": "2001:db8::1"})[4:] == HOP.packed


def test_networks_are_shown_with_their_prefix(types: Any) -> None:
    key = types("v4_key")
    write = writer("network", key)
    assert write(key.type(8, "10.0.0.0")) == "10.0.0.0/8"
    assert parse("network", key, "10.0.0.0/8") == key.encode({"prefixlen": 8, "addr": "10.0.0.0"})
    assert parse("network", key, "10.0.0.1")[:4] == (32).to_bytes(4, key.byteorder)
    value = python_value(key, key.type(8, "10.1.2.3"), kind="network")
    assert value == IPv4Network("10.0.0.0/8")
    for wrong in ("10.0.0.0/33", "10.0.0.0/-1", "::/8", "x/8"):
        with pytest.raises(CodecError, match="is no value for struct v4_key as a network"):
            parse("network", key, wrong)


def test_seconds_of_a_kernel_clock() -> None:
    assert seconds(0) == "0.000000000s" and seconds(-1) == "-0.000000001s"
    assert ns_of_seconds("12.5s") == 12_500_000_000
    assert ns_of_seconds("-0.000000001s") == -1


def test_moments_are_this_machines_time() -> None:
    shown = moment("time", time.monotonic_ns())
    assert abs(datetime.fromisoformat(shown[:26] + shown[29:]) - datetime.now(UTC)) < timedelta(
        seconds=1
    )
    assert moment("time", 0) == "0" and ns_at("time", "0") == 0
    assert ns_at("boottime", moment("boottime", 123_456_789)) == 123_456_789
    in_utc, there = "2030-01-01T00:00:00.000000001+00:00", "2030-01-01T02:00:00.000000001+02:00"
    assert ns_at("time", in_utc) == ns_at("time", there)


def test_text_is_quoted_as_c_does_and_taken_back(types: Any) -> None:
    comm = types("text").by_name["comm_bytes"].codec
    value = b'a"\\\n\xff\x01'.ljust(16, b"\0")
    shown = writer("text", comm)(value)
    assert shown == '"a\\"\\\\\\n\\377\\001"'
    assert parse("text", comm, shown) == value
    assert unquoted('"\\u00e9"') == "é" and unquoted("plain") == "plain"


def _byte_order(draw: Any) -> Any:
    return draw(st.sampled_from(["little", "big"]))


_NETWORK = {2: "__be16", 4: "__be32", 8: "__be64"}
_NAMES = (
    "saddr",
    "dport",
    "h_proto",
    "seq",
    "smac",
    "ip6",
    "comm",
    "ts_ns",
    "delta_ns",
    "start_ktime",
    "v6addr",
    "x",
)


@st.composite
def struct_types(draw: Any, depth: int = 2) -> StructCodec:
    """Structs of integers, network integers, bytes, text, arrays and structs, in any order."""
    builder = BTFBuilder(byteorder=_byte_order(draw))
    ints = {size: builder.add_int(f"u{8 * size}", size) for size in (1, 2, 4, 8)}
    signed = builder.add_int("long long", 8, IntEncoding.SIGNED)
    networks = {size: builder.add_typedef(name, ints[size]) for size, name in _NETWORK.items()}
    char = builder.add_int("char", 1, IntEncoding.SIGNED)
    in_addr = builder.add_struct("in_addr", 4, [("s_addr", networks[4], 0)])
    in6_addr = builder.add_struct("in6_addr", 16, [("s6", _array(builder, ints, ints[1], 16), 0)])
    leaves = {
        **{ids: size for size, ids in ints.items()},
        **{ids: size for size, ids in networks.items()},
        signed: 8,
        in_addr: 4,
        in6_addr: 16,
        builder.add_typedef("ktime_t", signed): 8,
        **{_array(builder, ints, ints[1], count): count for count in (4, 6, 16)},
        **{_array(builder, ints, char, count): count for count in (3, 16)},
        _array(builder, ints, networks[4], 4): 16,
    }

    def struct(level: int) -> int:
        names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=6, unique=True))
        members, end = [], 0
        for name in names:
            type_id = draw(st.sampled_from(list(leaves)))
            if level and draw(st.booleans()):
                type_id = struct(level - 1)
            elif draw(st.integers(0, 5)) == 0:
                type_id, size = _array(builder, ints, type_id, 2), 2 * leaves[type_id]
                leaves[type_id] = size
            members.append((name, type_id, 8 * end))
            end += leaves[type_id]
        made = builder.add_struct(f"s{level}_{len(builder)}", end, members)
        leaves[made] = end
        return made

    top = struct(depth)
    made = codec(builder.build("generated"), top)
    assert isinstance(made, StructCodec)
    return made


def _array(builder: BTFBuilder, ints: dict[int, int], element: int, count: int) -> int:
    return builder.add_array(element, ints[4], count)


def _as_shown(of: Codec, value: Any, name: str = "") -> Any:
    """The value with everything that means something replaced by the text that shows it."""
    kind = meaning(of, name)
    if kind is not None:
        shown = writer(kind, of)(value)
        return unquoted(shown) if kind == "text" else shown
    if isinstance(of, StructCodec):
        return {each.name: _as_shown(each.codec, value[each.name], each.name) for each in of.fields}
    if isinstance(of, ArrayCodec):
        return [_as_shown(of.element, each, name) for each in value]
    return value


@settings(deadline=None)
@given(struct_types(), st.data())
def test_what_is_shown_is_taken_back(made: StructCodec, data: st.DataObject) -> None:
    value = made.decode(data.draw(st.binary(min_size=made.size, max_size=made.size)))
    again = made.decode(made.encode(_as_shown(made, value)))
    # All but what follows the NUL of text in bytes.
    assert _as_shown(made, again) == _as_shown(made, value)
    assert readable(made, again) == repr(value)


@settings(deadline=None)
@given(struct_types(), st.data())
def test_python_objects_of_members_are_taken_back(made: StructCodec, data: st.DataObject) -> None:
    value = made.decode(data.draw(st.binary(min_size=made.size, max_size=made.size)))
    for field in made.fields:
        if meaning(field.codec, field.name) in ("ipv4", "ipv6", "mac", "text"):
            meant = value.to_dict(meaning=True)[field.name]
            again = made.decode(made.encode({field.name: meant}))
            assert again.to_dict(meaning=True)[field.name] == meant


def _codecs(kind: Kind) -> list[Codec]:
    order: Any
    candidates: list[Codec] = []
    for order in ("little", "big"):
        candidates += [IntCodec(size, False, "u", order) for size in (1, 2, 4, 8)]
        candidates += [IntCodec(8, True, "s64", order), BytesCodec(6, "u8[6]", order)]
        candidates += [BytesCodec(size, "u8[]", order) for size in (4, 8, 16, 20)]
        field = Field("x", IntCodec(4, False, "u", order), 0)
        candidates.append(StructCodec([field], 4, "struct x", order))
    return [each for each in candidates if fits(kind, each)]


@pytest.mark.parametrize("kind", [each for each in get_args(Kind) if each != "plain"])
@settings(deadline=None)
@given(data=st.data())
def test_every_notation_is_exact(kind: Kind, data: st.DataObject) -> None:
    of = data.draw(st.sampled_from(_codecs(kind)))
    raw = data.draw(st.binary(min_size=of.size, max_size=of.size))
    if kind == "network":
        raw = data.draw(st.integers(0, 8 * of.size - 32)).to_bytes(4, of.byteorder) + raw[4:]
    if kind in ("time", "boottime") and isinstance(of, IntCodec):  # within datetime's years
        raw = data.draw(st.integers(0, 1 << 62)).to_bytes(8, of.byteorder)
    if kind == "text":
        raw = raw.partition(b"\0")[0].ljust(of.size, b"\0")
    assert parse(kind, of, writer(kind, of)(raw)) == raw


class Everything:
    """Asks for all to be hexadecimal."""

    def kind_of(self, path: str, codec: Codec) -> Kind | None:
        return None if isinstance(codec, StructCodec) else "hex"


def test_flexible_arrays_keep_their_length(types: Any) -> None:
    tail = types("tail")
    value = tail.decode(tail.encode({"count": 2, "hops": ["10.0.0.1", "10.0.0.2"]}))
    assert repr(value) == "{.count = 2, .hops = {10.0.0.1, 10.0.0.2}}"
    meant = meant_codec(tail)
    assert meant.encode({"count": 2, "hops": ["10.0.0.1", "10.0.0.2"]}) == bytes(value)
    assert meant.decode(bytes(value)) == value
    asked = meant_codec(tail, asked=Everything())
    assert asked.decode(bytes(value)) == value
    text = types("text_tail")
    assert meant_codec(text, asked=Everything()).decode(b"\0\0\0\0abc").rest == "abc"


def test_the_meant_type_of_what_means_nothing_is_itself(types: Any) -> None:
    assert meant_codec(types("two_key")) is types("two_key")
    assert list(meanings(meant_codec(types("flow")))) == [
        "ipv4", "port", "mac", "ipv6", "ipv4", "ktime", "ipv4",
    ]  # fmt: skip


@settings(deadline=None)
@given(struct_types(), st.data())
def test_the_meant_type_takes_what_it_shows_as_json(made: StructCodec, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=made.size, max_size=made.size))
    meant = meant_codec(made)
    value = meant.decode(raw)
    again = meant.decode(meant.encode(_as_json(meant, value)))
    assert _as_json(meant, again) == _as_json(meant, value)


def _as_json(of: Codec, value: Any) -> Any:
    match of:
        case MeantCodec():
            return of.json(value)
        case StructCodec():
            return {each.name: _as_json(each.codec, value[each.name]) for each in of.fields}
        case ArrayCodec():
            return [_as_json(of.element, each) for each in value]
    return value
