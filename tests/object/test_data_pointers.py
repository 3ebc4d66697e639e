"""Pointers in data when an object is loaded: the vm has addresses, the kernel has none."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.errors import OsmiaWarning
from osmia.object import Object
from osmia.passes import prepare
from osmia.passes.target import Target
from osmia.vm.maps.raw import VmMap

SOURCE = Path(__file__).parents[1] / "formats" / "pointers.bpf.c"


@pytest.fixture
def obj() -> Object:
    return osmia.compile(SOURCE)


def test_in_the_vm_a_pointer_equals_the_address_it_was_made_of(obj: Object) -> None:
    with pytest.warns(OsmiaWarning, match=r"vm .*: 'function' \(\.data\) points to 'twice'$"):
        loaded = obj.load("vm")
    with loaded as bpf:
        assert bpf.programs["look"].run(bytes(64)).retval in (4, 5)
        seen = list(bpf.data["seen"])
        assert seen[0::2] == seen[1::2]
        assert all(seen)
        assert bpf.data["where"] == seen[5]


def test_in_the_vm_a_pointer_to_a_map_is_what_code_has_of_it(obj: Object) -> None:
    with pytest.warns(OsmiaWarning), obj.load("vm") as bpf:
        raw = bpf.maps["counts"].raw
        assert isinstance(raw, VmMap)
        assert bpf.data["map"] == raw.body.handle


def test_a_pointer_to_a_configuration_value_becomes_one_into_its_section(obj: Object) -> None:
    prepared = prepare(obj, Target(version=0x060100)).object
    at = prepared.data_sections[".data"].variables["version"].offset
    (found,) = (r for r in prepared.data_sections[".data"].relocations if r.offset == at)
    assert found.target == ".kconfig"
    offset = prepared.data_sections[".kconfig"].variables["LINUX_KERNEL_VERSION"].offset
    assert found.addend == offset


@pytest.mark.kernel
def test_the_kernel_engine_names_the_pointers_that_stay_without_addresses(obj: Object) -> None:
    words = r"kernel .*'names' \(\.rodata\) points to 'one'; 'names'\+8 \(\.rodata\) points to"
    with pytest.warns(OsmiaWarning, match=words) as caught:
        loaded = obj.load()
    assert "'where' (.data) points to 'table'+8" in str(caught[0].message)
    with loaded as bpf:
        bpf.programs["look"].run(bytes(64))
        assert bpf.data["where"] == 8  # as the file has it, and as libbpf loads it


def test_labels_for_computed_jumps_are_no_pointers() -> None:
    labels = SOURCE.parents[1] / "vm" / "labels.bpf.c"
    obj = osmia.compile(labels, cpu="v4", compiler="zig")
    with obj.load("vm"):  # a warning would fail this
        pass
