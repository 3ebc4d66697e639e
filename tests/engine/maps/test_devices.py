"""Maps of devices and CPUs: a Program in a value, as a dict, alone, or in a typed value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
#define MAP(NAME, TYPE, VALUE) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \\
    __uint(max_entries, 2); __type(key, int); __type(value, VALUE); } NAME SEC(".maps");
MAP(cpus, CPUMAP, struct bpf_cpumap_val)
MAP(devices, DEVMAP, struct bpf_devmap_val)
MAP(hashed, DEVMAP_HASH, struct bpf_devmap_val)
SEC("xdp/cpumap") int on_cpu(struct xdp_md *ctx) { return XDP_PASS; }
SEC("xdp/devmap") int on_device(struct xdp_md *ctx) { return XDP_PASS; }
SEC("xdp") int plain(struct xdp_md *ctx) { return XDP_PASS; }
"""
PLACES = [("cpus", "qsize", "on_cpu"), ("devices", "ifindex", "on_device")]
PLACES += [("hashed", "ifindex", "on_device")]


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def loaded(request: pytest.FixtureRequest) -> Iterator[Any]:
    with osmia.compile(SOURCE).load(request.param) as bpf:
        yield bpf


@pytest.mark.parametrize("place,number,program", PLACES)
def test_a_program_is_stored_and_its_id_read(
    loaded: Any, place: str, number: str, program: str
) -> None:
    there, wanted = loaded.maps[place], loaded.programs[program]
    for value in ({number: 1, "bpf_prog": wanted}, {number: 1, "bpf_prog": {"fd": wanted}}):
        there[0] = value
        assert there[0].bpf_prog.id == wanted.id
        assert there[0][number] == 1
        there[0] = {number: 1}
        assert there[0].bpf_prog.id == 0
    there.update_many({0: {number: 1, "bpf_prog": wanted}})
    assert there[0].bpf_prog.id == wanted.id


@pytest.mark.kernel
def test_a_typed_value_takes_a_program() -> None:
    with osmia.compile(SOURCE).load() as bpf:
        cpus, program = bpf.maps["cpus"], bpf.programs["on_cpu"]
        for given in (program, {"fd": program}):
            cpus[1] = cpus.value_codec.type(qsize=8, bpf_prog=given)
            assert cpus[1].bpf_prog.id == program.id


def test_programs_of_another_kind_are_refused(loaded: Any) -> None:
    with pytest.raises(osmia.KernelError, match="ENOMEM"):
        loaded.maps["cpus"][0] = {"qsize": 1, "bpf_prog": loaded.programs["plain"]}
    with pytest.raises(osmia.KernelError, match="EINVAL"):
        loaded.maps["devices"][0] = {"ifindex": 1, "bpf_prog": loaded.programs["plain"]}
    with pytest.raises(osmia.CodecError, match="map 'cpus', value"):
        loaded.maps["cpus"][0] = {"qsize": 1, "bpf_prog": "on_cpu"}
    with (
        osmia.compile(SOURCE).load("vm") as other,
        pytest.raises(osmia.CodecError, match=r"needed, not|is needed"),
    ):
        loaded.maps["cpus"][0] = {"qsize": 1, "bpf_prog": other.programs["on_cpu"]}


def test_a_closed_program_is_refused(loaded: Any) -> None:
    loaded.programs["on_cpu"].close()
    with pytest.raises(osmia.ClosedError):
        loaded.maps["cpus"][0] = {"qsize": 1, "bpf_prog": loaded.programs["on_cpu"]}
