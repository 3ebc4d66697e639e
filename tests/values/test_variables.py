"""Global variables: typed, checked, and the same view before and after load."""

import mmap
from collections.abc import Iterator
from typing import Any

import pytest

from osmia.errors import CodecError, ReadOnlyError
from osmia.values import (
    ArrayCodec,
    IntCodec,
    MemoryStore,
    Slot,
    StringCodec,
    Variables,
    WholeValueStore,
)

U32 = IntCodec(4, False, "u32", "little")


@pytest.fixture
def memory() -> bytearray:
    return bytearray(32)


@pytest.fixture
def data(memory: bytearray) -> Variables:
    store = MemoryStore(memory)
    return Variables(
        {
            "limit": Slot(store, 0, U32),
            "name": Slot(store, 4, StringCodec(8, "char[8]", "little")),
            "ports": Slot(store, 12, ArrayCodec(U32, 2, "u32[2]", "little")),
            "constant": Slot(store, 20, U32, writable=False),
            "keys": Slot(store, 24, U32),
        }
    )


def test_variables_are_items_and_attributes(data: Any, memory: bytearray) -> None:
    data["limit"] = 5
    data.name = "bee"
    data.ports = [1, 2]
    assert (data.limit, data["name"], data.ports) == (5, "bee", (1, 2))
    assert memory[:12] == b"\5\0\0\0bee\0\0\0\0\0"
    memory[0] = 9
    assert data.limit == 9


def test_variables_are_a_mapping(data: Any) -> None:
    data.update({"limit": 1, "name": "x"})
    assert dict(data) == {"limit": 1, "name": "x", "ports": (0, 0), "constant": 0, "keys": 0}
    assert len(data) == 5 and "limit" in data and "nothing" not in data
    assert data.get("nothing", 3) == 3
    assert {"limit", "name"} <= set(dir(data))
    assert repr(data).startswith('<limit = 1; name = "x"; ports = {0, 0}; ')
    assert repr(Variables({})) == "<no variables>"


def test_unknown_names_are_told_the_nearest(data: Any) -> None:
    with pytest.raises(KeyError, match="has no 'limt'; did you mean 'limit'"):
        data["limt"]
    with pytest.raises(KeyError, match="did you mean 'limit'"):
        data["limt"] = 1
    with pytest.raises(AttributeError, match="did you mean 'limit'"):
        _ = data.limt
    with pytest.raises(AttributeError, match="did you mean 'limit'"):
        data.limt = 1
    with pytest.raises(KeyError, match="did you mean 'limit'"):
        data.slot("limt")


def test_values_that_do_not_fit_are_refused_and_change_nothing(
    data: Any, memory: bytearray
) -> None:
    data.ports = [1, 2]
    before = bytes(memory)
    with pytest.raises(CodecError, match=r"^limit: 4294967296 does not fit u32"):
        data.limit = 1 << 32
    with pytest.raises(CodecError, match=r"^ports\[1\]: -1 does not fit"):
        data["ports"] = [5, -1]
    with pytest.raises(CodecError, match=r"^name: "):
        data.name = "much too long"
    assert memory == before


def test_constants_refuse_in_words(data: Any) -> None:
    with pytest.raises(ReadOnlyError, match=r"constant cannot be assigned: .* before load"):
        data.constant = 1
    assert data.constant == 0


def test_variables_named_as_methods_are_items(data: Any) -> None:
    data["keys"] = 4
    assert data["keys"] == 4 and next(iter(data.keys())) == "limit"
    with pytest.raises(AttributeError, match="keys is a method"):
        data.keys = 4


def test_flexible_arrays_do_not_run_into_the_next_variable(compiled: Any) -> None:
    of = compiled.codec("record")
    memory = bytearray(12)
    data = Variables({"record": Slot(MemoryStore(memory), 0, of)})
    with pytest.raises(CodecError, match=r"^record: 12 bytes for a variable of 8"):
        data["record"] = {"values": [1, 2, 3]}
    assert memory == bytes(12)


@pytest.fixture
def shared() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, 4096) as memory:
        yield memory


def test_variables_live_in_mapped_memory(shared: mmap.mmap) -> None:
    data: Any = Variables({"hits": Slot(MemoryStore(shared), 8, U32)})
    data.hits = 77
    assert shared[8] == 77
    shared[8] = 78
    assert data.hits == 78


def test_variables_live_in_a_value_that_is_read_and_written_whole() -> None:
    stored = [bytes(8)]
    store = WholeValueStore(lambda: stored[0], lambda value: stored.__setitem__(0, value))
    data: Any = Variables({"a": Slot(store, 0, U32), "b": Slot(store, 4, U32)})
    data.a, data.b = 1, 2
    assert stored == [b"\1\0\0\0\2\0\0\0"] and (data.a, data.b) == (1, 2)


def test_nothing_is_written_behind_the_section() -> None:
    memory = bytearray(4)
    data = Variables({"late": Slot(MemoryStore(memory), 2, U32)})
    with pytest.raises(CodecError, match="end behind the section"):
        data["late"] = 1
    with pytest.raises(CodecError, match="2 are left"):
        data["late"]
    assert memory == bytes(4)


def test_structs_are_replaced_whole(compiled: Any) -> None:
    of = compiled.codec("flow")
    data: Any = Variables({"flow": Slot(MemoryStore(bytearray(16)), 0, of)})
    with pytest.raises(AttributeError, match=r"use value\.replace"):
        data.flow.sport = 80
    data.flow = data.flow.replace(sport=80)
    assert data.flow.sport == 80
