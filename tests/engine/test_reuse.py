"""Maps that are given to a load: used if they fit, refused with every difference if not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

import osmia
from osmia.engine.reuse import check_reuse, differences
from osmia.errors import ClosedError, CodecError, MapMismatchError
from osmia.isa import assemble
from osmia.object import model
from osmia.object.uapi import MapFlag, MapType, ProgramType
from osmia.vm.engine import Vm

ENGINES = [pytest.param("kernel", marks=pytest.mark.kernel), "vm"]
SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 16);
} counts SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 one = 1, *found = bpf_map_lookup_elem(&counts, &key);

	if (found)
		*found += 1;
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""
FITTING: dict[str, Any] = {"key_size": 4, "value_size": 8, "max_entries": 16}
DEFINITION = model.Map("counts", MapType.HASH, key_size=4, value_size=8, max_entries=16)


@pytest.fixture(scope="session")
def obj(tmp_path_factory: pytest.TempPathFactory) -> osmia.Object:
    source = tmp_path_factory.mktemp("reuse") / "counts.bpf.c"
    source.write_text(SOURCE)
    return osmia.compile(source)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def vm() -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=2) as machine:
        yield machine


@pytest.fixture
def create(engine: str, vm: Vm) -> Iterator[Callable[..., osmia.Map]]:
    with ExitStack() as stack:

        def make(kind: MapType = MapType.HASH, **options: Any) -> osmia.Map:
            make_one = vm.create_map if engine == "vm" else osmia.Map.create
            made: osmia.Map = make_one(kind, name="given", **{**FITTING, **options})
            return stack.enter_context(made)

        yield make


@pytest.fixture
def load(obj: osmia.Object, engine: str, vm: Vm) -> Callable[[osmia.Map], Any]:
    def load_with(given: Any) -> Any:
        options: dict[str, Any] = {"maps": {"counts": given}}
        if engine == "vm":
            options["vm"] = vm
        return obj.load(engine, **options)

    return load_with


def test_a_map_that_fits_is_the_objects(
    create: Callable[..., Any], load: Callable[[osmia.Map], Any]
) -> None:
    given = create()
    with load(given) as bpf:
        bpf.programs["count"].run(bytes(64))
        assert bpf.maps["counts"][1] == 1
    assert given[1] == 1  # and outlives it


def test_an_object_keeps_a_map_that_was_given_when_who_gave_it_closes_it(
    create: Callable[..., Any], load: Callable[[osmia.Map], Any]
) -> None:
    given = create()
    with load(given) as bpf, load(bpf.maps["counts"]) as second:
        given.close()
        bpf.close()
        second.programs["count"].run(bytes(64))
        assert second.maps["counts"][1] == 1


def test_an_object_closes_its_own_handle_on_a_map_that_was_given(
    create: Callable[..., Any], load: Callable[[osmia.Map], Any]
) -> None:
    given = create()
    with load(given) as bpf:
        bpf.maps["counts"].close()
        given[1] = 5
    assert given[1] == 5


def test_a_map_that_was_given_is_read_only_where_the_handle_was(
    create: Callable[..., Any], load: Callable[[osmia.Map], Any]
) -> None:
    given = create(flags=int(MapFlag.RDONLY))
    with load(given) as bpf:
        bpf.programs["count"].run(bytes(64))  # that is for who has the handle, not for programs
        assert bpf.maps["counts"][1] == 1
        with pytest.raises(osmia.BpfPermissionError):
            bpf.maps["counts"][1] = 2


def test_a_map_that_was_given_is_freed_with_the_last_that_has_it(vm: Vm, obj: osmia.Object) -> None:
    given = vm.create_map(MapType.HASH, name="given", **FITTING)
    with obj.load("vm", vm=vm, maps={"counts": given}):
        given.close()
    vm.lifetimes.sweep()
    with pytest.raises(osmia.KernelError, match="open map"):
        vm.open_map(given.id)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": MapType.LRU_HASH}, ["type hash in the object, lru_hash in the map"]),
        ({"key_size": 8}, ["key size 4 in the object, 8 in the map"]),
        ({"value_size": 4}, ["value size 8 in the object, 4 in the map"]),
        ({"max_entries": 8}, ["max entries 16 in the object, 8 in the map"]),
        ({"flags": int(MapFlag.NO_PREALLOC)}, ["flags 0x0 in the object, 0x1 in the map"]),
        (
            {"kind": MapType.ARRAY, "max_entries": 3, "flags": int(MapFlag.MMAPABLE)},
            ["type hash", "max entries 16", "flags 0x0"],
        ),
    ],
)
def test_a_map_of_another_shape_is_refused_with_every_difference(
    create: Callable[..., Any],
    load: Callable[[osmia.Map], Any],
    options: dict[str, Any],
    words: list[str],
) -> None:
    given = create(**options)
    with pytest.raises(MapMismatchError, match="'counts' cannot be the map 'given'") as refusal:
        load(given)
    assert len(refusal.value.differences) == len(words)
    for difference, word in zip(refusal.value.differences, words, strict=True):
        assert difference.startswith(word)
    given.close()


def test_what_a_refused_load_made_is_gone(vm: Vm, obj: osmia.Object) -> None:
    given = vm.create_map(MapType.HASH, name="given", **{**FITTING, "max_entries": 8})
    with pytest.raises(MapMismatchError):
        obj.load("vm", vm=vm, maps={"counts": given})
    assert list(vm.maps.values()) == [given]
    assert not vm.programs


def test_a_closed_map_is_refused(
    create: Callable[..., Any], load: Callable[[osmia.Map], Any]
) -> None:
    given = create()
    given.close()
    with pytest.raises(ClosedError, match="'given' is closed"):
        load(given)


def test_what_is_no_map_is_refused(load: Callable[[Any], Any]) -> None:
    with pytest.raises(MapMismatchError, match="map 'counts' cannot be 5: it is no map"):
        load(5)


def test_a_map_of_another_vm_is_refused(vm: Vm, obj: osmia.Object) -> None:
    """Its number names some map of this vm, and the program would write into that."""
    unrelated: Any = vm.create_map(MapType.HASH, **FITTING)
    with Vm(memory=1 << 25, cpus=2) as another:
        given = another.create_map(MapType.HASH, name="given", **FITTING)
        assert given.id == unrelated.id
        with pytest.raises(MapMismatchError, match="it is a map of another vm"):
            obj.load("vm", vm=vm, maps={"counts": given})
        with pytest.raises(MapMismatchError, match="it is a map of another vm"):
            obj.load("vm", maps={"counts": given})
    assert dict(unrelated) == {}


@pytest.mark.kernel
def test_engines_do_not_take_each_others_maps(vm: Vm, obj: osmia.Object) -> None:
    mine = vm.create_map(MapType.HASH, **FITTING)
    with osmia.Map.create(MapType.HASH, **FITTING) as theirs:
        with pytest.raises(MapMismatchError, match="it is a map of the kernel"):
            obj.load("vm", vm=vm, maps={"counts": theirs})
        with pytest.raises(MapMismatchError, match="it is a map of the vm"):
            obj.load(maps={"counts": mine})


@pytest.mark.kernel
def test_maps_of_maps_hold_only_their_engines_maps(vm: Vm) -> None:
    inner = vm.create_map(MapType.HASH, **FITTING)
    outer: Any = vm.create_map(MapType.ARRAY_OF_MAPS, max_entries=2, inner=inner, name="outer")
    with (
        osmia.Map.create(MapType.HASH, **FITTING) as in_kernel,
        Vm(memory=1 << 25, cpus=2) as another,
        osmia.Map.create(
            MapType.ARRAY_OF_MAPS, key_size=4, value_size=4, max_entries=2, inner=in_kernel
        ) as kernel_outer,
    ):
        foreign = another.create_map(MapType.HASH, **FITTING)
        for wrong in (in_kernel, foreign):
            with pytest.raises(CodecError, match="'outer', value: a map of this vm is needed"):
                outer[0] = wrong
        with pytest.raises(CodecError, match="something of the kernel is needed"):
            kernel_outer[0] = inner
    assert list(outer) == []


def test_prog_arrays_hold_only_programs_of_their_vm(vm: Vm) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=2, name="chain")
    with Vm(memory=1 << 25, cpus=2) as another:
        program = another.load_program(assemble("r0 = 0\nexit"), type=ProgramType.XDP)
        with pytest.raises(CodecError, match="'chain', value: a program of this vm is needed"):
            array[0] = program
    assert list(array) == []


def test_an_inner_map_is_refused_with_every_difference(vm: Vm) -> None:
    outer: Any = vm.create_map(
        MapType.HASH_OF_MAPS, max_entries=2, inner=vm.create_map(MapType.HASH, **FITTING)
    )
    wrong = vm.create_map(MapType.LRU_HASH, **{**FITTING, "value_size": 4})
    with pytest.raises(osmia.KernelError, match=r"type hash .*; value size 8 .*"):
        outer[0] = wrong
    outer[0] = vm.create_map(MapType.HASH, **{**FITTING, "max_entries": 99})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("type", MapType.LRU_HASH, "type hash in the object, lru_hash in the map"),
        ("key_size", 5, "key size 4 in the object, 5 in the map"),
        ("value_size", 5, "value size 8 in the object, 5 in the map"),
        ("max_entries", 5, "max entries 16 in the object, 5 in the map"),
        ("flags", MapFlag.ZERO_SEED, "flags 0x0 in the object, 0x40 in the map"),
        ("map_extra", 5, "map_extra 0 in the object, 5 in the map"),
    ],
)
def test_each_difference_counts(field: str, value: Any, words: str) -> None:
    found = replace(DEFINITION, **{field: value})
    assert differences(DEFINITION, found) == (words,)
    with pytest.raises(MapMismatchError, match="map 'counts' cannot be the one pinned at '/x'"):
        check_reuse(DEFINITION, found, "the one pinned at '/x'")


def test_what_the_kernel_adds_to_device_maps_is_no_difference() -> None:
    devices = replace(DEFINITION, type=MapType.DEVMAP)
    assert differences(devices, replace(devices, flags=MapFlag.RDONLY_PROG)) == ()


@pytest.mark.kernel
def test_a_bloom_filter_of_other_hashes_is_not_reused() -> None:
    """`map_extra` is its number of hash functions."""
    definition = replace(DEFINITION, type=MapType.BLOOM_FILTER, key_size=0, map_extra=3)
    options: dict[str, Any] = {"key_size": 0, "value_size": 8, "max_entries": 16}
    with osmia.Map.create(MapType.BLOOM_FILTER, map_extra=4, **options) as filter_of_4:
        with pytest.raises(MapMismatchError, match="map_extra 3 in the object, 4 in the map"):
            check_reuse(definition, filter_of_4.info, "the one")
        check_reuse(replace(definition, map_extra=4), filter_of_4.info, "the one")
