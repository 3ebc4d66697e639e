"""BTF in the kernel, and maps that are typed by it when they are opened again."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from osmia.btf import BTF, Struct, kernel_btf
from osmia.engine.maps import KeyedMap, Map
from osmia.errors import KernelError
from osmia.kernel.maps import MapTypes
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import BtfLoadError, btf_from_id, btf_info, load_btf
from osmia.object.uapi import MapType

pytestmark = pytest.mark.kernel

INT, STRUCT = 1, 4


def example_btf() -> bytes:
    """1: unsigned int; 2: struct flow { unsigned int bytes, packets; }"""
    strings = b"\0unsigned int\0flow\0bytes\0packets\0"

    def name(text: bytes) -> int:
        return strings.index(b"\0" + text + b"\0") + 1

    types = struct.pack("=IIII", name(b"unsigned int"), INT << 24, 4, 32)
    types += struct.pack("=III", name(b"flow"), STRUCT << 24 | 2, 8)
    types += struct.pack("=III", name(b"bytes"), 1, 0)
    types += struct.pack("=III", name(b"packets"), 1, 32)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def test_btf_comes_back_as_it_was_loaded() -> None:
    with load_btf(example_btf()) as loaded:
        info = btf_info(loaded.fileno())
        assert info.size == len(example_btf())
        assert not info.is_kernel
        again = btf_from_id(info.id)
    flow = again.type(again.find("flow"))
    assert isinstance(flow, Struct)
    assert [member.name for member in flow.members] == ["bytes", "packets"]


def test_btf_objects_can_be_loaded_too() -> None:
    with load_btf(BTF(example_btf())) as loaded:
        assert btf_info(loaded.fileno()).size == len(example_btf())


def test_broken_btf_is_refused_with_the_kernels_words() -> None:
    broken = bytearray(example_btf())
    broken[24 + 12] = 200  # bits in the int's four bytes
    with pytest.raises(BtfLoadError, match=r"cannot load BTF: .*EINVAL") as caught:
        load_btf(bytes(broken))
    assert "unsigned int" in caught.value.log


def test_the_kernels_own_btf_is_the_shared_one() -> None:
    identifier = syscall.btf_get_next_id(0)
    assert identifier is not None
    assert btf_from_id(identifier) is kernel_btf()


def test_an_unknown_id_is_enoent() -> None:
    with pytest.raises(KernelError, match="ENOENT"):
        btf_from_id(2**31 - 2)


def typed_map() -> KeyedMap:
    with load_btf(example_btf()) as types:
        made = Map.create(
            MapType.HASH,
            name="flows",
            key_size=4,
            value_size=8,
            max_entries=8,
            types=MapTypes(btf_fd=types.fileno(), key_type_id=1, value_type_id=2),
        )
    assert isinstance(made, KeyedMap)
    return made


def test_a_map_made_with_btf_has_its_types() -> None:
    with typed_map() as flows:
        flows[7] = {"bytes": 1500, "packets": 3}
        assert flows[7].bytes == 1500
        assert flows[7].packets == 3
        assert "struct flow" in repr(flows)


def test_maps_opened_by_id_and_pin_have_their_types(bpffs: Path) -> None:
    with typed_map() as flows:
        flows[7] = {"bytes": 1500, "packets": 3}
        flows.pin(bpffs / "flows")
        with Map.from_id(flows.id) as by_id, Map.from_pin(bpffs / "flows") as by_pin:
            for again in (by_id, by_pin):
                assert isinstance(again, KeyedMap)
                assert again.name == "flows"
                assert again[7].bytes == 1500
                assert again.to_numpy()["value"]["packets"].tolist() == [3]


def test_values_read_in_batches_are_typed() -> None:
    with typed_map() as flows:
        flows.update({number: {"bytes": number, "packets": 2 * number} for number in range(5)})
        values = list(flows.values())
        assert sorted((value.bytes, value.packets) for value in values) == [
            (number, 2 * number) for number in range(5)
        ]


def test_struct_ops_values_are_typed_by_the_kernel() -> None:
    kernel = kernel_btf()
    value_type = kernel.find("bpf_struct_ops_tcp_congestion_ops")
    with (
        load_btf(example_btf()) as types,
        Map.create(
            MapType.STRUCT_OPS,
            key_size=4,
            value_size=kernel.size_of(value_type),
            max_entries=1,
            types=MapTypes(btf_fd=types.fileno(), vmlinux_value_type_id=value_type),
        ) as operations,
    ):
        assert isinstance(operations, KeyedMap)
        assert operations[0].data.name == ""
        with pytest.raises(KernelError, match="EINVAL"):
            operations[0] = operations[0]  # no name, no functions


def test_types_that_a_map_cannot_have_are_left_out() -> None:
    with (
        load_btf(example_btf()) as types,
        Map.create(
            MapType.QUEUE,
            value_size=8,
            max_entries=8,
            types=MapTypes(btf_fd=types.fileno(), value_type_id=2),
        ) as queue,
        Map.create(
            MapType.HASH,
            key_size=4,
            value_size=4,  # not the size of the type: the kernel refuses it
            max_entries=8,
            types=MapTypes(btf_fd=types.fileno(), key_type_id=1, value_type_id=2),
        ) as mismatched,
    ):
        assert queue.info.btf_id == 0
        assert mismatched.info.btf_id == 0
