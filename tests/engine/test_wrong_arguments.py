"""Arguments and objects that cannot be: an error that names the rule, of osmia or of Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.kernel.links.symbols import SymbolNotFoundError, function_offset
from osmia.kernel.rtnetlink.tc_messages import filter_message
from osmia.object import Function, Linkage, Object
from osmia.toolchain import compile as to_elf

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
         __type(value, int); } state SEC(".maps");
SEC("tc") int count(struct __sk_buff *skb) {
    int k = 0;
    return bpf_map_lookup_elem(&state, &k) ? 0 : -1;
}
"""
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("packet", ["abc", 64, None])
def test_a_packet_is_bytes(engine: Any, packet: Any) -> None:
    with (
        osmia.compile(SOURCE).load(engine) as bpf,
        pytest.raises(TypeError, match=f"a packet is bytes, not {type(packet).__name__}"),
    ):
        bpf.programs["count"].run(packet)


@pytest.mark.kernel
def test_a_run_says_what_the_kernel_does_not_take() -> None:
    with osmia.compile(SOURCE).load() as bpf:
        count = bpf.programs["count"]
        with pytest.raises(osmia.KernelError, match="the packet has 9,000 bytes; a test run takes"):
            count.run(bytes(9000))
        with pytest.raises(osmia.KernelError, match="'len' cannot be given"):
            count.run(bytes(64), ctx={"len": 3, "mark": 1})
        assert count.run(bytes(64), ctx={"len": 0, "mark": 1}).retval == 0


@pytest.mark.kernel
def test_pins_have_no_dots(bpffs: Path) -> None:
    with osmia.compile(SOURCE).load() as bpf:
        for thing in (bpf.programs["count"], bpf.maps["state"]):
            with pytest.raises(osmia.BpfPermissionError, match="names in a bpffs have no dots"):
                thing.pin(bpffs / "count.v1")


@pytest.mark.kernel
@pytest.mark.parametrize(("option", "number"), [("priority", 65536), ("priority", -1)])
def test_numbers_of_filters_have_their_range(option: str, number: int) -> None:
    with (
        osmia.compile(SOURCE).load() as bpf,
        pytest.raises(ValueError, match="a priority is 1 to 65,535, or 0"),
    ):
        bpf.programs["count"].attach("lo", direction="ingress", priority=number)


def test_handles_of_filters_too() -> None:
    with pytest.raises(ValueError, match="a handle is a number of 32 bits"):
        filter_message(1, 2, 3, 1 << 32)


def test_an_offset_that_could_be_octal_is_refused() -> None:
    with pytest.raises(SymbolNotFoundError, match="'010' could be octal"):
        function_offset(Path("/bin/sh"), "malloc+010")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_map_type_that_nobody_knows_is_refused(engine: Any) -> None:
    obj = osmia.compile(SOURCE)
    obj.maps["state"] = replace(obj.maps["state"], type=4711)  # type: ignore[arg-type]
    with pytest.raises(osmia.OsmiaError, match="4711"):
        obj.load(engine).close()


def test_a_definition_that_ends_before_its_fields_is_refused() -> None:
    """BTF says where they are, and that can be behind the definition's end."""
    data = to_elf("""
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };
struct bpf_map_def one __attribute__((section("maps"), used)) = { 2, 4, 4, 1 };
""").data
    obj = osmia.open(data)
    assert obj.btf is not None
    raw = obj.btf.to_bytes()
    at = data.index(raw[24:64])
    member = next(
        m
        for t in range(1, len(obj.btf))
        for m in getattr(obj.btf.type(t), "members", ())
        if m.name == "max_entries"
    )
    old = member.bit_offset.to_bytes(4, "little")
    place = data.index(member.type_id.to_bytes(4, "little") + old, at)
    edited = data[: place + 4] + (8 * 4000).to_bytes(4, "little") + data[place + 8 :]
    assert osmia.open(edited).maps["one"].max_entries == 1, "by the size of the entry, then"


def test_what_elf_cannot_hold_is_an_error_of_ours() -> None:
    function = Function("a\0b", "xdp", bytes(16), linkage=Linkage.GLOBAL)
    with pytest.raises(osmia.ObjectFormatError, match="contains NUL"):
        Object("o", functions={"f": function}).to_bytes()
