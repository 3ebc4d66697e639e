"""Initial values: what a load stores into maps, and what it leaves as others have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.vm.engine import Vm

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#ifndef KEY
#define KEY int
#endif
struct wide { __u64 a[64]; };
char L[] SEC("license") = "GPL";
struct inner {
    __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, int);
} first SEC(".maps"), second SEC(".maps");
"""
OUTER = (
    HEADERS
    + """
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, int);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
    __array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &first } };
SEC("xdp") int p(void *c) {
    int k = 0;
    void *m = bpf_map_lookup_elem(&outer, &k);
    int *v = m ? bpf_map_lookup_elem(m, &k) : 0;
    return v ? *v : 99;
}
"""
)
BY_HASH = (
    HEADERS
    + """
struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 4); __type(key, KEY);
    __array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &first, [258] = &second } };
SEC("xdp") int p(void *c) {
    static KEY zero;
    return bpf_map_lookup_elem(&outer, &zero) ? 2 : 1;
}
"""
)
SLOTS = (
    HEADERS
    + """
int entry(void *c);
int other(void *c);
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
    __array(values, int (void *));
} calls SEC(".maps") = { .values = { [0] = (void *)&other } };
SEC("xdp") int entry(void *c) { bpf_tail_call(c, &calls, 0); return 7; }
SEC(SECTION) int other(void *c) { return 9; }
"""
)
ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]


def outcome(bpf: osmia.LoadedObject, program: str = "p") -> int:
    return bpf.programs[program].run(bytes(64)).retval


def live_inner(bpf: osmia.LoadedObject) -> Any:
    """The inner map that a running datapath has put in the place of the first one."""
    inner = bpf.maps["second"]
    inner[0] = 42
    bpf.maps["outer"][0] = inner
    return inner


@pytest.mark.kernel
def test_a_map_reused_from_its_pin_keeps_its_inner_maps(bpffs: Path) -> None:
    obj = osmia.compile(OUTER)
    with obj.load(pin_root=bpffs) as running:
        live_inner(running)
        with obj.load(pin_root=bpffs) as again:
            assert outcome(again) == 42
        assert outcome(running) == 42


@pytest.mark.parametrize("engine", ENGINES)
def test_a_given_map_keeps_its_inner_maps(engine: Any) -> None:
    obj = osmia.compile(OUTER)
    obj.maps["outer"] = replace(obj.maps["outer"], pinning=osmia.Pinning.NONE)
    shared: dict[str, Any] = {"vm": Vm()} if engine == "vm" else {}
    with obj.load(engine, **shared) as running:
        assert outcome(running) == 0, "a map that the load made has its initial values"
        live_inner(running)
        with obj.load(engine, maps={"outer": running.maps["outer"]}, **shared) as again:
            assert outcome(again) == 42
        assert outcome(running) == 42


@pytest.mark.parametrize("engine", ENGINES)
def test_an_index_is_the_key_where_keys_have_four_bytes(engine: Any) -> None:
    with osmia.compile(BY_HASH, defines={"KEY": "__u32"}).load(engine) as bpf:
        assert sorted(bpf.maps["outer"]) == [0, 258]
        assert outcome(bpf) == 2


@pytest.mark.parametrize(("key", "size"), [("__u64", 8), ("struct wide", 512), ("__u8", 1)])
def test_initial_values_of_other_keys_are_refused_at_open(key: str, size: int) -> None:
    with pytest.raises(osmia.ObjectFormatError, match=f"'outer' has keys of {size} bytes; its"):
        osmia.compile(BY_HASH, defines={"KEY": key})


@pytest.mark.parametrize("engine", ENGINES)
def test_initial_values_of_other_keys_are_refused_at_load(engine: Any) -> None:
    obj = osmia.compile(BY_HASH, defines={"KEY": "__u32"})
    obj.maps["outer"] = replace(obj.maps["outer"], key_size=8, key_type_id=0)
    obj.set_autoload("p", False)
    with pytest.raises(osmia.RelocationError, match="'outer' has keys of 8 bytes"):
        obj.load(engine).close()


def test_a_function_that_is_no_program_cannot_be_in_a_prog_array() -> None:
    with pytest.raises(osmia.ObjectFormatError, match="value 0 is 'other', which is no program"):
        osmia.compile(SLOTS, defines={"SECTION": '".text"'})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slot_whose_program_is_not_loaded_is_told(engine: Any) -> None:
    obj = osmia.compile(SLOTS, defines={"SECTION": '"?xdp"'})
    with pytest.warns(osmia.errors.OsmiaWarning, match="'calls' is for 'other'.*autoload is off"):
        bpf = obj.load(engine)
    with bpf:
        assert outcome(bpf, "entry") == 7
    obj.set_autoload("other")
    with obj.load(engine) as bpf:
        assert outcome(bpf, "entry") == 9


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slot_of_a_program_that_is_not_there_is_refused(engine: Any) -> None:
    obj = osmia.compile(SLOTS, defines={"SECTION": '"xdp"'})
    obj.maps["calls"] = replace(obj.maps["calls"], slots=((0, "another"),))
    with pytest.raises(osmia.RelocationError, match="its value 'another' is no program"):
        obj.load(engine).close()
