"""Tables of records: every column has what decoding gives, for numpy, pandas and Arrow."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.btf import Kind, kernel_btf
from osmia.errors import CodecError
from osmia.values import (
    ArrayCodec,
    BytesCodec,
    Codec,
    EnumCodec,
    EnumMember,
    IntCodec,
    StringCodec,
    StructCodec,
    codec,
)
from osmia.values.fields import Field
from osmia.values.table import Part, Table, table


def expected(value: Any) -> Any:
    """What a column shows of a decoded value."""
    match value:
        case EnumMember():
            return str(value)
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case tuple():
            return [expected(each) for each in value]
    return value


def flattened(of: Codec, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Columns of one decoded value."""
    if isinstance(of, StructCodec):
        for field in of.fields:
            if field.codec.size and not field.flexible:
                full = f"{name}.{field.name}" if name else field.name
                yield from flattened(field.codec, value[field.name], full)
    elif isinstance(of, ArrayCodec) and isinstance(of.element, StructCodec):
        rows = [dict(flattened(of.element, each, name)) for each in value]
        yield from ((column, [row[column] for row in rows]) for column in rows[0])
    else:
        yield name, expected(value)


def made(of: Codec, raw: bytes, **options: Any) -> Table:
    memory = np.frombuffer(raw, np.uint8)
    return table(len(raw) // of.size, [Part(of, memory)], **options)


def assert_same(of: Codec, raw: bytes) -> None:
    """All columns of the records are what decoding says, as arrays and in Arrow."""
    rows = [dict(flattened(of, value, "")) for value in of.iter_decode(raw)]
    with patch("osmia.values.leaves.meaning", lambda codec, name: None):
        found = made(of, raw)
    columns = found.to_columns()
    assert list(columns) == (list(rows[0]) if rows else found.names)
    arrow = pa.table(found)
    arrow.validate(full=True)
    for name, column in columns.items():
        wanted = np.array([row[name] for row in rows], column.dtype)
        np.testing.assert_array_equal(column, wanted.reshape(column.shape))
        received = arrow[name].to_pylist()
        if name != "enormous":  # its bytes
            dtype = object if column.dtype == object else column.dtype
            np.testing.assert_array_equal(np.array(received, dtype).reshape(column.shape), column)


@pytest.mark.parametrize("name", ["flow", "event", "bits", "packed", "choice", "record", "clash"])
@given(data=st.data())
def test_columns_agree_with_decoding(compiled: Any, name: str, data: st.DataObject) -> None:
    of = compiled.codec(name)
    count = data.draw(st.integers(1, 3))
    raw = data.draw(st.binary(min_size=count * of.size, max_size=count * of.size))
    assert_same(of, raw)


@pytest.mark.parametrize("name", ["sk_buff", "sock", "iphdr", "tcphdr", "bpf_prog"])
def test_kernel_structs_agree_with_decoding(name: str) -> None:
    btf = kernel_btf()
    of = codec(btf, btf.find(name, Kind.STRUCT))
    raw = bytes((11 * index + 5) % 253 for index in range(2 * of.size))
    rows = [dict(flattened(of, value, "")) for value in of.iter_decode(raw)]
    with patch("osmia.values.leaves.meaning", lambda codec, name: None):
        columns = made(of, raw).to_columns()
    for column, values in columns.items():
        assert values.tolist() == [row[column] for row in rows]


def test_numbers_have_their_c_types_in_this_machines_order(compiled: Any) -> None:
    columns = made(compiled.codec("event"), compiled.initial["event"]).to_columns()
    kinds = {name: columns[name].dtype for name in ("tiny", "wide", "yes", "ratio", "share")}
    assert kinds == {"tiny": "i1", "wide": "i8", "yes": "?", "ratio": "f8", "share": "f4"}
    assert columns["wide"].tolist() == [-3_000_000_000]
    assert columns["grid"].shape == (1, 2, 3)


def test_text_enums_and_bitfields_are_decoded(compiled: Any) -> None:
    columns = made(compiled.codec("event"), compiled.initial["event"]).to_columns()
    assert columns["comm"].tolist() == ["systemd"]
    assert columns["verdict"].tolist() == ["FAILED"]
    assert columns["verdicts"].tolist() == [["PASS", "REDIRECT"]]
    assert columns["names"].tolist() == [["ab", "wxyz"]]
    assert columns["mac"].tolist() == ["02:00:00:00:00:09"]
    assert columns["enormous"].tolist() == [-5]
    bits = made(compiled.codec("bits"), compiled.initial["bits"]).to_columns()
    assert bits["c"].tolist() == [-9] and bits["d"].tolist() == [0xABCDEF1234]
    assert bits["f"].tolist() == ["REDIRECT"] and bits["e"].dtype == bool


def test_arrow_has_types_that_say_what_columns_are(compiled: Any) -> None:
    schema = pa.table(made(compiled.codec("event"), compiled.initial["event"])).schema
    types = {name: str(schema.field(name).type) for name in schema.names}
    assert types["verdict"] == "dictionary<values=string, indices=int32, ordered=0>"
    assert types["grid"].startswith("fixed_size_list<item: fixed_size_list<item: uint16")
    assert types["mac"] == "string" and types["enormous"] == "fixed_size_binary[16]"
    assert types["comm"] == "string" and types["yes"] == "bool" and types["share"] == "float"


_ENUM = EnumCodec([("LOW", -1), ("ZERO", 0), ("HIGH", 9)], 4, True, "enum level", "little")


def test_values_without_a_name_are_their_numbers() -> None:
    of = StructCodec([Field("level", _ENUM, 0)], 4, "struct s", "little")
    found = made(of, struct.pack("<5i", 9, 5, -1, 5, -7))
    assert found.to_columns()["level"].tolist() == ["HIGH", "5", "LOW", "5", "-7"]
    assert pa.table(found)["level"].to_pylist() == ["HIGH", "5", "LOW", "5", "-7"]
    assert found.to_pandas()["level"].cat.categories.tolist() == ["LOW", "ZERO", "HIGH", "-7", "5"]


def test_an_enum_of_nothing_has_numbers() -> None:
    nameless = EnumCodec([], 4, False, "enum", "little")
    assert made(nameless, struct.pack("<2I", 3, 4)).to_columns()["value"].tolist() == ["3", "4"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\0rest", "plain"),
        (b"full width", "full width"),
        ("é\0".encode().ljust(10, b"x"), "é"),
        (b"\xffbad\0     ", "\\xffbad"),
        (b"\0hidden   ", ""),
    ],
)
def test_text_ends_at_the_first_nul_and_is_utf8(data: bytes, text: str) -> None:
    found = made(StringCodec(10, "char[10]", "little"), b"ascii\0\0\0\0\0" + data)
    assert found.to_columns()["value"].tolist() == ["ascii", text]
    assert pa.table(found)["value"].to_pylist() == ["ascii", text]


def _addresses() -> StructCodec:
    v6 = StructCodec([Field("bytes", BytesCodec(16, "u8[16]", "little"), 0)], 16, "", "little")
    v6.type_name = "struct in6_addr"
    fields = [
        Field("saddr", IntCodec(4, False, "__be32", "little"), 0),
        Field("dport", IntCodec(2, False, "__be16", "little"), 4),
        Field("six", v6, 8),
    ]
    for field in fields[:2]:
        assert isinstance(field.codec, IntCodec)
        field.codec.network = True
    return StructCodec(fields, 24, "struct flow", "little")


@given(st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))))
def test_addresses_are_text_where_the_type_says_so(rows: list[tuple[bytes, bytes]]) -> None:
    raw = b"".join(v4 + b"\x01\xbb\0\0" + v6 for v4, v6 in rows)
    found = made(_addresses(), raw)
    columns = found.to_columns()
    assert columns["saddr"].tolist() == [str(ipaddress.IPv4Address(v4)) for v4, _ in rows]
    for text, (_, v6) in zip(columns["six"], rows, strict=True):
        assert ipaddress.IPv6Address(text).packed == v6
    assert columns["dport"].tolist() == [443] * len(rows)
    assert pa.table(found)["saddr"].to_pylist() == columns["saddr"].tolist()


def test_without_rows_the_types_are_the_same(compiled: Any) -> None:
    of = compiled.codec("event")
    empty, full = made(of, b""), made(of, bytes(2 * of.size))
    assert len(empty) == 0 and empty.names == full.names
    assert pa.table(empty).schema == pa.table(full).schema
    kinds = [[(c.dtype, c.shape[1:]) for c in each.to_columns().values()] for each in (empty, full)]
    assert kinds[0] == kinds[1]
    assert len(empty.to_pandas()) == 0


def test_a_data_frame_has_lists_categories_and_names(compiled: Any) -> None:
    frame = made(compiled.codec("event"), compiled.initial["event"]).to_pandas()
    assert isinstance(frame, pd.DataFrame) and len(frame) == 1
    assert frame["grid"][0] == [[1, 2, 3], [4, 5, 6]]
    assert frame["pairs.second"][0] == [4, 6]
    assert isinstance(frame["verdict"].dtype, pd.CategoricalDtype)
    assert frame["comm"][0] == "systemd" and frame["wide"].dtype == "int64"


def _per_cpu() -> tuple[StructCodec, bytes]:
    u32 = IntCodec(4, False, "u32", "little")
    of = StructCodec([Field("count", u32, 0), Field("level", _ENUM, 4)], 8, "struct s", "little")
    return of, struct.pack("<IiIiIi", 1, 9, 2, 0, 0xFFFFFFFF, -1)


def test_values_of_all_cpus_are_lists() -> None:
    of, raw = _per_cpu()
    memory = np.frombuffer(raw, np.uint8)
    found = table(1, [Part(of, memory, "value", len(raw), 3, 8)])
    columns = found.to_columns()
    assert columns["value.count"].tolist() == [[1, 2, 0xFFFFFFFF]]
    assert columns["value.level"].tolist() == [["HIGH", "ZERO", "LOW"]]
    assert found.to_pandas()["value.count"][0] == [1, 2, 0xFFFFFFFF]


def test_numbers_of_all_cpus_are_added_up_in_64_bits_and_others_stay() -> None:
    of, raw = _per_cpu()
    memory = np.frombuffer(raw, np.uint8)
    columns = table(1, [Part(of, memory, "value", len(raw), 3, 8)], per_cpu="sum").to_columns()
    assert columns["value.count"].tolist() == [0xFFFFFFFF + 3]
    assert columns["value.count"].dtype == np.uint64
    assert columns["value.level"].tolist() == [["HIGH", "ZERO", "LOW"]]


def test_another_word_for_cpus_is_refused() -> None:
    of, _ = _per_cpu()
    with pytest.raises(ValueError, match="'list' or 'sum', not 'mean'"):
        made(of, b"", per_cpu="mean")


def test_a_long_table_is_the_short_ones_one_after_the_other(compiled: Any) -> None:
    of = compiled.codec("flow")
    raw = np.random.default_rng(7).bytes(100_000 * of.size)  # more than one block
    whole = made(of, raw).to_columns()
    parts: list[Mapping[str, Any]] = [
        made(of, raw[at : at + 1000 * of.size]).to_columns()
        for at in range(0, len(raw), 1000 * of.size)
    ]
    for name, column in whole.items():
        np.testing.assert_array_equal(column, np.concatenate([part[name] for part in parts]))


def test_columns_of_a_table_cannot_be_changed_under_others(compiled: Any) -> None:
    of = compiled.codec("flow")
    found = made(of, bytes(of.size))
    with pytest.raises(ValueError, match="read-only"):
        found.to_columns()["bytes"][0] = 1


def test_arrays_of_moments_are_lists_of_moments() -> None:
    u64 = IntCodec(8, False, "u64", "little")
    frame = made(ArrayCodec(u64, 2, "u64[2]", "little"), struct.pack("<QQ", 0, 5), times=["value"])
    never, then = frame.to_pandas()["value"][0]
    assert never is pd.NaT and then.tz is not None


def test_arrays_of_too_many_dimensions_are_refused() -> None:
    of: Codec = IntCodec(1, False, "u8", "little")
    for _ in range(17):
        of = ArrayCodec(of, 1, "u8[1]", "little")
    with pytest.raises(CodecError, match="more than 16 dimensions"):
        made(of, bytes(1))


def test_a_repr_is_one_line(compiled: Any) -> None:
    assert repr(made(compiled.codec("flow"), b"")) == (
        "<table of 0 rows: saddr, daddr, sport, dport, bytes>"
    )
